package loader_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// noBinary makes things a table of which no row goes in binary.
const noBinary = "ALTER TABLE things ADD COLUMN shape point DEFAULT '(1,2)'"

// csvDialects are dialects of CSV, the options of COPY that say the same, and what makes records
// of the usual dialect records of them.
var csvDialects = []struct {
	name, copy string
	change     func(*loader.Config)
	write      func(fields []string) string
}{
	{
		"another quote", "QUOTE '''', DELIMITER ';'",
		func(c *loader.Config) { c.Quote, c.Delimiter = '\'', ';' },
		func(f []string) string { return "'" + strings.Join(f, "';'") + "'" },
	},
	{
		"an escape", `ESCAPE '\'`,
		func(c *loader.Config) { c.Escape = '\\' },
		func(f []string) string {
			for i := range f {
				f[i] = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(f[i])
			}
			return `"` + strings.Join(f, `","`) + `"`
		},
	},
	{
		"forced", `NULL 'x', FORCE_NULL (note, n, at, tags), FORCE_NOT_NULL (name, note)`,
		func(c *loader.Config) {
			c.Null, c.ForceNull, c.ForceNotNull = "x", []string{"note", "n", "at", "tags"}, []string{"name", "note"}
		},
		func(f []string) string {
			for i := range f {
				if i < 2 || f[i] != "x" || i%2 == 0 {
					f[i] = `"` + strings.ReplaceAll(f[i], `"`, `""`) + `"`
				}
			}
			return strings.Join(f, ",")
		},
	},
}

// Each dialect of CSV is stored as one COPY stores it, in binary where the decoder is sure and as
// it is where not, also where nothing goes in binary.
func TestDialectsSameAsCopy(t *testing.T) {
	t.Parallel()
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		for _, d := range csvDialects {
			var in strings.Builder
			for id := range 600 {
				name := []string{"plain", "q\"uo'te", `back\slash\`, "two\nlines", "x", "a,b;c"}[id%6]
				n := []string{"1", " 7", "-3"}[id%3]
				f := []string{fmt.Sprint(id), fmt.Sprint(id % 37), name, "x", n, "2020-02-29 23:59:59", "{}"}
				if d.name == "another quote" {
					f[2] = strings.ReplaceAll(name, "'", "''")
				}
				in.WriteString(d.write(f) + "\n")
			}
			exec(t, conn, "TRUNCATE things")
			if _, err := conn.PgConn().CopyFrom(context.Background(), strings.NewReader(in.String()), "COPY things (id, tenant, name, note, n, at, tags) FROM STDIN (FORMAT csv, "+d.copy+")"); err != nil {
				t.Fatal(err)
			}
			want := query(t, conn, "SELECT id, name, note, n, at, tags FROM things ORDER BY id")
			for _, asTheyAre := range []bool{false, true} {
				exec(t, conn, "TRUNCATE things")
				if _, err := load(t, dsn, "things", in.String(), d.change, func(c *loader.Config) {
					c.Route, c.Batch, c.SendCSV, c.Header = route, 8<<10, asTheyAre, loader.HeaderNo
				}); err != nil {
					t.Fatalf("%s: %v", d.name, err)
				}
				if diff := cmp.Diff(want, query(t, conn, "SELECT id, name, note, n, at, tags FROM things ORDER BY id")); diff != "" {
					t.Errorf("%s, as they are %v: rows (-COPY +loader):\n%s", d.name, asTheyAre, diff)
				}
			}
		}
	})
}

// Without quotes each byte is data but delimiters and line breaks. Records that are rejected are
// kept as they were, also those that the server refuses and of an input that cannot be read twice.
func TestNoQuotes(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, things)
	exec(t, conn, noBinary)
	in := "id|tenant|name|note|n\n" +
		"1|1|say \"hi|\\N|1\n" +
		"2|1|C:\\new\\t\ttab,comma\"\"|a|2\n" +
		"3|1|bad|\\N|many\\\"\t\n" + // line 4
		"4|1|\\\\N||4\n" +
		"5|1|\\N|it's|5\n" + // NULL in name: the server refuses it
		"6|1|\\.|b|6\n"
	bad := []string{"3|1|bad|\\N|many\\\"\t", "5|1|\\N|it's|5"}
	want := []string{`1|say "hi|NULL|1`, "2|C:\\new\\t\ttab,comma\"\"|a|2", `4|\\N||4`, `6|\.|b|6`}
	for _, sent := range []bool{false, true} {
		for _, plain := range []bool{false, true} {
			exec(t, conn, "TRUNCATE things")
			dir := t.TempDir()
			path := filepath.Join(dir, "in.csv")
			if err := os.WriteFile(path, []byte(in), 0o600); err != nil {
				t.Fatal(err)
			}
			input := loader.Reader("in.csv", strings.NewReader(in))
			if plain {
				input = loader.File(path)
			}
			res, err := open(t, loader.Config{
				Conn: parse(t, dsn), Table: "things", NoQuotes: true, Delimiter: '|', Null: `\N`, SendCSV: sent,
				MaxErrors: loader.ErrorLimit{Records: 2}, RejectsDir: dir,
			}).Load(context.Background(), input)
			if err != nil || res.Rejected != 2 {
				t.Fatalf("sent %v, plain %v: %+v, %v", sent, plain, res, err)
			}
			if diff := cmp.Diff(want, query(t, conn, "SELECT id, name, note, n FROM things ORDER BY id")); diff != "" {
				t.Errorf("sent %v, plain %v: rows (-want +got):\n%s", sent, plain, diff)
			}
			kept, err := os.ReadFile(strings.TrimSuffix(res.Rejects, ".jsonl") + ".csv")
			if whole := "id|tenant|name|note|n\n" + strings.Join(bad, "\n") + "\n"; err != nil || string(kept) != whole {
				t.Errorf("sent %v, plain %v: rejected %q, %v; want %q", sent, plain, kept, err, whole)
			}
		}
	}
}

// Lines before the header are counted where lines are, and stand before the rejected records as
// they do in the input, so that the same flags load what is mended of them.
func TestSkippedLines(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, things)
	before := "made by \"somebody\n\n# id,tenant,name\n"
	in := before + "id,tenant,name\n1,1,a\n2,1,b\ntwo,1,c\n4,1,d\n"
	skip := func(c *loader.Config) { c.Skip = 3 }
	_, err := load(t, dsn, "things", in, skip)
	if row, ok := errors.AsType[*loader.RowError](err); !ok || row.Line != 7 {
		t.Fatalf("error %v, want one of line 7", err)
	}
	exec(t, conn, "TRUNCATE things")
	dir := t.TempDir()
	path := filepath.Join(dir, "in.csv")
	if err := os.WriteFile(path, []byte(in), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := loader.Config{Conn: parse(t, dsn), Table: "things", Skip: 3, MaxErrors: loader.ErrorLimit{Records: 1}, RejectsDir: dir}
	res, err := open(t, cfg).Load(context.Background(), loader.File(path))
	if err != nil || res.Rows != 3 || res.Rejected != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	kept, err := os.ReadFile(strings.TrimSuffix(res.Rejects, ".jsonl") + ".csv")
	if want := before + "id,tenant,name\ntwo,1,c\n"; err != nil || string(kept) != want {
		t.Fatalf("rejected records %q, %v; want %q", kept, err, want)
	}
	if _, err := load(t, dsn, "things", strings.Replace(string(kept), "two", "3", 1), skip); err != nil {
		t.Fatal(err)
	}
	if got := query(t, conn, "SELECT string_agg(name, '' ORDER BY id) FROM things")[0]; got != "abcd" {
		t.Errorf("names %s", got)
	}
	for text, want := range map[string]string{
		"a\nb\n":             "in.csv: it has only 2 of the 3 lines to be skipped",
		before + "1,1,\"a\n": "in.csv:4: a quote is left open",
		before + "x,1,a\n":   "in.csv:4: 3 fields, want 7",
	} {
		if _, err := load(t, dsn, "things", text, skip); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"", before, before + "id,tenant,name\n"} {
		if res, err := load(t, dsn, "things", text, skip); err != nil || res.Rows != 0 {
			t.Errorf("%q: %+v, %v", text, res, err)
		}
	}
}

// A load of an unusual dialect that is stopped goes on where it stopped, from a file that is
// compressed or not, and with no other dialect.
func TestResumeDialects(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		plain, rows := flowFile(t, 6000)
		in, err := os.ReadFile(plain)
		if err != nil {
			t.Fatal(err)
		}
		in = append([]byte("an 'export\nof today\n"), regexp.MustCompile(`,(x+\d+),`).ReplaceAll(in, []byte(",'$1',"))...)
		for _, packed := range pgtest.Some(1, []bool{true, false}) {
			exec(t, conn, "TRUNCATE flowing")
			path := filepath.Join(t.TempDir(), "flow.csv")
			data := in
			if packed {
				data = gzipped(t, string(in))
			}
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			cfg := pieces(t, dsn)
			cfg.Job, cfg.Quote, cfg.Skip, cfg.NoResume = fmt.Sprint("packed", packed), '\'', 2, false
			if _, err := run(t, cfg, loader.File(path), 3); !errors.Is(err, context.Canceled) {
				t.Fatalf("error %v", err)
			}
			for name, change := range map[string]func(*loader.Config){
				"another quote": func(c *loader.Config) { c.Quote = '!' },
				"no quotes":     func(c *loader.Config) { c.Quote, c.NoQuotes = 0, true },
				"an escape":     func(c *loader.Config) { c.Escape = '\\' },
				"forced NULLs":  func(c *loader.Config) { c.ForceNull = []string{"n"} },
				"a lost line":   func(c *loader.Config) { c.Skip, c.Header = 3, loader.HeaderNo },
			} {
				other := cfg
				change(&other)
				if _, err := run(t, other, loader.File(path), 0); err == nil || !strings.Contains(err.Error(), "it was read with") {
					t.Errorf("%s: error %v", name, err)
				}
			}
			res, err := run(t, cfg, loader.File(path), 0)
			if err != nil || res.Before == 0 {
				t.Fatalf("%+v, %v", res, err)
			}
			sameRows(t, conn, "flowing", rows)
		}
	})
}

// TestEndMark holds that the line \. is a record of CSV where the server's COPY takes it for
// one, from PostgreSQL 18 on. An older one would take it for the end, and it is refused.
func TestEndMark(t *testing.T) {
	t.Parallel()
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		exec(t, conn, "DROP TABLE IF EXISTS marks; CREATE TABLE marks (a text)")
		distribute(t, conn, "marks", "a")
		_, err := load(t, dsn, "marks", "x\n\\.\ny\n", func(c *loader.Config) { c.Route, c.Header = route, loader.HeaderNo })
		if pgtest.Version(t, conn) >= 18 {
			if stored := query(t, conn, "SELECT a FROM marks ORDER BY a COLLATE \"C\""); err != nil || !slices.Equal(stored, []string{`\.`, "x", "y"}) {
				t.Errorf("%q stored, %v", stored, err)
			}
			return
		}
		const want = `in.csv:2: \. on a line by itself ends the data for PostgreSQL, but more may follow; remove the line, or quote it ("\.") if it is a value`
		if _, ok := errors.AsType[*loader.RowError](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v\nwant  %s", err, want)
		}
		if stored := query(t, conn, "SELECT a FROM marks"); len(stored) > 1 {
			t.Errorf("%q stored", stored)
		}
	})
}
