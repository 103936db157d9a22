package loader_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// parquetFile writes rows to a file of that name, and returns its path.
func parquetFile(t testing.TB, name string, columns parquet.Group, rows []parquet.Row, options ...parquet.WriterOption) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := parquet.NewWriter(f, append([]parquet.WriterOption{parquet.NewSchema("t", columns)}, options...)...)
	if _, err = w.WriteRows(rows); err == nil {
		err = w.Close()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// A kind is a type of Parquet, a type of PostgreSQL that its values go into, and some values,
// each beside the text that somebody would export for it.
type parquetKind struct {
	node   parquet.Node
	into   string
	values []any
	texts  []string
}

// Each type of both is among the first ones.
const differentKinds = 33

var parquetKinds = []parquetKind{
	{parquet.Leaf(parquet.BooleanType), "boolean", []any{true, false}, []string{"true", "false"}},
	{parquet.Leaf(parquet.Int32Type), "smallint", []any{int32(-32768), int32(7)}, []string{"-32768", "7"}},
	{parquet.Leaf(parquet.Int32Type), "int", []any{int32(math.MinInt32), int32(0)}, []string{"-2147483648", "0"}},
	{parquet.Leaf(parquet.Int64Type), "numeric(21,2)", []any{int64(math.MaxInt64)}, []string{"9223372036854775807"}},
	{parquet.Int(8), "smallint", []any{int32(-128)}, []string{"-128"}},
	{parquet.Uint(32), "bigint", []any{int32(-1)}, []string{"4294967295"}},
	{parquet.Uint(64), "numeric", []any{int64(-1)}, []string{"18446744073709551615"}},
	{parquet.Leaf(parquet.FloatType), "real", []any{float32(0.1), float32(-1e20), float32(math.Inf(1)), float32(math.NaN())}, []string{"0.1", "-1e+20", "Infinity", "NaN"}},
	{parquet.Leaf(parquet.DoubleType), "double precision", []any{0.1, 5e-324, math.MaxFloat64, math.Copysign(0, -1), math.Inf(-1)}, []string{"0.1", "5e-324", "1.7976931348623157e+308", "-0", "-Infinity"}},
	{parquet.Leaf(parquet.DoubleType), "text", []any{1e15, 123456.5, 0.00001}, []string{"1e+15", "123456.5", "1e-05"}},
	{parquet.String(), "text", []any{"", "a\tb\\c\n", "größe", `\N`}, []string{"", `a\tb\\c\n`, "größe", `\\N`}},
	{parquet.String(), "varchar(5)", []any{"größe", "12345"}, []string{"größe", "12345"}},
	{parquet.String(), "char(5)", []any{"a"}, []string{"a"}},
	{parquet.String(), "int", []any{"12", " 7"}, []string{"12", " 7"}},
	{parquet.String(), "text[]", []any{`{a,"b c"}`}, []string{`{a,"b c"}`}},
	{parquet.String(), "jsonb", []any{`{"a":1,  "a":2}`}, []string{`{"a":1,  "a":2}`}},
	{parquet.Enum(), "mood", []any{"sad", "happy"}, []string{"sad", "happy"}},
	{parquet.JSON(), "json", []any{`{"b": [1,  2]}`}, []string{`{"b": [1,  2]}`}},
	{parquet.UUID(), "uuid", []any{[]byte("0123456789abcdef")}, []string{"30313233-3435-3637-3839-616263646566"}},
	{parquet.Leaf(parquet.ByteArrayType), "bytea", []any{"\x00\xff", ""}, []string{`\\x00ff`, `\\x`}},
	{parquet.Decimal(2, 9, parquet.Int32Type), "numeric(9,2)", []any{int32(-5), int32(123456789)}, []string{"-0.05", "1234567.89"}},
	{parquet.Decimal(4, 18, parquet.Int64Type), "numeric", []any{int64(10000)}, []string{"1.0000"}},
	{parquet.Decimal(3, 38, parquet.FixedLenByteArrayType(16)), "numeric", []any{[]byte("\x4b\x3b\x4c\xa8\x5a\x86\xc4\x7a\x09\x8a\x22\x3f\xff\xff\xff\xff")}, []string{"99999999999999999999999999999999999.999"}},
	{parquet.Date(), "date", []any{int32(-719163), int32(17497), int32(2932897)}, []string{"0001-12-31 BC", "2017-11-27", "10000-01-01"}},
	{parquet.Time(parquet.Millisecond), "time", []any{int32(45_296_123)}, []string{"12:34:56.123"}},
	{parquet.Time(parquet.Microsecond), "timetz", []any{int64(86_400_000_000)}, []string{"24:00:00+00"}},
	{parquet.TimeAdjusted(parquet.Nanosecond, false), "time", []any{int64(1_500)}, []string{"00:00:00.0000015"}},
	{parquet.TimestampAdjusted(parquet.Millisecond, false), "timestamp", []any{int64(-1), int64(1_511_786_096_123)}, []string{"1969-12-31 23:59:59.999", "2017-11-27 12:34:56.123"}},
	{parquet.TimestampAdjusted(parquet.Microsecond, true), "timestamptz", []any{int64(1_511_786_096_123_456), int64(-62135596800000001)}, []string{"2017-11-27 12:34:56.123456+00", "0001-12-31 23:59:59.999999+00 BC"}},
	{parquet.TimestampAdjusted(parquet.Microsecond, true), "timestamp(0)", []any{int64(1_511_786_096_523_456)}, []string{"2017-11-27 12:34:56.523456"}},
	{parquet.TimestampAdjusted(parquet.Nanosecond, true), "timestamptz(3)", []any{int64(1_511_786_096_123_456_789), int64(500)}, []string{"2017-11-27 12:34:56.123456789+00", "1970-01-01 00:00:00.0000005+00"}},
	{parquet.Leaf(parquet.Int96Type), "timestamp", []any{deprecated.Int96{1000, 0, 2440589}}, []string{"1970-01-02 00:00:00.000001"}},
	{parquet.IntervalNode(), "interval", []any{[]byte("\x0e\x00\x00\x00\x03\x00\x00\x00\x05\x8e\x67\x12")}, []string{"14 mons 3 days 308776.453 seconds"}},

	{parquet.Leaf(parquet.BooleanType), "text", []any{true}, []string{"t"}},
	{parquet.Leaf(parquet.Int32Type), "bigint", []any{int32(-1)}, []string{"-1"}},
	{parquet.Leaf(parquet.Int64Type), "int", []any{int64(-5)}, []string{"-5"}},
	{parquet.Leaf(parquet.Int64Type), "text", []any{int64(42)}, []string{"42"}},
	{parquet.Leaf(parquet.FloatType), "double precision", []any{float32(0.1)}, []string{"0.1"}},
	{parquet.Leaf(parquet.DoubleType), "real", []any{0.1}, []string{"0.1"}},
	{parquet.UUID(), "text", []any{[]byte("0123456789abcdef")}, []string{"30313233-3435-3637-3839-616263646566"}},
	{parquet.Leaf(parquet.ByteArrayType), "text", []any{"plain"}, []string{"plain"}},
	{parquet.Decimal(4, 18, parquet.Int64Type), "numeric(10,1)", []any{int64(12500)}, []string{"1.25"}},
	{parquet.Date(), "timestamp", []any{int32(17497)}, []string{"2017-11-27 00:00:00"}},
	{parquet.TimestampAdjusted(parquet.Millisecond, false), "timestamptz", []any{int64(0)}, []string{"1970-01-01 00:00:00"}},
	{parquet.Leaf(parquet.Int96Type), "timestamptz", []any{deprecated.Int96{0, 0, 2440588}}, []string{"1970-01-01 00:00:00+00"}},
}

// TestParquetSameAsCopy holds that values of each type are stored as COPY stores their text, in
// binary where both mean the same for certain and as text where not.
func TestParquetSameAsCopy(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, "CREATE TYPE mood AS ENUM ('sad', 'happy')")
		rows := pgtest.Sized(300, 3000)
		for i, kind := range pgtest.Some(differentKinds, parquetKinds) {
			table := fmt.Sprintf("kind%d", i)
			exec(t, conn, fmt.Sprintf("CREATE TABLE %s (id int, v %s)", table, kind.into))
			distribute(t, conn, table, "id")
			var data []parquet.Row
			var in strings.Builder
			for id := range rows {
				k := id % (len(kind.values) + 1)
				value, text, level := parquet.NullValue(), `\N`, 0
				if k < len(kind.values) {
					value, text, level = parquet.ValueOf(kind.values[k]), kind.texts[k], 1
				}
				data = append(data, parquet.Row{parquet.ValueOf(int32(id)).Level(0, 0, 0), value.Level(0, level, 1)})
				fmt.Fprintf(&in, "%d\t%s\n", id, text)
			}
			path := parquetFile(t, table+".parquet", parquet.Group{"id": parquet.Leaf(parquet.Int32Type), "v": parquet.Optional(kind.node)}, data, parquet.MaxRowsPerRowGroup(int64(rows/3)))
			if _, err := conn.PgConn().CopyFrom(context.Background(), strings.NewReader(in.String()), "COPY "+table+" FROM STDIN"); err != nil {
				t.Fatalf("%s: %v", kind.into, err)
			}
			as := "SELECT id, v::text FROM " + table + " ORDER BY id"
			want := query(t, conn, as)
			exec(t, conn, "TRUNCATE "+table)
			cfg := loader.Config{Conn: parse(t, dsn), Table: table, NoResume: true, Format: loader.FormatParquet, Route: inTurn(i, routes(t))[0]}
			cfg = cfg.WithChunkSize(pgtest.Sized(2000, 20_000))
			res, err := open(t, cfg).Load(context.Background(), loader.File(path))
			if err != nil || res.Rows != int64(rows) {
				t.Errorf("%s into %s: %d rows, %v", kind.node, kind.into, res.Rows, err)
				continue
			}
			if diff := cmp.Diff(want, query(t, conn, as)); diff != "" {
				t.Errorf("%s into %s: rows (-COPY +loader):\n%s", kind.node, kind.into, diff[:min(len(diff), 1000)])
			}
		}
	})
}

// TestParquetNested holds that lists become arrays, and everything nested JSON.
func TestParquetNested(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, "CREATE TABLE nested (id int, a int[], b text[], c jsonb, d json, e timestamptz[], missing text DEFAULT 'there')")
		distribute(t, conn, "nested", "id")
		schema := parquet.Group{
			"id": parquet.Leaf(parquet.Int32Type),
			"a":  parquet.Repeated(parquet.Leaf(parquet.Int32Type)),
			"b":  parquet.Optional(parquet.List(parquet.Optional(parquet.String()))),
			"c":  parquet.Optional(parquet.Group{"x": parquet.Leaf(parquet.Int64Type), "y": parquet.Optional(parquet.String())}),
			"d":  parquet.Map(parquet.String(), parquet.Leaf(parquet.DoubleType)),
			"e":  parquet.List(parquet.Timestamp(parquet.Millisecond)),
		}
		v := parquet.ValueOf
		null := parquet.NullValue()
		path := parquetFile(t, "nested.parquet", schema, []parquet.Row{
			{
				v(int32(1)).Level(0, 1, 0), v(int32(2)).Level(1, 1, 0), v(`q"\ x`).Level(0, 3, 1), null.Level(1, 2, 1), v("null").Level(1, 3, 1), v(int64(7)).Level(0, 1, 2), v("a\"\n").Level(0, 2, 3),
				v("k").Level(0, 1, 4), v(0.5).Level(0, 1, 5), v(int64(0)).Level(0, 1, 6), v(int32(1)).Level(0, 0, 7),
			},
			{
				null.Level(0, 0, 0), null.Level(0, 0, 1), null.Level(0, 0, 2), null.Level(0, 0, 3),
				null.Level(0, 0, 4), null.Level(0, 0, 5), null.Level(0, 0, 6), v(int32(2)).Level(0, 0, 7),
			},
			{
				null.Level(0, 0, 0), null.Level(0, 1, 1), v(int64(8)).Level(0, 1, 2), null.Level(0, 1, 3),
				v("k").Level(0, 1, 4), v(1e20).Level(0, 1, 5), null.Level(0, 0, 6), v(int32(3)).Level(0, 0, 7),
			},
		})
		cfg := loader.Config{Conn: parse(t, dsn), Table: "nested", Format: loader.FormatParquet}
		if _, err := open(t, cfg).Load(context.Background(), loader.File(path)); err != nil {
			t.Fatal(err)
		}
		exec(t, conn, "SET timezone = 'UTC'")
		want := []string{
			`1|{1,2}|{"q\"\\ x",NULL,"null"}|{"x": 7, "y": "a\"\n"}|{"k": 0.5}|{"1970-01-01 00:00:00+00"}|there`,
			`2|{}|NULL|NULL|{}|{}|there`,
			`3|{}|{}|{"x": 8, "y": null}|{"k": 1e+20}|{}|there`,
		}
		if diff := cmp.Diff(want, query(t, conn, "SELECT id, a::text, b::text, c::text, d::text, e::text, missing FROM nested ORDER BY id")); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
	})
}

// flowParquet writes the first rows of a flow to a Parquet file.
func flowParquet(t *testing.T, rows int) string {
	t.Helper()
	begin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	var data []parquet.Row
	for i := range rows {
		data = append(data, parquet.Row{
			parquet.ValueOf(begin.Add(time.Duration(i)*time.Second).UnixMicro()).Level(0, 0, 0), parquet.ValueOf(int32(i)).Level(0, 0, 1), parquet.ValueOf(int64(i)*1000003).Level(0, 0, 2),
			parquet.ValueOf(strings.Repeat("x", 200)+fmt.Sprint(i*7)).Level(0, 0, 3), parquet.ValueOf(int32(i%100)).Level(0, 0, 4),
		})
	}
	return parquetFile(t, "flow.parquet", parquet.Group{
		"id": parquet.Leaf(parquet.Int32Type), "tenant": parquet.Leaf(parquet.Int32Type), "name": parquet.String(), "n": parquet.Leaf(parquet.Int64Type), "at": parquet.Timestamp(parquet.Microsecond),
	}, data, parquet.MaxRowsPerRowGroup(3456), parquet.PageBufferSize(20_000))
}

// TestParquetResume holds that a load of a Parquet file which is stopped again and again stores
// every row once.
func TestParquetResume(t *testing.T) {
	t.Parallel()
	const rows = 12_000
	pgtest.One(t, func(t *testing.T, dsn string) {
		path := flowParquet(t, rows)
		conn := makeFlowing(t, dsn)
		ways := routes(t)
		cfg := pieces(t, dsn)
		cfg.Format = loader.FormatParquet
		cfg = cfg.WithChunkSize(60_000)
		err := context.Canceled
		runs := 0
		for ; errors.Is(err, context.Canceled); runs++ {
			cfg.Route = ways[runs%len(ways)]
			cfg.Batch = 4<<10 + rand.IntN(16<<10)
			_, err = run(t, cfg, loader.File(path), 1+rand.Int64N(80))
		}
		if err != nil || runs < 3 {
			t.Fatalf("after %d runs: %v", runs, err)
		}
		complete(t, conn, cfg, loader.File(path), rows)
		// The same name with other rows is not taken for what was loaded.
		if err := os.Rename(flowParquet(t, rows+500), path); err != nil {
			t.Fatal(err)
		}
		if _, err := run(t, cfg, loader.File(path), 0); err == nil {
			t.Error("a file that has grown is loaded beside its rows")
		}
		sameRows(t, conn, "flowing", rows)
	})
}

// TestParquetRejects holds that a row which cannot be stored is named by its number, and that
// what is kept of it loads once it is mended.
func TestParquetRejects(t *testing.T) {
	t.Parallel()
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		exec(t, conn, "TRUNCATE things")
		var data []parquet.Row
		for i := range 200 {
			name, n, level := fmt.Sprint("a\t", i), fmt.Sprint(i), 1
			switch i {
			case 20:
				name = "\xff"
			case 30:
				n = "many"
			case 40:
				level = 0
			}
			data = append(data, parquet.Row{
				parquet.ValueOf(int32(i)).Level(0, 0, 0), parquet.ValueOf(n).Level(0, 0, 1), parquet.ValueOf(name).Level(0, level, 2), parquet.ValueOf(int32(i%7)).Level(0, 0, 3),
			})
			if level == 0 {
				data[i][2] = parquet.NullValue().Level(0, 0, 2)
			}
		}
		path := parquetFile(t, "things.parquet", parquet.Group{
			"id": parquet.Leaf(parquet.Int32Type), "n": parquet.String(), "name": parquet.Optional(parquet.String()), "tenant": parquet.Leaf(parquet.Int32Type),
		}, data)
		cfg := loader.Config{Conn: parse(t, dsn), Table: "things", Format: loader.FormatParquet, Route: route}
		_, err := open(t, cfg).Load(context.Background(), loader.File(path))
		if row, ok := errors.AsType[*loader.RowError](err); !ok || row.Line != 21 && row.Line != 31 && row.Line != 41 || !strings.Contains(err.Error(), fmt.Sprintf("things.parquet: row %d", row.Line)) {
			t.Fatalf("error %v, want one of row 21, 31 or 41", err)
		}
		exec(t, conn, "TRUNCATE things; DROP TABLE IF EXISTS shardload_jobs CASCADE")
		cfg.MaxErrors, cfg.RejectsDir, cfg.Job = loader.ErrorLimit{Records: 3}, t.TempDir(), "rejects"
		res, err := open(t, cfg).Load(context.Background(), loader.File(path))
		if err != nil || res.Rows != 197 || res.Rejected != 3 {
			t.Fatalf("%+v, %v; want 197 rows and 3 rejected ones", res, err)
		}
		got, err := os.ReadFile(strings.TrimSuffix(res.Rejects, ".jsonl") + ".txt")
		want := "id\tn\tname\ttenant\n20\t20\t\xff\t6\n30\tmany\ta\\t30\t2\n40\t40\t\\N\t5\n"
		if err != nil || string(got) != want {
			t.Fatalf("rejected records %q, %v; want %q", got, err, want)
		}
		if _, err := load(t, dsn, "things", want, asText, func(c *loader.Config) { c.Route = route }); err == nil {
			t.Error("what was rejected loads as it is")
		}
		mended := strings.NewReplacer("\xff", "mended", "many", "1", `\N`, "name").Replace(want)
		exec(t, conn, "DELETE FROM things WHERE id IN (20, 30, 40)")
		if _, err := load(t, dsn, "things", mended, asText, func(c *loader.Config) { c.Route = route }); err != nil {
			t.Fatal(err)
		}
		if got := query(t, conn, "SELECT count(*), count(DISTINCT id), sum(length(name)) FROM things")[0]; got != "200|200|892" {
			t.Errorf("rows, ids, letters: %s", got)
		}
	})
}

// TestParquetErrors holds what is said of a file that cannot be loaded, before anything is.
func TestParquetErrors(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, things)
	id := func(extra string, node parquet.Node) string {
		columns := parquet.Group{"id": parquet.Leaf(parquet.Int32Type), "tenant": parquet.Leaf(parquet.Int32Type), "name": parquet.String(), extra: node}
		schema := parquet.NewSchema("t", columns)
		row := parquet.Row{}
		for i, c := range schema.Columns() {
			node, _ := schema.Lookup(c...)
			v := parquet.ZeroValue(node.Node.Type().Kind())
			row = append(row, v.Level(0, node.MaxDefinitionLevel, i))
		}
		return parquetFile(t, "in.parquet", columns, []parquet.Row{row})
	}
	good := id("n", parquet.Leaf(parquet.Int64Type))
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	file := func(data string) string {
		path := filepath.Join(t.TempDir(), "in.parquet")
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, tt := range map[string]struct {
		in   loader.Input
		want string
	}{
		"an unknown column": {loader.File(id("nope", parquet.String())), `column "nope": is not in table public.things`},
		"a missing column":  {loader.File(parquetFile(t, "in.parquet", parquet.Group{"id": parquet.Leaf(parquet.Int32Type)}, []parquet.Row{{parquet.ValueOf(int32(1)).Level(0, 0, 0)}})), `column "name": is missing`},
		"a nested column":   {loader.File(id("note", parquet.Group{"a": parquet.String()})), `in.parquet: column "note": is a group of columns in the file, and text in the table; its place is a json or jsonb column`},
		"BSON":              {loader.File(id("note", parquet.BSON())), `column "note": holds BSON`},
		"a cut file":        {loader.File(file(string(data[:len(data)-5]))), "in.parquet: is no whole Parquet file"},
		"no Parquet file":   {loader.File(file("id,tenant,name\n1,2,x\n")), "in.parquet: is no Parquet file"},
		"gzip":              {loader.File(file("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")), "is compressed by gzip, and a Parquet file is read from its end; decompress it: gzip -d"},
		"standard input":    {loader.Reader("-", strings.NewReader(string(data))), "-: a Parquet file is read from its end, and this is no regular file; write it to a file and load that"},
		"blocks":            {loader.Blocks("blocks", modelBlocks{[]byte("1,1,a\n")}), "are CSV"},
		"no file":           {loader.File("nowhere.parquet"), "nowhere.parquet: no such file"},
	} {
		l := open(t, loader.Config{Conn: parse(t, dsn), Table: "things", Format: loader.FormatParquet, NoResume: true})
		if _, err := l.Load(context.Background(), tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got  %v\nwant %s", name, err, tt.want)
		}
	}
	if got := query(t, conn, "SELECT count(*) FROM things")[0]; got != "0" {
		t.Errorf("%s rows are stored", got)
	}
	refusesDialects(t, dsn, loader.FormatParquet, loader.Config{Delimiter: ';'}, loader.Config{Null: "x"}, loader.Config{Header: loader.HeaderNo}, loader.Config{Encoding: "LATIN1"})
}

// TestParquetEmpty holds that a file without rows is loaded, with nothing.
func TestParquetEmpty(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	exec(t, pgtest.Connect(t, dsn), things)
	path := parquetFile(t, "things.parquet", parquet.Group{"id": parquet.Leaf(parquet.Int32Type)}, nil)
	res, err := open(t, loader.Config{Conn: parse(t, dsn), Table: "things", Format: loader.FormatParquet}).Load(context.Background(), loader.File(path))
	if err != nil || res.Rows != 0 {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestParquetLeavesOut holds that columns of a file that no list names are not looked at, whatever
// they hold, and that what is said of others is true.
func TestParquetLeavesOut(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, "CREATE TABLE sixty (id bigint, a text, l2 text[])")
	for i, of := range []struct {
		name string
		node parquet.Node
	}{
		{"list", parquet.List(parquet.String())},
		{"nested", parquet.List(parquet.Group{"x": parquet.String()})},
		{"group", parquet.Group{"x": parquet.String()}},
		{"BSON", parquet.BSON()},
	} {
		name, node := of.name, of.node
		columns := parquet.Group{"id": parquet.Leaf(parquet.Int64Type), "a": parquet.String(), "l": node}
		leaf, _ := parquet.NewSchema("t", columns).Lookup(parquet.NewSchema("t", columns).Columns()[2]...)
		row := parquet.Row{parquet.ValueOf("x").Level(0, 0, 0), parquet.ValueOf(int64(1)).Level(0, 0, 1), parquet.ValueOf("in it").Level(0, leaf.MaxDefinitionLevel, 2)}
		path := parquetFile(t, "in.parquet", columns, []parquet.Row{row})
		for j, selected := range []struct{ list, want string }{
			{"id, a", "1|x|NULL"},
			{"id, upper(a) AS a", "1|X|NULL"},
			{"id, a, l AS l2", "1|x|{\"in it\"}"},
			{"id, upper(l)::text[] AS l2", "1|NULL|{\"IN IT\"}"},
		} {
			if testing.Short() && i > 0 && j%2 != i%2 {
				continue // one that reads it, and one that does not
			}
			list, want := selected.list, selected.want
			exec(t, conn, "TRUNCATE sixty")
			cfg := loader.Config{Conn: parse(t, dsn), Table: "sixty", NoResume: true, Format: loader.FormatParquet, Select: list}
			_, err := open(t, cfg).Load(context.Background(), loader.File(path))
			reads := strings.Contains(list, " AS l2")
			switch {
			case reads && name == "list" || !reads:
				if err != nil {
					t.Errorf("%s, %s: %v", name, list, err)
				} else if got := query(t, conn, "SELECT * FROM sixty"); len(got) != 1 || got[0] != want {
					t.Errorf("%s, %s: stored %q, want %q", name, list, got, want)
				}
			case err == nil || strings.Contains(err.Error(), "and text in the table"):
				t.Errorf("%s, %s: error %v, want one that is true", name, list, err)
			}
		}
	}
}
