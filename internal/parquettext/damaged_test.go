package parquettext_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"shardload/internal/parquettext"
	"shardload/internal/pgcopy"
)

// rows reads all of data, and returns how many rows it has.
func rows(data []byte, opt parquettext.Options) (n int64, err error) {
	f, err := parquettext.Open(bytes.NewReader(data), int64(len(data)), opt)
	if err != nil {
		return 0, err
	}
	var fields []parquettext.Field
	for _, field := range all(f, 0) {
		for _, as := range []parquettext.As{parquettext.AsValue, parquettext.AsArray, parquettext.AsJSON} {
			field.As = as
			if _, err := f.NewReader([]parquettext.Field{field}); err == nil {
				fields = append(fields, field)
				break
			}
		}
	}
	r, err := f.NewReader(fields)
	if err != nil {
		return 0, err
	}
	var text []byte
	for i := range f.Chunks() {
		if text, _, err = r.AppendChunk(text[:0], i); err != nil {
			return n, err
		}
		_, rows := f.RowsOf(i)
		if err := binaryRows(f, fields, i, rows); err != nil {
			return n, err
		}
		if lines := int64(bytes.Count(text, []byte{'\n'})); lines < rows {
			panic("fewer lines than rows")
		}
		n += rows
	}
	return n, nil
}

// binaryRows makes binary rows of a chunk, and compares their number.
func binaryRows(f *parquettext.File, fields []parquettext.Field, chunk, want int64) error {
	r, err := f.NewReader(fields)
	if err != nil {
		return err
	}
	types := make([]parquettext.Type, len(fields))
	for i := range types {
		types[i] = parquettext.Type{OID: []uint32{pgtype.TextOID, pgtype.Int8OID, pgtype.TimestampOID, pgtype.ByteaOID}[(i+int(chunk))%4], Mod: -1}
	}
	if !r.SetTypes(types, pgcopy.Options{UTF8: true}) {
		panic("a type has no binary form")
	}
	var rows parquettext.Rows
	sure, err := r.AppendRows(&rows, chunk, 1<<20)
	if err == nil && sure && (int64(len(rows.RowEnds)) != want || len(rows.Ends) != len(rows.RowEnds)*len(fields)) {
		panic("other rows than there are")
	}
	return err
}

// small is for files that may be made to do harm.
var small = parquettext.Options{MaxPage: 1 << 20, Memory: 8 << 20, Chunk: 4 << 10}

// TestTruncated holds that a file which was cut short is refused, wherever it was cut.
func TestTruncated(t *testing.T) {
	t.Parallel()
	data, _ := numbers(t, 60, plain, parquet.Compression(&parquet.Snappy))
	for n := range data {
		if got, err := rows(data[:n], small); err == nil {
			t.Fatalf("%d of %d bytes have %d rows", n, len(data), got)
		}
	}
}

// TestFlippedBits holds that a byte which is another one leads to an error, or to a file with
// as many rows, and never to a panic.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	data, _ := numbers(t, 60, plain, parquet.Compression(&parquet.Snappy))
	whole, err := rows(data, small)
	if err != nil || whole != 60 {
		t.Fatal(whole, err)
	}
	wrong, tried := 0, 0
	for i := range data {
		flips := []byte{0x01, 0x10, 0x80, 0xff}
		if testing.Short() {
			flips = flips[i%len(flips):][:1]
		}
		for _, flip := range flips {
			tried++
			bad := slices.Clone(data)
			bad[i] ^= flip
			switch n, err := rows(bad, small); {
			case err != nil:
				wrong++
			case n != whole:
				t.Errorf("byte %d, bits %02x: %d rows without an error", i, flip, n)
			}
		}
	}
	if wrong < tried/4 {
		t.Errorf("only %d of %d changes were noticed", wrong, tried)
	}
}

// TestChecksum holds that a page is compared with its checksum.
func TestChecksum(t *testing.T) {
	t.Parallel()
	data := column(t, parquet.Leaf(parquet.Int64Type), []any{int64(0), int64(0x1122334455667788), int64(math.MaxInt64)})
	i := bytes.Index(data, []byte{0x88, 0x77, 0x66, 0x55})
	data[i] ^= 1
	if _, err := rows(data, small); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("got %v", err)
	}
}

// changed returns a file with other metadata.
func changed(t *testing.T, data []byte, change func(*format.FileMetaData)) []byte {
	t.Helper()
	n := int(binary.LittleEndian.Uint32(data[len(data)-8:]))
	start := len(data) - 8 - n
	var meta format.FileMetaData
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), data[start:start+n], &meta); err != nil {
		t.Fatal(err)
	}
	change(&meta)
	footer, err := thrift.Marshal(new(thrift.CompactProtocol), &meta)
	if err != nil {
		t.Fatal(err)
	}
	out := append(slices.Clone(data[:start]), footer...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(footer)))
	return append(out, parquettext.Magic...)
}

// TestLies holds that no number in a file's metadata is believed.
func TestLies(t *testing.T) {
	t.Parallel()
	data, _ := numbers(t, 60, plain, parquet.DataPageVersion(1))
	chunk := func(change func(*format.ColumnMetaData)) func(*format.FileMetaData) {
		return func(m *format.FileMetaData) { change(&m.RowGroups[0].Columns[1].MetaData) }
	}
	for name, change := range map[string]func(*format.FileMetaData){
		"rows of the file": func(m *format.FileMetaData) { m.NumRows++ },
		"rows of a group":  func(m *format.FileMetaData) { m.RowGroups[0].NumRows-- },
		"rows of both":     func(m *format.FileMetaData) { m.RowGroups[0].NumRows++; m.NumRows++ },
		"fewer rows and values": func(m *format.FileMetaData) {
			m.NumRows--
			m.RowGroups[0].NumRows--
			for i := range m.RowGroups[0].Columns {
				m.RowGroups[0].Columns[i].MetaData.NumValues--
			}
		},
		"more rows and values": func(m *format.FileMetaData) {
			m.NumRows++
			m.RowGroups[0].NumRows++
			for i := range m.RowGroups[0].Columns {
				m.RowGroups[0].Columns[i].MetaData.NumValues++
			}
		},
		"negative rows":           func(m *format.FileMetaData) { m.RowGroups[0].NumRows, m.NumRows = -1, -1 },
		"a group too few":         func(m *format.FileMetaData) { m.RowGroups = nil },
		"a column too few":        func(m *format.FileMetaData) { m.RowGroups[0].Columns = m.RowGroups[0].Columns[1:] },
		"children":                func(m *format.FileMetaData) { m.Schema[0].NumChildren.V = math.MaxInt32 },
		"negative children":       func(m *format.FileMetaData) { m.Schema[0].NumChildren.V = -5 },
		"length of a type":        func(m *format.FileMetaData) { m.Schema[6].TypeLength.V = 1 << 30 },
		"unknown type":            func(m *format.FileMetaData) { m.Schema[1].Type.V = 77 },
		"values":                  chunk(func(m *format.ColumnMetaData) { m.NumValues = math.MaxInt64 }),
		"negative values":         chunk(func(m *format.ColumnMetaData) { m.NumValues = -1 }),
		"offset behind the end":   chunk(func(m *format.ColumnMetaData) { m.DataPageOffset = 1 << 40; m.DictionaryPageOffset = 0 }),
		"negative offset":         chunk(func(m *format.ColumnMetaData) { m.DataPageOffset = -1 }),
		"offset elsewhere":        chunk(func(m *format.ColumnMetaData) { m.DataPageOffset += 7; m.DictionaryPageOffset = 0 }),
		"length":                  chunk(func(m *format.ColumnMetaData) { m.TotalCompressedSize = math.MaxInt64 }),
		"length that is negative": chunk(func(m *format.ColumnMetaData) { m.TotalCompressedSize = math.MinInt64 }),
		"codec":                   chunk(func(m *format.ColumnMetaData) { m.Codec = format.Gzip }),
		"unknown codec":           chunk(func(m *format.ColumnMetaData) { m.Codec = 99 }),
		"LZO":                     chunk(func(m *format.ColumnMetaData) { m.Codec = format.LZO }),
		"type":                    chunk(func(m *format.ColumnMetaData) { m.Type = format.Int96 }),
		"another file":            func(m *format.FileMetaData) { m.RowGroups[0].Columns[0].FilePath = "/etc/passwd" },
		"encrypted":               func(m *format.FileMetaData) { m.EncryptionAlgorithm.Value = &format.AesGcmV1{} },
		"twice the same name":     func(m *format.FileMetaData) { m.Schema[2].Name = "a" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if n, err := rows(changed(t, data, change), small); err == nil {
				t.Errorf("%d rows without an error", n)
			} else if strings.Contains(err.Error(), "runtime error") {
				t.Error(err)
			}
		})
	}
}

// TestNoRows holds that a file without rows is one, and a file without columns is none.
func TestNoRows(t *testing.T) {
	t.Parallel()
	f := open(t, column(t, parquet.String(), nil), parquettext.Options{})
	if got, _ := text(t, f, all(f, 0)); got != "" || f.Rows() != 0 || f.Chunks() != 0 {
		t.Errorf("got %q, %d rows", got, f.Rows())
	}
	data := changed(t, column(t, parquet.String(), nil), func(m *format.FileMetaData) { m.Schema, m.RowGroups = m.Schema[:1], nil; m.Schema[0].NumChildren.V = 0 })
	if _, err := rows(data, small); err == nil || err.Error() != "has no columns" {
		t.Errorf("got %v", err)
	}
}

// TestBounds holds that little data which stand for much take no memory.
func TestBounds(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 2<<20)
	for name, data := range map[string][]byte{
		"long page":       column(t, parquet.String(), []any{long}, parquet.Compression(&parquet.Zstd)),
		"long prefixes":   column(t, parquet.Encoded(parquet.String(), &parquet.DeltaByteArray), repeated(long[:1<<19], 100), parquet.Compression(&parquet.Uncompressed)),
		"many equal ones": column(t, parquet.Encoded(parquet.String(), &parquet.RLEDictionary), repeated("x", 1<<20), parquet.PageBufferSize(1<<30), parquet.Compression(&parquet.Uncompressed)),
	} {
		if n, err := rows(data, small); err == nil || !strings.Contains(err.Error(), "smaller row groups") {
			t.Errorf("%s: %d rows, %v", name, n, err)
		}
	}
}

// TestMemory holds that the pages of all columns together have a bound, too.
func TestMemory(t *testing.T) {
	t.Parallel()
	data, _ := numbers(t, 20_000, plain)
	if n, err := rows(data, parquettext.Options{Memory: 64 << 10}); err == nil || !strings.Contains(err.Error(), "needs more than 65536 bytes of memory; write the file anew with smaller row groups") {
		t.Errorf("%d rows, %v", n, err)
	}
}

func repeated(s string, n int) []any { return slices.Repeat([]any{s}, n) }

// TestRefused holds what has no place, and what is said of it.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		node parquet.Node
		as   parquettext.As
		want string
	}{
		{parquet.BSON(), 0, `column "v": holds BSON, which is not loaded; write the file anew without it`},
		{parquet.Group{"a": parquet.String()}, 0, `column "v": is a group of columns in the file, and text in the table; its place is a json or jsonb column; load it into such a column, or write the file anew without it`},
		{parquet.List(parquet.String()), 0, `column "v": is a list in the file, and text in the table; its place is an array column, or a json or jsonb column; load it into such a column, or write the file anew without it`},
		{parquet.List(parquet.Group{"a": parquet.String()}), parquettext.AsArray, `column "v": is a list in the file, and text in the table; its place is a json or jsonb column; load it into such a column, or write the file anew without it`},
		{parquet.Map(parquet.String(), parquet.BSON()), parquettext.AsJSON, `column "v.key_value.value": holds BSON, which is not loaded; write the file anew without it`},
	} {
		f := open(t, write(t, parquet.NewSchema("t", parquet.Group{"v": tt.node}), nil), parquettext.Options{})
		if _, err := f.NewReader(all(f, tt.as)); err == nil || err.Error() != tt.want {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
	}
	for data, want := range map[string]string{
		"":                             "is too short for a Parquet file",
		"a,b\n1,2\n3,4\n5,6\n":         `is no Parquet file: it begins with "a,b\n", want "PAR1"`,
		"PAR1,b\n1,2\n3,4\n5,6\n":      `is no whole Parquet file: it ends with "5,6\n", want "PAR1"; copy or write it anew, it may have been cut short`,
		"PARE............PARE":         "is an encrypted Parquet file; decrypt it: write it anew without encryption",
		"PAR1\xff\xff\xff\xffPAR1":     "its footer is of 4294967295 bytes, and at most 67108864 are read",
		"PAR1\x09\x00\x00\x00PAR1":     "its footer is said to be of 9 bytes, more than the file has",
		"PAR1abcd\x04\x00\x00\x00PAR1": "footer: ends inside its metadata",
	} {
		if _, err := rows([]byte(data), small); err == nil || err.Error() != want {
			t.Errorf("%q: got  %v\nwant %s", data, err, want)
		}
	}
}

// FuzzFile holds that no file leads to a panic, or to other rows than it says it has: whole ones,
// in which some bytes are others.
func FuzzFile(f *testing.F) {
	var files [][]byte
	for _, path := range corpus(f) {
		if data, err := os.ReadFile(filepath.Clean(path)); err == nil && len(data) < 50<<10 {
			files = append(files, data)
		}
	}
	for _, version := range []int{1, 2} {
		data, _ := numbers(f, 20, plain, parquet.DataPageVersion(version))
		files = append(files, data)
	}
	for i, data := range files {
		f.Add(byte(i), uint32(4), []byte{})
		f.Add(byte(i), uint32(len(data)-20), []byte{0xff})
	}
	f.Fuzz(func(t *testing.T, file byte, at uint32, patch []byte) {
		data := slices.Clone(files[int(file)%len(files)])
		copy(data[int(at)%len(data):], patch)
		_, err := rows(data, parquettext.Options{MaxPage: 64 << 10, Memory: 1 << 20, Chunk: 512})
		if err != nil && strings.Contains(err.Error(), "runtime error") {
			t.Errorf("panic: %v", err)
		}
	})
}
