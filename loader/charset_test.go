package loader_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// charsets have for encodings which the server cannot use itself some characters with an ASCII byte
// in them: a backslash, a bar, a letter, a digit.
var charsets = map[string][]string{
	"GBK":            {"\x81\x5c", "\x81\x7c", "\xd5\x5c", "\xc4\xe3\xba\xc3"},
	"BIG5":           {"\xa5\x5c", "\xae\x7c", "\xa4\xa4"},
	"SJIS":           {"\x95\x5c", "\x83\x7c", "\xb1\xb2"},
	"SHIFT_JIS_2004": {"\x95\x5c", "\x83\x7c", "\x82\xf5"},
	"UHC":            {"\x81\x41", "\xb0\xa1"},
	"GB18030":        {"\x81\x5c", "\x81\x7c", "\x81\x30\x8a\x36", "\xc4\xe3"},
	"JOHAB":          {"\x88\x61", "\xd0\x7c", "\xb0\xa1", "\xd9\xa1"},
}

// Inputs of these encodings are stored as COPY stores them, in each format, whichever bytes their
// characters have.
func TestCharsetsSameAsCopy(t *testing.T) {
	t.Parallel()
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		type dialect struct {
			copy   string
			change func(*loader.Config)
			quote  string
		}
		for i, encoding := range slices.Sorted(maps.Keys(charsets)) {
			characters := charsets[encoding]
			dialects := []dialect{
				{"FORMAT csv, DELIMITER '|'", func(c *loader.Config) { c.Delimiter = '|' }, `"`},
				{`FORMAT csv, DELIMITER '|', ESCAPE '\'`, func(c *loader.Config) { c.Delimiter, c.Escape = '|', '\\' }, `"`},
				{"FORMAT text, DELIMITER '|'", func(c *loader.Config) { c.Format, c.Delimiter = loader.FormatText, '|' }, ""},
			}
			for _, format := range pgtest.Some(1, slices.Concat(dialects[i%3:], dialects[:i%3])) {
				var in strings.Builder
				taken := []string{}
				for _, s := range characters {
					var ok bool
					if conn.QueryRow(context.Background(), "SELECT convert($1, $2::text::name, 'UTF8') IS NOT NULL", []byte(s), encoding).Scan(&ok) == nil {
						taken = append(taken, s)
					}
				}
				if len(taken) < 1 {
					t.Fatalf("%s: the server takes none of the characters", encoding)
				}
				for id := range 300 {
					s := taken[id%len(taken)] + strings.Repeat("x", id%3) + taken[id/2%len(taken)]
					fmt.Fprintf(&in, "%d|%d|%s%s%s|%s|7|2020-02-29 23:59:59|{}\n", id, id%37, format.quote, s, format.quote, taken[id%len(taken)])
				}
				exec(t, conn, "TRUNCATE things")
				if _, err := conn.PgConn().CopyFrom(context.Background(), strings.NewReader(in.String()), fmt.Sprintf("COPY things FROM STDIN (%s, ENCODING '%s')", format.copy, encoding)); err != nil {
					t.Fatalf("%s: %v", encoding, err)
				}
				want := query(t, conn, "SELECT * FROM things ORDER BY id")
				exec(t, conn, "TRUNCATE things")
				if _, err := load(t, dsn, "things", in.String(), format.change, func(c *loader.Config) {
					c.Route, c.Batch, c.Encoding, c.Header = route, 8<<10, encoding, loader.HeaderNo
				}); err != nil {
					t.Fatalf("%s, %s: %v", encoding, format.copy, err)
				}
				if diff := cmp.Diff(want, query(t, conn, "SELECT * FROM things ORDER BY id")); diff != "" {
					t.Errorf("%s, %s: rows (-COPY +loader):\n%s", encoding, format.copy, diff)
				}
			}
		}
	})
}

// A record with bytes that are no character is named by its line, and kept as it was in the input,
// as others that are rejected are: what is mended of them loads with the same flags.
func TestCharsetRejects(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, things)
	in := "id|tenant|name\n" +
		"1|1|\"\xd5\x5c\"\n" +
		"2|1|\xff\xff\n" + // line 3: no character
		"3|1|\x81\n" + // line 4: one that is cut off
		"four|1|\xae\x7c\xd5\x5c\n" + // a whole character, and no number
		"5|1|\xc4\xe3\n"
	gbk := func(c *loader.Config) { c.Encoding, c.Delimiter = "GBK", '|' }
	_, err := load(t, dsn, "things", in, gbk)
	if row, ok := errors.AsType[*loader.RowError](err); !ok || row.Line != 3 || !strings.Contains(err.Error(), `invalid byte sequence for encoding "GBK": 0xff 0xff`) {
		t.Fatalf("error %v, want one of line 3", err)
	}
	_, err = load(t, dsn, "things", "id|tenant|name\n1|1|\x81\x22\n", gbk, func(c *loader.Config) { c.MaxErrors = loader.ErrorLimit{Records: 9} })
	if row, ok := errors.AsType[*loader.RowError](err); !ok || row.Line != 2 || row.Keepable {
		t.Errorf("half a character before a quote: error %v, want one that ends the load", err)
	}
	exec(t, conn, "TRUNCATE things")
	dir := t.TempDir()
	path := filepath.Join(dir, "in.csv")
	if err := os.WriteFile(path, []byte(in), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := loader.Config{Conn: parse(t, dsn), Table: "things", MaxErrors: loader.ErrorLimit{Records: 3}, RejectsDir: dir}
	gbk(&cfg)
	res, err := open(t, cfg).Load(context.Background(), loader.File(path))
	if err != nil || res.Rows != 2 || res.Rejected != 3 {
		t.Fatalf("%+v, %v", res, err)
	}
	kept, err := os.ReadFile(strings.TrimSuffix(res.Rejects, ".jsonl") + ".csv")
	if want := "id|tenant|name\n2|1|\xff\xff\n3|1|\x81\nfour|1|\xae\x7c\xd5\x5c\n"; err != nil || string(kept) != want {
		t.Fatalf("rejected %q, %v; want %q", kept, err, want)
	}
	if _, err := load(t, dsn, "things", strings.NewReplacer("\xff\xff", "\xd5\x5c", "\x81\n", "x\n", "four", "4").Replace(string(kept)), gbk); err != nil {
		t.Fatal(err)
	}
	if got := query(t, conn, "SELECT string_agg(encode(convert_to(name, 'UTF8'), 'hex'), ' ' ORDER BY id) FROM things")[0]; got != "e8aaa0 e8aaa0 78 e79596e8aaa0 e4bda0" {
		t.Errorf("names %s", got)
	}
}

// Where the server itself is in another encoding than UTF-8, nobody knows the characters of these.
func TestCharsetNeedsUTF8(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	name := "eucs_" + strings.ToLower(rand.Text())
	exec(t, conn, fmt.Sprintf("CREATE DATABASE %s ENCODING 'EUC_CN' LOCALE 'C' TEMPLATE template0", name))
	t.Cleanup(func() { exec(t, conn, "DROP DATABASE "+name+" WITH (FORCE)") })
	cfg := parse(t, dsn)
	cfg.Database = name
	other, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, other, "CREATE TABLE plain (id int)")
	if err := other.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, err := loader.Open(t.Context(), loader.Config{Conn: cfg, Table: "plain", Encoding: "WIN936"})
	if err == nil {
		l.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "iconv -f WIN936 -t UTF-8") {
		t.Errorf("error %v", err)
	}
}

// A load of such an input that is stopped goes on where it stopped, and is known when it is complete.
func TestResumeCharset(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		exec(t, conn, "ALTER TABLE flowing ADD COLUMN word text")
		var in bytes.Buffer
		in.WriteString("id,tenant,name,n,at,word\n")
		for id := range 6000 {
			fmt.Fprintf(&in, "%d,%d,%s%d,%d,,\"\xd5\x5c%d\"\n", id, id%100, strings.Repeat("x", 200), id, id, id)
		}
		path := filepath.Join(t.TempDir(), "flow.csv")
		if err := os.WriteFile(path, in.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := pieces(t, dsn)
		cfg.Job, cfg.Encoding, cfg.Escape = "gbk", "GBK", '\\'
		if _, err := run(t, cfg, loader.File(path), 3); !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v", err)
		}
		res, err := run(t, cfg, loader.File(path), 0)
		if err != nil || res.Before == 0 {
			t.Fatalf("%+v, %v", res, err)
		}
		if got := query(t, conn, "SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE word = U&'\\8AA0' || id) FROM flowing")[0]; got != "6000|6000|6000" {
			t.Errorf("rows %s", got)
		}
		_, err = run(t, cfg, loader.File(path), 0)
		if done, ok := errors.AsType[*loader.CompleteError](err); !ok || done.Rows != 6000 {
			t.Errorf("once more: %v", err)
		}
	})
}
