package verify_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
	"shardload/internal/pgtest"
	"shardload/internal/verify"
	"shardload/loader"
)

// spellings has values of each type, most of them not as the server writes them.
var spellings = []struct {
	typ    string
	values []string
}{
	{"smallint", []string{"7", "007", " 7 ", "+7", "-0"}},
	{"integer", []string{"-5", "0000", "2147483647 "}},
	{"bigint", []string{"9223372036854775807", "00", "-1"}},
	{"numeric", []string{"1.50", "1.", ".5", "1e3", "NaN", "-0.00", "+1"}},
	{"numeric(8,2)", []string{"1.5", "1.005", "7", "1e2", "-.005"}},
	{"real", []string{"1.5", "1e10", "0.1", "16777217", "1.50", "-0"}},
	{"double precision", []string{"0.30000000000000004", "1e40", "Infinity", "1.0", "123456789012345678", "1E-7"}},
	{"boolean", []string{"t", "yes", "1", "OFF", " tr ", "false"}},
	{"text", []string{"", " a ", "é日本\U0001f600", `"quoted", 'so'`, "two\nlines", `\N`, "NULL"}},
	{"varchar(5)", []string{"abc", "abcde   ", "日本語  ", ""}},
	{"char(5)", []string{"ab", "abc  ", "", "日本語"}},
	{`"char"`, []string{"a", ""}},
	{"name", []string{"x", strings.Repeat("n", 70)}},
	{"bytea", []string{`\x00FF`, `\x`, "abc", `\000\\`}},
	{"uuid", []string{"{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc999c0b4ef8bb6d6bb9bd380a11"}},
	{"date", []string{"2025-12-31", "03/04/2025", "31 Dec 2025", "infinity", "J2451187", "2025-12-31 BC"}},
	{"time", []string{"12:34", "12:34:56.100", "24:00:00", "1:02 PM"}},
	{"time(1)", []string{"12:34:56.25", "12:34:56"}},
	{"timetz", []string{"12:34:56", "12:34:56+05:30"}},
	{"timestamp", []string{"2025-01-01 12:34:56.500", "2025-01-01T12:34:56", "2025-01-01", "03/04/2025 1:00 PM", "2025-06-01 12:00:00+09"}},
	{"timestamp(2)", []string{"2025-12-31 23:59:59.999", "2025-01-01 00:00:00.1"}},
	{"timestamptz", []string{"2025-01-01 12:34:56", "2025-07-01 12:34:56", "2025-01-01 12:34:56+02", "2025-10-26 02:30:00 CEST", "2025-10-26 02:30:00+01", "2025-01-01 00:00:00Z", "epoch"}},
	{"interval", []string{"1 day 2:03", "P1Y2M", "90 minutes", "-1 2:03:04"}},
	{"json", []string{`{"b":1,  "a": [ ]}`, `1`}},
	{"jsonb", []string{`{"b":1,  "a": [ ]}`, `{"a": 1, "b": "é"}`, `1e2`, `{"a":1,"a":2}`}},
	{"int[]", []string{"{1, 2,3}", "{}", "[0:1]={1,2}", "{{1,2},{3,NULL}}", "{4,5}"}},
	{"text[]", []string{`{a,"b"}`, `{"a b",NULL,""}`, `{"x\"y"}`}},
	{"varchar(4)[]", []string{`{abcd,"ab  "}`}},
	{"char(3)[]", []string{`{a,abc}`}},
	{"boolean[]", []string{"{yes,f}"}},
	{"timestamptz[]", []string{`{2025-01-01,"2025-07-01 00:00:00+00"}`}},
	{"numeric(6,2)[]", []string{"{1.5,2}"}},
	{"inet", []string{"192.168.0.1", "10.1.2.3/8", "::1"}},
	{"cidr", []string{"10/8", "192.168.0.0/24"}},
	{"macaddr", []string{"08-00-2B-01-02-03"}},
	{"money", []string{"1234.5", "$7"}},
	{"bit(4)", []string{"1010"}},
	{"bit varying(6)", []string{"101", ""}},
	{"point", []string{"1,2", "( 1.50 , 2)"}},
	{"box", []string{"(0,0),(1,1)"}},
	{"int4range", []string{"[1,5]", "(1,5)", "empty"}},
	{"tstzrange", []string{"[2025-01-01,2025-07-01)"}},
	{"tsvector", []string{"the quick  fox the"}},
	{"oid", []string{"42", " 7"}},
	{"regclass", []string{"-", "0", "pg_class", "pg_catalog.pg_type", "1259"}},
	{"regproc", []string{"-", "0", "pg_catalog.pi"}},
	{"regprocedure", []string{"-", "pi()", "0"}},
	{"regoper", []string{"0", "pg_catalog.||/"}},
	{"regoperator", []string{"0", "+(int4,int4)"}},
	{"regtype", []string{"-", "0", "int4", "23"}},
	{"regnamespace", []string{"-", "pg_catalog", "0"}},
	{"regrole", []string{"-", "0", "pg_monitor"}},
	{"regconfig", []string{"-", "simple", "0"}},
	{"regdictionary", []string{"-", "simple", "0"}},
	{"regcollation", []string{"-", "0", `pg_catalog."C"`}},
	{"regclass[]", []string{"{-,0,pg_class}"}},
	{"place", []string{"-", "pg_class"}},
	{"shout", []string{"(a)", `( "b ""c"", \\ {,}")`}},
	{"mood", []string{"so so", "fine"}},
	{"mood[]", []string{`{fine,"so so"}`}},
	{"percent", []string{"50", "007.50"}},
	{"code", []string{"ab", "abc"}},
	{"pair", []string{"(1,x)", `( 2 ,"a b")`, "(,)"}},
}

// shoutSQL makes a type to which text is cast in another way than it is read.
const shoutSQL = `CREATE TYPE shout AS (said text); CREATE FUNCTION shout(text) RETURNS shout IMMUTABLE LANGUAGE sql AS 'SELECT ROW(upper($1))::shout';
	CREATE CAST (text AS shout) WITH FUNCTION shout(text)`

// typesTable makes a table with a column of each type and loads rows in awkward
// spellings with COPY. It returns the file.
func typesTable(t *testing.T, conn *pgx.Conn, distribute bool) (file string) {
	t.Helper()
	exec(t, conn,
		`CREATE TYPE mood AS ENUM ('fine', 'so so')`, `CREATE DOMAIN percent AS numeric(5,2) CHECK (VALUE <= 100)`,
		`CREATE DOMAIN code AS char(4)`, `CREATE DOMAIN place AS regclass`, shoutSQL, `CREATE TYPE pair AS (a int, b text)`)
	columns := []string{"k bigint"}
	rows := 0
	for i, s := range spellings {
		columns = append(columns, fmt.Sprintf(`"Column %d" %s`, i, s.typ))
		rows = max(rows, len(s.values))
	}
	exec(t, conn, "CREATE TABLE types ("+strings.Join(columns, ", ")+")")
	if distribute {
		exec(t, conn, "SELECT create_distributed_table('types', 'k')")
	}
	file = filepath.Join(t.TempDir(), "types.csv")
	if err := os.WriteFile(file, []byte(awkward(rows+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	copyFile(t, conn, "types", file, "FORMAT csv")
	return file
}

// awkward returns CSV records of the spellings: in the last one all are NULL.
func awkward(rows int) string {
	var b strings.Builder
	for r := range rows {
		b.WriteString(strconv.Itoa(r))
		for _, s := range spellings {
			b.WriteByte(',')
			if r == rows-1 {
				continue
			}
			v := s.values[r%len(s.values)]
			b.WriteString(`"` + strings.ReplaceAll(v, `"`, `""`) + `"`)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// copyFile loads a file with COPY.
func copyFile(t *testing.T, conn *pgx.Conn, table, file, options string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := conn.PgConn().CopyFrom(context.Background(), f, "COPY "+table+" FROM STDIN ("+options+")"); err != nil {
		t.Fatal(err)
	}
}

// deep compares table with files.
func deep(t *testing.T, conn *pgx.Conn, table string, reading verify.Reading, files ...string) verify.DeepCheck {
	t.Helper()
	cfg := verify.DeepConfig{Conn: conn.Config(), Table: table, Reading: reading}
	for _, file := range files {
		cfg.Inputs = append(cfg.Inputs, verify.File(file))
	}
	check, err := verify.Deep(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return check
}

// set changes settings of the database, on a cluster on its workers as well, for
// the connections that are made from now on until the test ends.
func set(t *testing.T, conn *pgx.Conn, cluster, coordinator bool, settings ...string) {
	t.Helper()
	alter := func(c *pgx.Conn) {
		for _, s := range settings {
			exec(t, c, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET "+s+"', current_database()); END $$")
		}
		t.Cleanup(func() { // the tests share a cluster's database
			for _, s := range settings {
				name, _, _ := strings.Cut(s, " ")
				exec(t, c, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET "+name+"', current_database()); END $$")
			}
		})
	}
	if cluster {
		nodes, err := citus.Nodes(context.Background(), conn)
		if err != nil {
			t.Fatal(err)
		}
		exec(t, conn, "SET citus.enable_ddl_propagation = off")
		for _, n := range nodes {
			if n.Group > 0 {
				worker := connectNode(t, conn, n.Name+":"+portText(n.Port))
				exec(t, worker, "SET citus.enable_ddl_propagation = off")
				alter(worker)
			}
		}
	}
	if coordinator {
		alter(conn)
	}
}

// TestDeepKnowsEachType loads awkward spellings of each type with COPY and finds
// them equal: with the settings of a new database, and with odd ones, and others
// still on the workers. (Those differ after the load: the COPY of Citus sends some
// values to the workers as text and lets them misread it.)
func TestDeepKnowsEachType(t *testing.T) {
	for _, odd := range []bool{false, true} {
		t.Run(fmt.Sprintf("odd=%t", odd), func(t *testing.T) {
			pgtest.One(t, func(t *testing.T, dsn string) {
				cluster := strings.HasSuffix(t.Name(), "/citus")
				conn := pgtest.Connect(t, dsn)
				if odd {
					set(t, conn, cluster, true, "TimeZone = ''Europe/Berlin''", "DateStyle = ''Postgres, DMY''", "IntervalStyle = ''sql_standard''")
					conn = pgtest.Connect(t, dsn)
				}
				file := typesTable(t, conn, cluster)
				if odd && cluster {
					set(t, conn, true, false, "TimeZone = ''Asia/Tokyo''", "DateStyle = ''German, MDY''", "IntervalStyle = ''iso_8601''",
						"bytea_output = ''escape''", "extra_float_digits = 0")
				}
				check := deep(t, conn, "types", verify.Reading{Header: verify.HeaderNo}, file)
				for _, name := range check.Columns {
					i, _ := strconv.Atoi(strings.TrimPrefix(name, "Column "))
					t.Errorf("%s differs", spellings[i].typ)
				}
				if !check.Same() || check.Database.Rows < 8 {
					t.Errorf("%s", strings.Join(append(check.Details, check.Problem), "\n"))
				}
			})
		})
	}
}

// TestDeepKnowsWhatIsLoaded loads the same rows as the loader does, straight to the
// shards on a cluster.
// TestDeepKnowsNames holds that a value which is written with its schema or without, as the
// search path wants it, is compared as one.
func TestDeepKnowsNames(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, "CREATE SCHEMA aside", "CREATE TABLE aside.named (id int)", "CREATE TABLE named (id int, c regclass, t regtype)")
	file := filepath.Join(t.TempDir(), "named.csv")
	if err := os.WriteFile(file, []byte("1,named,named\n2,aside.named,aside.named\n3,-,-\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	copyFile(t, conn, "named", file, "FORMAT csv")
	check, err := verify.Deep(context.Background(), verify.DeepConfig{Conn: conn.Config(), Table: "named", Inputs: []verify.Input{verify.File(file)}})
	if err != nil || check.Problem != "" {
		t.Errorf("%+v, error %v", check, err)
	}
}

func TestDeepKnowsWhatIsLoaded(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		file := typesTable(t, conn, strings.HasSuffix(t.Name(), "/citus"))
		exec(t, conn, "TRUNCATE types")
		l, err := loader.Open(context.Background(), loader.Config{Conn: conn.Config(), Table: "types", Header: loader.HeaderNo})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if _, err := l.Load(context.Background(), loader.File(file)); err != nil {
			t.Fatal(err)
		}
		if check := deep(t, conn, "types", verify.Reading{Header: verify.HeaderNo}, file); !check.Same() || check.Database.Rows < 8 {
			t.Errorf("%s", strings.Join(append(check.Details, check.Problem), "\n"))
		}
	})
}

// TestDeepFindsEachType takes one value of each column away.
func TestDeepFindsEachType(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	file := typesTable(t, conn, false)
	var sets, want []string
	for i, s := range spellings {
		name := fmt.Sprintf("Column %d", i)
		sets = append(sets, fmt.Sprintf("%q = CASE WHEN k = %d THEN NULL ELSE %[1]q END", name, i%len(s.values)))
		want = append(want, name)
	}
	exec(t, conn, "UPDATE types SET "+strings.Join(sets, ", "))
	check := deep(t, conn, "types", verify.Reading{Header: verify.HeaderNo}, file)
	if diff := cmp.Diff(want, check.Columns); diff != "" {
		t.Errorf("columns that differ (-want +got):\n%s", diff)
	}
}
