package loader_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	osexec "os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// domains makes domains of a function that calls another one, helper, without its schema.
func domains(helper string) []string {
	name := strings.TrimPrefix(helper, "public.")
	return []string{
		"CREATE FUNCTION " + helper + "(what text) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 5000; END'",
		"CREATE FUNCTION fits(text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN length($1) < " + name + "($1); END'",
		"CREATE FUNCTION fits(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN $1 < " + name + "(NULL); END'",
		"CREATE DOMAIN word AS text CHECK (fits(VALUE))",
		"CREATE DOMAIN small AS int CHECK (fits(VALUE))",
	}
}

// TestDomainsCallFunctions holds that a domain whose check looks a function up in the
// search path is loaded as psql loads it, in a distribution column and in another one. On
// a cluster psql may be refused: Citus takes no search path to the workers. Then a load
// through the coordinator is, too, for the same reason.
func TestDomainsCallFunctions(t *testing.T) {
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		dsn := pgtest.Plain(t)
		domainTables(t, dsn, "id", "most").load(t, dsn, loader.RouteCoordinator, 0)
	})
	t.Run("citus", func(t *testing.T) {
		t.Parallel()
		loadDomains(t, pgtest.Citus(t), "most")
	})
	t.Run("citus and schema public", func(t *testing.T) {
		t.Parallel()
		// Public is at the end of its search path, and in that of each node.
		loadDomains(t, pgtest.Citus(t)+"%2Cpublic", "public.most_"+strings.ToLower(rand.Text()[:8]))
	})
}

// loadDomains loads, by each route, tables that are distributed by each of their columns.
// What is in schema public psql is not refused.
func loadDomains(t *testing.T, dsn, helper string) {
	t.Helper()
	for _, by := range []string{"id", "name", "size"} {
		d := domainTables(t, dsn, by, helper)
		if d.refusal != "" && strings.HasPrefix(helper, "public.") {
			t.Errorf("by %s psql is refused: %s", by, d.refusal)
		}
		for _, route := range []loader.Route{loader.RouteShard, loader.RouteNode, loader.RouteCoordinator} {
			d.load(t, dsn, route, 0)
			d.load(t, dsn, route, 1<<10)
		}
	}
}

// A domainTable is a table with columns of domains, and what psql makes of it.
type domainTable struct {
	conn       *pgx.Conn
	name, path string
	rows       []string
	refusal    string // of psql
}

func domainTables(t *testing.T, dsn, by, helper string) *domainTable {
	t.Helper()
	conn := pgtest.Connect(t, dsn)
	if len(query(t, conn, "SELECT FROM pg_type WHERE typname = 'word' AND typnamespace = current_schema()::regnamespace")) == 0 {
		for _, sql := range domains(helper) {
			exec(t, conn, sql)
		}
		if strings.HasPrefix(helper, "public.") {
			t.Cleanup(func() { exec(t, pgtestConn(t, dsn), "DROP FUNCTION "+helper) })
		}
	}
	d := &domainTable{conn: conn, name: "by_" + by}
	exec(t, conn, "CREATE TABLE "+d.name+" (id int, name word, size small)")
	distribute(t, conn, d.name, by)
	t.Cleanup(func() { exec(t, pgtestConn(t, dsn), "DROP TABLE "+d.name) }) // before the domains, which Citus forgets
	var in strings.Builder
	for i := range 100 {
		fmt.Fprintf(&in, "%d,w%d,%d\n", i, i, i*7)
	}
	d.path = writeInput(t, []byte(in.String()))
	said, err := osexec.Command("psql", "-Xq", "-v", "ON_ERROR_STOP=1", dsn, "-c", "\\copy "+d.name+" FROM '"+d.path+"' (FORMAT csv)").CombinedOutput()
	if err != nil {
		d.refusal = string(said)
	}
	d.rows = d.content(t)
	return d
}

func (d *domainTable) content(t *testing.T) []string {
	t.Helper()
	return query(t, d.conn, "SELECT * FROM "+d.name+" ORDER BY id")
}

// load loads by a route: a file, which may be stored whole, or a stream in batches of that
// length, which is not, and has two records more, which the server refuses.
func (d *domainTable) load(t *testing.T, dsn string, route loader.Route, batch int) {
	t.Helper()
	exec(t, d.conn, "TRUNCATE "+d.name)
	in, cfg := loader.File(d.path), loader.Config{Conn: parse(t, dsn), Table: d.name, Route: route, Job: fmt.Sprint(route, batch), Batch: batch}
	if batch > 0 {
		in = loader.Reader("-", bytes.NewReader(append(read(t, d.path), "99999999999,w1,1\n1,w1,99999999999\n"...)))
		cfg.MaxErrors, cfg.RejectsDir = loader.ErrorLimit{Records: 2}, t.TempDir()
	}
	l, err := loader.Open(t.Context(), cfg)
	if err == nil {
		defer l.Close()
		_, err = l.Load(t.Context(), in)
	}
	switch {
	case err == nil && d.refusal == "":
		if !slices.Equal(d.content(t), d.rows) {
			t.Errorf("%s by %s: other rows than psql's", d.name, route)
		}
	case err == nil:
		if n := len(d.content(t)); n != 100 {
			t.Errorf("%s by %s: %d rows", d.name, route, n)
		}
	case d.refusal == "" || !strings.Contains(err.Error(), "most("):
		t.Errorf("%s by %s: %v; psql: %q", d.name, route, err, d.refusal)
	}
}
