package loader_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

func asText(c *loader.Config) { c.Format = loader.FormatText }

// textForms are spellings of values of the columns of things in COPY's text format. The
// last of each needs the server.
var textForms = map[string][]string{
	"name": {"plain", "", `tab\there`, `back\\slash`, `two\nlines`, "a\\\nb", `\x41\101\q`, `a\	b`, `"quoted"`, `a,b`, "ünïcödé", `\\N`},
	"note": {`\N`, "", "x", `\\.`, `N`, `\r`},
	"n":    {"1", `\N`, "-9223372036854775808", " 7"},
	"at":   {`\N`, "2020-02-29 23:59:59", "2020-01-01T01:02:03"},
	"tags": {"{}", `\N`, `{a,"b c",NULL}`, `{"a\\\\b","q\\"x"}`, "{ 1 , 2 }"},
}

// textInput returns records of things in the text format, in the table's order.
func textInput(records int) string {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(column string) string { return textForms[column][r.IntN(len(textForms[column]))] }
	var b strings.Builder
	for id := range records {
		fmt.Fprintf(&b, "%d\t%d\t%s\t%s\t%s\t%s\t%s\n", id, r.IntN(50), pick("name"), pick("note"), pick("n"), pick("at"), pick("tags"))
	}
	return b.String()
}

// The text format is stored as one COPY stores it, in binary where the decoder is sure
// and as it is where not, with line breaks of each kind, and the end marked or not.
func TestTextSameAsCopy(t *testing.T) {
	t.Parallel()
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		plain := textInput(3000)
		forms := []struct{ name, in string }{
			{"LF", plain},
			{"marked end", plain + "\\.\n"},
			{"no last line feed", strings.TrimSuffix(plain, "\n")},
			{"CRLF", strings.ReplaceAll(strings.ReplaceAll(plain, "a\\\nb", "ab"), "\n", "\r\n")},
		}
		if strings.Contains(t.Name(), "/citus/") {
			forms = inTurn(len(route), forms) // the reader is the same
		}
		for _, form := range forms {
			name, in := form.name, form.in
			exec(t, conn, "TRUNCATE things")
			if _, err := conn.PgConn().CopyFrom(context.Background(), strings.NewReader(in), "COPY things FROM STDIN"); err != nil {
				t.Fatal(err)
			}
			want := query(t, conn, "SELECT * FROM things ORDER BY id")
			exec(t, conn, "TRUNCATE things")
			if _, err := load(t, dsn, "things", in, asText, func(c *loader.Config) { c.Route, c.Batch = route, 8<<10 }); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if diff := cmp.Diff(want, query(t, conn, "SELECT * FROM things ORDER BY id")); diff != "" {
				t.Errorf("%s: rows (-COPY +loader):\n%s", name, diff)
			}
		}
	})
}

// A record of the text format that cannot be stored is named by its line, and kept as it
// was; what is mended of it loads.
func TestTextRejects(t *testing.T) {
	t.Parallel()
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		exec(t, conn, "TRUNCATE things")
		in := "1\t1\ta\\\nb\t\\N\t1\t\\N\t{}\n" + // lines 1 and 2
			"2\t1\tc\t\\N\tseven\t\\N\t{}\n" +
			"3\t1\td\t\\N\t \\x37\t\\N\t{}\n" +
			"4\t1\te\n" +
			"5\t1\tf\\.g\t\\N\t1\t\\N\t{}\n" +
			"6\t1\th\t\\N\t1\t\\N\t{}\n"
		_, err := load(t, dsn, "things", in, asText, func(c *loader.Config) { c.Route = route })
		row, ok := errors.AsType[*loader.RowError](err)
		if !ok || row.Line != 3 && row.Line != 5 && row.Line != 6 {
			t.Fatalf("error %v, want one of line 3, 5 or 6", err)
		}
		exec(t, conn, "TRUNCATE things")
		dir := t.TempDir()
		path := filepath.Join(dir, "things.txt")
		if err := os.WriteFile(path, []byte(in), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := loader.Config{Conn: parse(t, dsn), Table: "things", Format: loader.FormatText, Route: route, MaxErrors: loader.ErrorLimit{Records: 3}, RejectsDir: dir}
		res, err := open(t, cfg).Load(context.Background(), loader.File(path))
		if err != nil || res.Rows != 3 || res.Rejected != 3 {
			t.Fatalf("%+v, %v; want 3 rows and 3 rejected records", res, err)
		}
		got, err := os.ReadFile(strings.TrimSuffix(res.Rejects, ".jsonl") + ".txt")
		want := "2\t1\tc\t\\N\tseven\t\\N\t{}\n4\t1\te\n5\t1\tf\\.g\t\\N\t1\t\\N\t{}\n"
		if err != nil || string(got) != want {
			t.Fatalf("rejected records %q, %v; want %q", got, err, want)
		}
		mended := strings.NewReplacer("seven", "7", "\te\n", "\te\t\\N\t1\t\\N\t{}\n", `\.`, ".").Replace(string(got))
		if _, err := load(t, dsn, "things", mended, asText); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"1|a\nb|1", "2|c|7", "3|d|7", "4|e|1", "5|f.g|1", "6|h|1"}, query(t, conn, "SELECT id, name, n FROM things ORDER BY id")); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
	})
}

// What follows the end, a format that does not fit, and records that are made here are
// refused.
func TestTextErrors(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, things)
	row := "1\t1\ta\t\\N\t1\t\\N\t{}\n"
	for name, tt := range map[string]struct{ in, want string }{
		"more after the end":   {row + "\\.\n" + strings.Replace(row, "1", "2", 1), "in.csv:2: "},
		"a backslash at last":  {row + `2	1	b	\N	1	\N	{}\`, "in.csv:2: a backslash is left"},
		"another line break":   {row + "2\t1\tb\r\t\\N\t1\t\\N\t{}\n", "in.csv:2: literal carriage return found in data"},
		"CSV in place of text": {"1,1,a,,1,,{}\n", "in.csv:1: 1 field, want 7; is it CSV?"},
	} {
		_, err := load(t, dsn, "things", tt.in, asText)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", name, err, tt.want)
		}
	}
	l := open(t, loader.Config{Conn: parse(t, dsn), Table: "things", Format: loader.FormatText, NoResume: true})
	for name, in := range map[string]loader.Input{
		"blocks":  loader.Blocks("blocks", modelBlocks{[]byte("1,1,a\n")}),
		"records": loader.Records("records", loader.Read[struct{}](strings.NewReader("a\n"))),
	} {
		if _, err := l.Load(context.Background(), in); err == nil || !strings.Contains(err.Error(), "are CSV") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for _, cfg := range []loader.Config{{Format: "tsv"}, {Format: loader.FormatText, Delimiter: 'n'}, {Format: loader.FormatText, Null: "a\tb"}} {
		cfg.Conn, cfg.Table = parse(t, dsn), "things"
		if _, err := loader.Open(context.Background(), cfg); err == nil {
			t.Errorf("%+v is no error", cfg)
		}
	}
}
