package loader_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

func TestMain(m *testing.M) {
	limitChecks()
	pgtest.Main(m)
}

// limitChecks makes the normal tests try fewer random inputs than rapid's default, unless
// the command line says how many.
func limitChecks() {
	const checks = "rapid.checks"
	flag.Parse()
	asked := long()
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == checks })
	if asked {
		return
	}
	if err := flag.Set(checks, map[bool]string{true: "5", false: "10"}[testing.Short()]); err != nil {
		panic(err)
	}
}

// parse returns the connection settings of dsn.
func parse(t testing.TB, dsn string) *pgx.ConnConfig {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func exec(t testing.TB, conn *pgx.Conn, sql string) {
	t.Helper()
	pgtest.Exec(t, conn, sql)
}

func query(t testing.TB, conn *pgx.Conn, sql string) []string {
	t.Helper()
	return pgtest.Query(t, conn, sql)
}

// open opens a Loader that is closed after t.
//
// Loads that name no job are each a new one.
func open(t testing.TB, cfg loader.Config) *loader.Loader {
	t.Helper()
	if cfg.Job == "" {
		cfg.Job = rand.Text()
	}
	l, err := loader.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// load loads in, given as text, into table, and keeps no progress.
func load(t testing.TB, dsn, table, in string, change ...func(*loader.Config)) (loader.Result, error) {
	t.Helper()
	cfg := loader.Config{Conn: parse(t, dsn), Table: table, NoResume: true}
	for _, f := range change {
		f(&cfg)
	}
	return open(t, cfg).Load(context.Background(), loader.Reader("in.csv", strings.NewReader(in)))
}

// distribute distributes table if the server has Citus.
func distribute(t testing.TB, conn *pgx.Conn, table, column string) {
	t.Helper()
	if query(t, conn, `SELECT count(*) FROM pg_extension WHERE extname = 'citus'`)[0] == "1" {
		exec(t, conn, fmt.Sprintf("SELECT create_distributed_table('%s', '%s', colocate_with => 'none')", table, column))
	}
}

// routes are those that a server has. With -short each test takes one of a cluster's, and
// the route node is left out, which takes the way of the route shard to the statements of
// the route coordinator.
func routes(t *testing.T) []loader.Route {
	if strings.HasSuffix(t.Name(), "/citus") {
		if testing.Short() {
			return inTurn(len(t.Name()), differentRoutes)
		}
		return []loader.Route{loader.RouteShard, loader.RouteNode, loader.RouteCoordinator}
	}
	return []loader.Route{loader.RouteCoordinator}
}

// differentRoutes have no statement in common.
var differentRoutes = []loader.Route{loader.RouteShard, loader.RouteCoordinator}

// eachRoute runs fn for every route of every server, with a table things.
func eachRoute(t *testing.T, fn func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route)) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, things)
		distribute(t, conn, "things", "tenant")
		for _, route := range routes(t) {
			t.Run(string(route), func(t *testing.T) { fn(t, dsn, conn, route) })
		}
	})
}

const things = `CREATE TABLE things (id int, tenant int, name text NOT NULL, note text, n bigint DEFAULT 7, at timestamp, tags varchar[], PRIMARY KEY (id, tenant))`

func TestLoad(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, in string
		change   func(*loader.Config)
		want     []string
	}{
		{
			name: "header in another order", in: "name,tenant,id\nx,2,1\n\"y,\"\"z\"\"\",3,2\n",
			want: []string{`1|2|x|NULL|7|NULL|NULL`, `2|3|y,"z"|NULL|7|NULL|NULL`},
		},
		{
			name: "no header", in: "1,2,x,,5,2020-01-02 03:04:05,\"{a,\"\"b c\"\"}\"\n",
			want: []string{`1|2|x|NULL|5|2020-01-02 03:04:05|{a,"b c"}`},
		},
		{name: "header only", in: "id,tenant,name\n", want: []string{}},
		{
			name: "NULL and the empty string", in: "id,tenant,name,note\n1,1,\"\",\n2,1,\"\",\"\"\n",
			want: []string{`1|1||NULL|7|NULL|NULL`, `2|1|||7|NULL|NULL`},
		},
		{
			name: "quoted newlines, CRLF, byte order mark, no final newline", in: "\xef\xbb\xbfid,tenant,name\r\n1,1,\"a\r\nb\"\r\n2,1,c",
			want: []string{"1|1|a\r\nb|NULL|7|NULL|NULL", `2|1|c|NULL|7|NULL|NULL`},
		},
		{
			name: "CR", in: "id,tenant,name\r1,1,\"a\nb\"\r2,1,c\r",
			want: []string{"1|1|a\nb|NULL|7|NULL|NULL", `2|1|c|NULL|7|NULL|NULL`},
		},
		{
			name: "values that only the server knows", in: "id,tenant,name,at\n 1 , 007,a,yesterday 04:05\n+2,7,b,2020-02-03\n3,7,c,Jan 5 2020\n",
			want: []string{"1|7|a|NULL|7|*|NULL", "2|7|b|NULL|7|2020-02-03 00:00:00|NULL", "3|7|c|NULL|7|2020-01-05 00:00:00|NULL"},
		},
		{
			name: "delimiter and null", in: "id;tenant;name;note\n1;1;a,b;-\n2;1;\"-\";x\n",
			change: func(c *loader.Config) { c.Delimiter, c.Null = ';', "-" },
			want:   []string{`1|1|a,b|NULL|7|NULL|NULL`, `2|1|-|x|7|NULL|NULL`},
		},
		{
			name: "backslash as null", in: "1\t1\tx\t\\N\t1\t\\N\t\\N\n",
			change: func(c *loader.Config) { c.Delimiter, c.Null, c.Header = '\t', `\N`, loader.HeaderNo },
			want:   []string{`1|1|x|NULL|1|NULL|NULL`},
		},
		{
			name: "latin1", in: "id,tenant,name\n1,1,caf\xe9\n",
			change: func(c *loader.Config) { c.Encoding = "LATIN1" },
			want:   []string{`1|1|café|NULL|7|NULL|NULL`},
		},
		{name: "empty input without a header", in: "", change: func(c *loader.Config) { c.Header = loader.HeaderNo }, want: []string{}},
	}
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		for _, tt := range cases {
			t.Run(tt.name, func(t *testing.T) {
				exec(t, conn, "TRUNCATE things")
				res, err := load(t, dsn, "things", tt.in, func(c *loader.Config) {
					c.Route = route
					if tt.change != nil {
						tt.change(c)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				if res.Rows != int64(len(tt.want)) {
					t.Errorf("Result says %d rows, want %d", res.Rows, len(tt.want))
				}
				got := query(t, conn, "SELECT id, tenant, name, note, n, CASE WHEN at > '2025-01-01' THEN '*' ELSE at::text END, tags FROM things ORDER BY id")
				if diff := gocmp.Diff(tt.want, got); diff != "" {
					t.Errorf("rows (-want +got):\n%s", diff)
				}
			})
		}
	})
}

// TestBadInput holds what the user is told, and that nothing of a bad batch is
// stored. The server names the line, except for a constraint on a shard that the
// coordinator wrote.
func TestBadInput(t *testing.T) {
	t.Parallel()
	const head = "id,tenant,name,note,n,at\n"
	cases := []struct {
		name, in string
		change   func(*loader.Config)
		want     string // in the error
		citus    string // on Citus, if it differs
		hidden   string // on Citus where Citus places the row, if it differs
	}{
		{name: "unknown column", in: "id,tenant,name,nmae\n", want: `in.csv:1: column "nmae": is not in table`},
		{name: "nearly a column", in: "id,tenant,Name\n", want: `did you mean "name"?`},
		{name: "repeated column", in: "id,tenant,name,id\n", want: `in.csv:1: column "id": is named twice in the header`},
		{name: "missing column", in: "id,tenant\n1,2\n", want: `in.csv:1: column "name": is missing from the header, is NOT NULL and has no default`},
		{name: "too few fields", in: head + "1,1,a,,1,\n1,2\n", want: "in.csv:3: 2 fields, want 6"},
		{name: "too many fields", in: head + "1,1,a,,1,,\n", want: "in.csv:2: 7 fields, want 6"},
		{name: "empty line", in: head + "\n", want: "in.csv:2: the line is empty, want 6 fields"},
		{name: "open quote", in: head + "1,1,a,,1,\n2,1,\"a,,1,\n3,1,a,,1,\n", want: "in.csv:3: a quote is left open at the end of the input"},
		{name: "mixed line ends", in: head + "1,1,a,,1,\r\n", want: "in.csv:2: unquoted carriage return found in data; the first record ends in LF, so must the others"},
		{name: "wrong type", in: head + "1,1,\"a\nb\",,1,\n2,1,a,,x,\n", want: `in.csv:4: column "n": invalid input syntax for type bigint: "x"`},
		{name: "wrong type below quoted newlines", in: head + "1,1,\"a\nb\n\r\",,1,\n2,1,\"a\n\r\",,1,\n3,1,a,,1,\n1,1,a,,x,\n", want: `in.csv:8: column "n": invalid input syntax for type bigint: "x"`},
		{name: "wrong type, distribution column", in: head + "1,1,a,,1,\n2,x,a,,1,\n", want: `in.csv:3: column "tenant": invalid input syntax for type integer: "x"`},
		{name: "out of range", in: head + "1,1,a,,1,\n2,99999999999,a,,1,\n", want: `in.csv:3: column "tenant": value "99999999999" is out of range for type integer`},
		{name: "not a date", in: head + "1,1,a,,1,2020-02-30 00:00:00\n", want: `in.csv:2: column "at": date/time field value out of range: "2020-02-30 00:00:00"`},
		{
			name: "NULL in a NOT NULL column", in: head + "1,1,a,,1,\n2,1,,,1,\n", want: `in.csv:3: column "name": null value in column "name" of relation "things" violates not-null constraint`,
			citus:  `in.csv:3: column "name": null value in column "name" of relation "things`,
			hidden: `in.csv:2-3`,
		},
		{
			name: "duplicate key", in: head + "1,1,a,,1,\n2,1,a,,1,\n1,1,b,,1,\n", want: `in.csv:4: duplicate key value violates unique constraint "things_pkey"`,
			citus:  `in.csv:4: duplicate key value violates unique constraint "things_pkey"`,
			hidden: `in.csv:2-4: duplicate key value violates unique constraint "things_pkey`,
		},
		{name: "a record with a column's name", in: "1,name,a,,1,\n", want: "; if it is no header but a record say so with Config.Header no"},
		{name: "a wrong file's header", in: "id,a1,a2,a3,a4,a5\n", want: "and 2 more unknown columns"},
		{name: "NUL byte", in: head + "1,1,a,,1,\n2,1,\"a\x00\",,1,\n", want: `in.csv:3: `, citus: "in.csv:3: "},
		{name: "invalid UTF-8", in: head + "1,1,a,,1,\n2,1,\xff,,1,\n", want: `in.csv:3: invalid byte sequence for encoding "UTF8": 0xff (name the input's encoding in Config.Encoding, or convert the input)`},
		{
			name: "record too long", in: head + "1,1," + strings.Repeat("a", 2000) + ",,1,\n", change: func(c *loader.Config) { c.MaxRecord = 1000 },
			want: "in.csv:2: the record is longer than Config.MaxRecord (1000 bytes); if it is one, raise that, if not, look for a quote that is left open",
		},
		{
			name: "record longer than a chunk and too long", in: head + "1,1," + strings.Repeat("a", 3<<20) + ",,1,\n", change: func(c *loader.Config) { c.MaxRecord = 2 << 20 },
			want: "in.csv:2: the record is longer than Config.MaxRecord (2097152 bytes); if it is one, raise that, if not, look for a quote that is left open",
		},
		{
			name: "NULL distribution value", in: head + "1,1,a,,1,\n2,,a,,1,\n", want: `in.csv:3: column "tenant": null value in column "tenant" of relation "things" violates not-null constraint`,
			citus: `in.csv:3: column "tenant": is NULL, but its value decides the row's shard`,
		},
	}
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		for _, tt := range cases {
			t.Run(tt.name, func(t *testing.T) {
				exec(t, conn, "TRUNCATE things")
				res, err := load(t, dsn, "things", tt.in, func(c *loader.Config) {
					c.Route = route
					if tt.change != nil {
						tt.change(c)
					}
				})
				want := tt.want
				if strings.Contains(t.Name(), "/citus/") {
					want = cmp.Or(tt.citus, want)
					if route != loader.RouteShard {
						want = cmp.Or(tt.hidden, want)
					}
				}
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v\nwant  %s", err, want)
				}
				if _, ok := errors.AsType[*loader.RowError](err); !ok && tt.in != "" {
					t.Errorf("error is a %T, want a *RowError", err)
				}
				if stored := query(t, conn, "SELECT count(*) FROM things")[0]; stored != fmt.Sprint(res.Rows) {
					t.Errorf("%s rows stored, Result says %d", stored, res.Rows)
				}
			})
		}
	})
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, `CREATE TABLE plain (id int); CREATE VIEW looks AS SELECT * FROM plain; CREATE SEQUENCE counts`)
		for _, tt := range []struct {
			cfg  loader.Config
			want string
		}{
			{loader.Config{Table: "missing"}, "table missing does not exist"},
			{loader.Config{Table: "looks"}, "of kind view: only tables"},
			{loader.Config{Table: "counts"}, "of kind sequence: only tables"},
			{loader.Config{Table: "pg_class"}, "belongs to the server itself; name a table of your own"},
			{loader.Config{Table: "plain", Delimiter: '"'}, "cannot separate fields"},
			{loader.Config{Table: "plain", MaxRecord: 200 << 20}, "half of the memory"},
			{loader.Config{Table: "plain", Route: "shards"}, `route "shards" is unknown`},
		} {
			tt.cfg.Conn = parse(t, dsn)
			l, err := loader.Open(context.Background(), tt.cfg)
			if err == nil {
				l.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		}
	})
}

func TestRights(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, `CREATE TABLE guarded (id int); DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN PASSWORD 'guest'`)
	t.Cleanup(func() { exec(t, conn, `DROP OWNED BY guest; DROP ROLE guest`) })
	cfg := loader.Config{Conn: parse(t, dsn), Table: "guarded", NoResume: true}
	cfg.Conn.User, cfg.Conn.Password = "guest", "guest"
	_, err := loader.Open(context.Background(), cfg)
	if err == nil || !strings.Contains(err.Error(), `GRANT INSERT ON public.guarded TO "guest"`) {
		t.Errorf("error %v", err)
	}
	exec(t, conn, `GRANT INSERT ON guarded TO guest`)
	l := open(t, cfg)
	if _, err := l.Load(context.Background(), loader.Reader("in", strings.NewReader("id\n1\n"))); err != nil {
		t.Error(err)
	}
	exec(t, conn, `ALTER ROLE guest CONNECTION LIMIT 6`)
	cfg.Streams = 7
	if _, err := loader.Open(context.Background(), cfg); err == nil || !strings.Contains(err.Error(), "7 streams wanted, but the server has") {
		t.Errorf("error %v", err)
	}
	cfg.Streams = 0
	exec(t, conn, `ALTER TABLE guarded ENABLE ROW LEVEL SECURITY`)
	if _, err := loader.Open(context.Background(), cfg); err == nil || !strings.Contains(err.Error(), "row-level security") {
		t.Errorf("error %v", err)
	}
}

func TestMissingFile(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	exec(t, pgtest.Connect(t, dsn), `CREATE TABLE t (id int)`)
	l := open(t, loader.Config{Conn: parse(t, dsn), Table: "t"})
	path := filepath.Join(t.TempDir(), "no.csv")
	if _, err := l.Load(context.Background(), loader.File(path)); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
}

// TestTriggerDropsRows holds that a row which a trigger drops is missed.
func TestTriggerDropsRows(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, `CREATE TABLE t (id int);
		CREATE FUNCTION drop_two() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.id = 2 THEN RETURN NULL; END IF; RETURN NEW; END';
		CREATE TRIGGER drop_two BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION drop_two()`)
	res, err := load(t, dsn, "t", "id\n1\n2\n")
	if err == nil || !strings.Contains(err.Error(), "1 stored, and so none is kept; does a trigger") || res.Rows != 0 {
		// The rows have no key, so both are in one batch.
		t.Errorf("%d rows, %v", res.Rows, err)
	}
}

// TestTruncateReferred holds that tables which refer to each other are emptied
// together.
func TestTruncateReferred(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	exec(t, pgtest.Connect(t, dsn), `CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int REFERENCES parent)`)
	if err := loader.Truncate(context.Background(), parse(t, dsn), "parent"); err == nil || !strings.Contains(err.Error(), "empty those that refer to them first") {
		t.Errorf("error %v", err)
	}
	if err := loader.Truncate(context.Background(), parse(t, dsn), "parent", "child"); err != nil {
		t.Error(err)
	}
}
