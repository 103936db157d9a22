package parquettext_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding"

	"shardload/internal/parquettext"
)

// write returns a file with these rows.
func write(t *testing.T, schema *parquet.Schema, rows []parquet.Row, options ...parquet.WriterOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewWriter(&b, append([]parquet.WriterOption{schema}, options...)...)
	if _, err := w.WriteRows(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// column returns a file with one column of that type and these values; nil is NULL.
func column(t *testing.T, node parquet.Node, values []any, options ...parquet.WriterOption) []byte {
	t.Helper()
	schema := parquet.NewSchema("t", parquet.Group{"v": parquet.Optional(node)})
	rows := make([]parquet.Row, len(values))
	for i, v := range values {
		value, level := parquet.ValueOf(v), 1
		if v == nil {
			level = 0
		}
		rows[i] = parquet.Row{value.Level(0, level, 0)}
	}
	return write(t, schema, rows, options...)
}

func open(t testing.TB, data []byte, opt parquettext.Options) *parquettext.File {
	t.Helper()
	f, err := parquettext.Open(bytes.NewReader(data), int64(len(data)), opt)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// all returns the fields of all columns.
func all(f *parquettext.File, as parquettext.As) (fields []parquettext.Field) {
	for _, c := range f.Columns() {
		fields = append(fields, parquettext.Field{Name: c.Name, As: as, Type: "text"})
	}
	return fields
}

// text returns all records of the file, and what is at fault.
func text(t testing.TB, f *parquettext.File, fields []parquettext.Field) (string, []parquettext.Fault) {
	t.Helper()
	r, err := f.NewReader(fields)
	if err != nil {
		t.Fatal(err)
	}
	var data []byte
	var faults []parquettext.Fault
	for i := range f.Chunks() {
		var bad []parquettext.Fault
		if data, bad, err = r.AppendChunk(data, i); err != nil {
			t.Fatal(err)
		}
		faults = append(faults, bad...)
	}
	return string(data), faults
}

// TestValues holds that a value has the text that PostgreSQL writes for it.
func TestValues(t *testing.T) {
	t.Parallel()
	at := int64(1_511_786_096_123_456_789) // 2017-11-27 12:34:56.123456789
	day := int64(86400)
	bytes16 := []byte("\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff")
	for _, tt := range []struct {
		name   string
		node   parquet.Node
		as     parquettext.As
		values []any
		want   []string
	}{
		{"boolean", parquet.Leaf(parquet.BooleanType), 0, []any{true, false, nil}, []string{"t", "f", `\N`}},
		{"boolean in json", parquet.Leaf(parquet.BooleanType), parquettext.AsJSON, []any{true, false, nil}, []string{"true", "false", `\N`}},
		{"int32", parquet.Leaf(parquet.Int32Type), 0, []any{int32(0), int32(math.MinInt32), int32(math.MaxInt32)}, []string{"0", "-2147483648", "2147483647"}},
		{"int64", parquet.Leaf(parquet.Int64Type), 0, []any{int64(math.MinInt64), int64(math.MaxInt64)}, []string{"-9223372036854775808", "9223372036854775807"}},
		{"int8", parquet.Int(8), 0, []any{int32(-128), int32(127)}, []string{"-128", "127"}},
		{"int16", parquet.Int(16), 0, []any{int32(-32768)}, []string{"-32768"}},
		{"uint8", parquet.Uint(8), 0, []any{int32(255)}, []string{"255"}},
		{"uint32", parquet.Uint(32), 0, []any{int32(-1)}, []string{"4294967295"}},
		{"uint64", parquet.Uint(64), 0, []any{int64(-1), int64(7)}, []string{"18446744073709551615", "7"}},
		{
			"float", parquet.Leaf(parquet.FloatType), 0,
			[]any{float32(0.1), float32(1e6), float32(123456), float32(1e-5), float32(0.0001), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), float32(math.Copysign(0, -1))},
			[]string{"0.1", "1e+06", "123456", "1e-05", "0.0001", "Infinity", "-Infinity", "NaN", "-0"},
		},
		{
			"double", parquet.Leaf(parquet.DoubleType), 0,
			[]any{0.1, 1e15, 1e14, 123456.789, 1e-5, 1e300, -2.5, math.NaN(), math.Inf(-1)},
			[]string{"0.1", "1e+15", "100000000000000", "123456.789", "1e-05", "1e+300", "-2.5", "NaN", "-Infinity"},
		},
		{"double in json", parquet.Leaf(parquet.DoubleType), parquettext.AsJSON, []any{0.5, math.NaN()}, []string{"0.5", `"NaN"`}},
		{"string", parquet.String(), 0, []any{"", "a\tb\\c\nd\re", "größer", `\N`, "12345678\\"}, []string{"", `a\tb\\c\nd\re`, "größer", `\\N`, `12345678\\`}},
		{"enum", parquet.Enum(), 0, []any{"red"}, []string{"red"}},
		{"json", parquet.JSON(), parquettext.AsJSON, []any{`{"a": "x\ny"}`}, []string{`{"a": "x\\ny"}`}},
		{"string in json", parquet.String(), parquettext.AsJSON, []any{`[1]`}, []string{`[1]`}},
		{"uuid", parquet.UUID(), 0, []any{bytes16}, []string{"00112233-4455-6677-8899-aabbccddeeff"}},
		{"bytes in bytea", parquet.Leaf(parquet.ByteArrayType), parquettext.AsBytea, []any{"\x00\xffa", ""}, []string{`\\x00ff61`, `\\x`}},
		{"bytes that are text", parquet.Leaf(parquet.ByteArrayType), 0, []any{"abc\\"}, []string{`abc\\`}},
		{"16 bytes in uuid", parquet.Leaf(parquet.FixedLenByteArrayType(16)), parquettext.AsUUID, []any{bytes16}, []string{"00112233-4455-6677-8899-aabbccddeeff"}},
		{"string in bytea", parquet.String(), parquettext.AsBytea, []any{`\x61`}, []string{`\\x61`}},
		{"decimal int32", parquet.Decimal(2, 9, parquet.Int32Type), 0, []any{int32(150), int32(-5), int32(0), int32(123456789)}, []string{"1.50", "-0.05", "0.00", "1234567.89"}},
		{"decimal int64", parquet.Decimal(0, 18, parquet.Int64Type), 0, []any{int64(math.MinInt64)}, []string{"-9223372036854775808"}},
		{
			"decimal fixed", parquet.Decimal(3, 38, parquet.FixedLenByteArrayType(16)), 0,
			[]any{[]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), []byte("\x4b\x3b\x4c\xa8\x5a\x86\xc4\x7a\x09\x8a\x22\x3f\xff\xff\xff\xff"), []byte("\xb4\xc4\xb3\x57\xa5\x79\x3b\x85\xf6\x75\xdd\xc0\x00\x00\x00\x01")},
			[]string{"-0.001", "99999999999999999999999999999999999.999", "-99999999999999999999999999999999999.999"},
		},
		{"decimal binary", parquet.Decimal(1, 20, parquet.ByteArrayType), 0, []any{"\x01", "\xff", "\x00\x8a\xc7\x23\x04\x89\xe8\x00\x00"}, []string{"0.1", "-0.1", "1000000000000000000.0"}},
		{"wide decimal", parquet.Decimal(0, 60, parquet.ByteArrayType), 0, []any{"\x01" + strings.Repeat("\x00", 20), "\xff" + strings.Repeat("\x00", 20)}, []string{"1461501637330902918203684832716283019655932542976", "-1461501637330902918203684832716283019655932542976"}},
		{"date", parquet.Date(), 0, []any{int32(0), int32(-719162), int32(-719163), int32(2932896), int32(2932897), int32(11016)}, []string{"1970-01-01", "0001-01-01", "0001-12-31 BC", "9999-12-31", "10000-01-01", "2000-02-29"}},
		{"time millis", parquet.Time(parquet.Millisecond), 0, []any{int32(45_296_123), int32(0)}, []string{"12:34:56.123", "00:00:00"}},
		{"time micros", parquet.TimeAdjusted(parquet.Microsecond, false), 0, []any{int64(45_296_500_000), int64(day * 1e6)}, []string{"12:34:56.5", "24:00:00"}},
		{"time nanos in timetz", parquet.Time(parquet.Nanosecond), parquettext.AsZoned, []any{int64(1)}, []string{"00:00:00.000000001+00"}},
		{"timestamp millis", parquet.TimestampAdjusted(parquet.Millisecond, false), 0, []any{at / 1e6, int64(-1)}, []string{"2017-11-27 12:34:56.123", "1969-12-31 23:59:59.999"}},
		{"timestamp micros", parquet.TimestampAdjusted(parquet.Microsecond, true), 0, []any{at / 1e3, int64(-62135596800000001)}, []string{"2017-11-27 12:34:56.123456+00", "0001-12-31 23:59:59.999999+00 BC"}},
		{"timestamp nanos", parquet.TimestampAdjusted(parquet.Nanosecond, false), 0, []any{at, int64(math.MinInt64)}, []string{"2017-11-27 12:34:56.123456789", "1677-09-21 00:12:43.145224192"}},
		{"timestamp in json", parquet.TimestampAdjusted(parquet.Millisecond, true), parquettext.AsJSON, []any{int64(0)}, []string{`"1970-01-01T00:00:00+00:00"`}},
		{"int96", parquet.Leaf(parquet.Int96Type), 0, []any{deprecated.Int96{0, 0, 2440588}, deprecated.Int96{0x3b9aca01, 0, 2440589}}, []string{"1970-01-01 00:00:00", "1970-01-02 00:00:01.000000001"}},
		{"int96 in timestamptz", parquet.Leaf(parquet.Int96Type), parquettext.AsZoned, []any{deprecated.Int96{0, 0, 2440588}}, []string{"1970-01-01 00:00:00+00"}},
		{
			"interval", parquet.IntervalNode(), 0,
			[]any{
				[]byte("\x0e\x00\x00\x00\x03\x00\x00\x00\x05\x8e\x67\x12"), make([]byte, 12), []byte("\x0c\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"), []byte("\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff"),
			},
			[]string{"1 year 2 mons 3 days 85:46:16.453", "00:00:00", "1 year 1 day", "1193:02:47.295"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, version := range []int{1, 2} {
				f := open(t, column(t, tt.node, tt.values, parquet.DataPageVersion(version)), parquettext.Options{})
				got, faults := text(t, f, all(f, tt.as))
				if want := strings.Join(tt.want, "\n") + "\n"; got != want || len(faults) > 0 {
					t.Errorf("pages of version %d: got\n%s%v, want\n%s", version, got, faults, want)
				}
			}
		})
	}
}

// TestFaults holds that what is wrong with a value is of its row alone, and that nothing takes
// for a record what is written of it.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		node   parquet.Node
		values []any
		want   string
		err    string
	}{
		{"invalid UTF-8", parquet.String(), []any{"a", "\xff\tb", "c"}, "a\n\xff\\tb\nc\n", "is not UTF-8"},
		{"in a dictionary", parquet.Encoded(parquet.String(), &parquet.RLEDictionary), []any{"a", "\xff\tb", "a"}, "a\n\xff\\tb\na\n", "is not UTF-8"},
		{"zero byte", parquet.String(), []any{"a\x00b"}, "a\x00b\n", "has a zero byte, which no text of PostgreSQL can hold"},
		{"binary", parquet.Leaf(parquet.ByteArrayType), []any{"\xfe"}, "\xfe\n", "is binary data and not UTF-8 text; its place is a bytea column"},
		{"no time", parquet.Time(parquet.Millisecond), []any{int32(1), int32(-1)}, "00:00:00.001\n\n", "-1 is no time of day"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := open(t, column(t, tt.node, tt.values), parquettext.Options{})
			got, faults := text(t, f, all(f, 0))
			if got != tt.want || len(faults) != 1 || faults[0].Err.Error() != tt.err || faults[0].Column != "v" {
				t.Errorf("got %q, %v, want %q, %s", got, faults, tt.want, tt.err)
			}
		})
	}
}

// numbers returns a file of rows with known values in several types, some of them NULL, and
// their records.
func numbers(t testing.TB, n int, encode func(string, parquet.Node) parquet.Node, options ...parquet.WriterOption) (data []byte, records []string) {
	t.Helper()
	schema := parquet.NewSchema("t", parquet.Group{
		"a": encode("a", parquet.Leaf(parquet.Int64Type)),
		"b": parquet.Optional(encode("b", parquet.String())),
		"c": parquet.Optional(encode("c", parquet.Leaf(parquet.Int32Type))),
		"d": encode("d", parquet.Leaf(parquet.DoubleType)),
		"e": parquet.Optional(encode("e", parquet.Leaf(parquet.BooleanType))),
		"f": encode("f", parquet.Leaf(parquet.FixedLenByteArrayType(3))),
		"g": parquet.List(encode("g", parquet.String())),
	})
	random := rand.New(rand.NewPCG(1, uint64(n)))
	rows := make([]parquet.Row, n)
	for i := range rows {
		null := func(v parquet.Value, text string, column int) (parquet.Value, string) {
			if random.IntN(5) == 0 {
				return parquet.NullValue().Level(0, 0, column), `\N`
			}
			return v.Level(0, 1, column), text
		}
		word := strings.Repeat(fmt.Sprint(random.IntN(1000)), random.IntN(4)) + "x"
		a := int64(i*i) - random.Int64N(1<<40)>>random.IntN(40)
		b, bText := null(parquet.ValueOf(word), word, 1)
		c, cText := null(parquet.ValueOf(int32(i)), fmt.Sprint(i), 2)
		e, eText := null(parquet.ValueOf(i%3 == 0), map[bool]string{true: "t", false: "f"}[i%3 == 0], 4)
		f := fmt.Sprintf("%03d", i%1000)
		rows[i] = parquet.Row{
			parquet.ValueOf(a).Level(0, 0, 0), b, c, parquet.ValueOf(float64(i)/2).Level(0, 0, 3), e, parquet.ValueOf([]byte(f)).Level(0, 0, 5),
		}
		var list []string
		for k := range random.IntN(4) {
			list = append(list, word)
			rows[i] = append(rows[i], parquet.ValueOf(word).Level(min(k, 1), 1, 6))
		}
		if list == nil {
			rows[i] = append(rows[i], parquet.NullValue().Level(0, 0, 6))
		}
		records = append(records, fmt.Sprintf("%d\t%s\t%s\t%v\t%s\t%s\t{%s}\n", a, bText, cText, float64(i)/2, eText, f, strings.Join(list, ",")))
	}
	var b bytes.Buffer
	w := parquet.NewWriter(&b, append([]parquet.WriterOption{schema}, options...)...)
	if _, err := w.WriteRows(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), records
}

func plain(_ string, n parquet.Node) parquet.Node { return n }

func numberFields(f *parquettext.File) []parquettext.Field {
	fields := all(f, 0)
	fields[6].As = parquettext.AsArray
	return fields
}

// TestEncodings holds that every encoding and every kind of compression is read, in both
// versions of pages.
func TestEncodings(t *testing.T) {
	t.Parallel()
	by := func(encodings map[string]encoding.Encoding) func(string, parquet.Node) parquet.Node {
		return func(name string, n parquet.Node) parquet.Node {
			if e := encodings[name]; e != nil {
				return parquet.Encoded(n, e)
			}
			return n
		}
	}
	dictionary := map[string]encoding.Encoding{}
	for _, name := range []string{"a", "b", "c", "d", "f", "g"} {
		dictionary[name] = &parquet.RLEDictionary
	}
	ways := map[string]func(string, parquet.Node) parquet.Node{
		"plain":      plain,
		"dictionary": by(dictionary),
		"delta": by(map[string]encoding.Encoding{
			"a": &parquet.DeltaBinaryPacked, "b": &parquet.DeltaLengthByteArray, "c": &parquet.DeltaBinaryPacked, "e": &parquet.RLE, "g": &parquet.DeltaByteArray, "f": &parquet.DeltaByteArray,
		}),
		"split": by(map[string]encoding.Encoding{"a": &parquet.ByteStreamSplit, "c": &parquet.ByteStreamSplit, "d": &parquet.ByteStreamSplit, "f": &parquet.ByteStreamSplit}),
	}
	codecs := []compress.Codec{&parquet.Uncompressed, &parquet.Snappy, &parquet.Gzip, &parquet.Zstd, &parquet.Brotli, &parquet.Lz4Raw}
	for name, encode := range ways {
		for i, codec := range codecs {
			t.Run(name+" "+codec.String(), func(t *testing.T) {
				t.Parallel()
				data, want := numbers(t, 3000, encode, parquet.Compression(codec), parquet.DataPageVersion(1+i%2), parquet.PageBufferSize(1000), parquet.MaxRowsPerRowGroup(1100))
				f := open(t, data, parquettext.Options{Chunk: 5000})
				got, faults := text(t, f, numberFields(f))
				if diff := cmp.Diff(strings.Split(strings.Join(want, ""), "\n"), strings.Split(got, "\n")); diff != "" || len(faults) > 0 {
					t.Errorf("%v%s", faults, diff[:min(len(diff), 2000)])
				}
			})
		}
	}
}

// TestChunks holds that chunks are the same however they are asked for: by several
// goroutines, in any order, from any one on, twice, and some columns only.
func TestChunks(t *testing.T) {
	t.Parallel()
	data, want := numbers(t, 5000, plain, parquet.PageBufferSize(700), parquet.MaxRowsPerRowGroup(1234))
	f := open(t, data, parquettext.Options{Chunk: 3000})
	if f.Rows() != 5000 || f.Chunks() < 50 {
		t.Fatalf("%d rows in %d chunks", f.Rows(), f.Chunks())
	}
	check := func(r *parquettext.Reader, chunk int64) {
		got, _, err := r.AppendChunk(nil, chunk)
		first, n := f.RowsOf(chunk)
		if wanted := strings.Join(want[first:first+n], ""); err != nil || string(got) != wanted {
			t.Errorf("chunk %d: got %q, %v, want %q", chunk, got, err, wanted)
		}
	}
	random := rand.New(rand.NewPCG(2, 2))
	for range 20 {
		r, err := f.NewReader(numberFields(f))
		if err != nil {
			t.Fatal(err)
		}
		start := random.Int64N(f.Chunks())
		r.Start(start)
		chunks := make(chan int64)
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				for chunk := range chunks {
					check(r, chunk)
				}
			})
		}
		for i := start; i < f.Chunks(); i++ {
			chunks <- i
		}
		close(chunks)
		wait.Wait()
		if held := r.Held(); held != 0 {
			t.Errorf("%d bytes are held at the end", held)
		}
		for range 5 {
			check(r, random.Int64N(f.Chunks()))
		}
	}
}

// TestFewColumns holds that columns which are not asked for are not needed, and that fields
// may come in any order.
func TestFewColumns(t *testing.T) {
	t.Parallel()
	data, want := numbers(t, 100, plain)
	f := open(t, data, parquettext.Options{})
	got, _ := text(t, f, []parquettext.Field{{Name: "f"}, {Name: "a"}})
	for i, record := range strings.Split(strings.TrimSuffix(got, "\n"), "\n") {
		fields := strings.Split(want[i], "\t")
		if record != fields[5]+"\t"+fields[0] {
			t.Errorf("row %d is %q", i, record)
		}
	}
}
