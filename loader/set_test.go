package loader_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// makeFamily makes tables that refer to each other, and returns how they are loaded:
// children first, as nobody should have to know.
func makeFamily(t *testing.T, dsn string, conn *pgx.Conn) (tables []*loader.SetTable) {
	t.Helper()
	exec(t, conn, `CREATE TABLE grandparent (id int PRIMARY KEY);
		CREATE TABLE parent (id int PRIMARY KEY, of int REFERENCES grandparent, self int REFERENCES parent);
		CREATE TABLE child (id int PRIMARY KEY, of int REFERENCES parent, far int REFERENCES grandparent)`)
	for name, text := range map[string]string{"child": "1,1,1\n2,2,2\n", "parent": "1,1,\n2,2,1\n", "grandparent": "1\n2\n3\n"} {
		cfg := loader.Config{Conn: parse(t, dsn), Table: name}
		path := t.TempDir() + "/" + name + ".csv"
		write(t, path, text)
		tables = append(tables, &loader.SetTable{Config: cfg, Inputs: []loader.Input{loader.File(path)}})
	}
	slices.SortFunc(tables, func(a, b *loader.SetTable) int { return strings.Compare(a.Config.Table, b.Config.Table) })
	return tables
}

// TestSet holds that tables of a set are loaded after those to which they refer, that what
// was loaded before is said and not loaded again, and that a set that replaces has the rows
// of its inputs alone, and goes on where it was stopped.
func TestSet(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	tables := makeFamily(t, dsn, conn)
	load := func(want string, opt loader.SetOptions) []loader.SetResult {
		t.Helper()
		set, err := loader.OpenSet(t.Context(), tables...)
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		var told []string
		opt.Begin = func(table *loader.SetTable) func() {
			told = append(told, table.Config.Table)
			return func() { told = append(told, ".") }
		}
		opt.Loaded = func(_ *loader.SetTable, _ loader.Input, res loader.Result, err error) {
			told = append(told, fmt.Sprint(res.Rows, err != nil))
		}
		opt.Replacing = func(goOn bool, because *loader.JobError) {
			told = append(told, fmt.Sprint("going on ", goOn, " ", because != nil))
		}
		results, err := set.Load(t.Context(), opt)
		if err != nil {
			told = append(told, err.Error())
		}
		if got := strings.Join(told, " "); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		return results
	}
	load("grandparent 3 false . parent 2 false . child 2 false .", loader.SetOptions{})
	results := load("grandparent 0 true . parent 0 true . child 0 true .", loader.SetOptions{NoAnalyze: true})
	if len(results) != 3 || results[0].Inputs[0].Before != 3 || results[0].Analyze != 0 {
		t.Errorf("results %+v", results)
	}
	load("grandparent 3 false . parent 2 false . child 2 false .", loader.SetOptions{Replace: true})
	load("grandparent 3 false . parent 2 false . child 2 false .", loader.SetOptions{Replace: true}) // once more: all was complete
	exec(t, conn, "ALTER TABLE child ADD CHECK (id < 2) NOT VALID")
	want := fmt.Sprintf("grandparent 3 false . parent 2 false . child 0 true . %s:2: new row for relation \"child\" violates check constraint \"child_id_check\": Failing row contains (2, 2, 2); Config.MaxErrors keeps such records aside",
		tables[0].Inputs[0].Name())
	load(want, loader.SetOptions{Replace: true})
	exec(t, conn, "ALTER TABLE child DROP CONSTRAINT child_id_check")
	load("going on true false grandparent 0 true . parent 0 true . child 2 false .", loader.SetOptions{Replace: true})
	exec(t, conn, "ALTER TABLE child ADD CHECK (id < 2) NOT VALID")
	load(want, loader.SetOptions{Replace: true})
	exec(t, conn, "ALTER TABLE child DROP CONSTRAINT child_id_check; INSERT INTO child VALUES (9, 1, 1)")
	load("grandparent 3 false . parent 2 false . child 2 false .", loader.SetOptions{Replace: true}) // somebody else's row is there
	if got := query(t, conn, "SELECT count(*) FROM child")[0]; got != "2" {
		t.Errorf("%s children, want 2", got)
	}
}

// TestSetStops holds that a set touches nothing where one of its tables cannot be loaded,
// and that tables which refer to each other in a circle keep their order.
func TestSetStops(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	tables := makeFamily(t, dsn, conn)
	missing := &loader.SetTable{Config: loader.Config{Conn: parse(t, dsn), Table: "nowhere"}}
	if _, err := loader.OpenSet(t.Context(), append(tables, missing)...); err == nil || !strings.Contains(err.Error(), "nowhere does not exist") {
		t.Errorf("error %v", err)
	}
	exec(t, conn, "ALTER TABLE grandparent ADD COLUMN youngest int REFERENCES child")
	set, err := loader.OpenSet(t.Context(), tables...)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	var order []string
	for _, table := range set.Tables() {
		order = append(order, table.Config.Table)
	}
	if got := strings.Join(order, " "); got != "child grandparent parent" {
		t.Errorf("order %s", got)
	}
}

// TestSetIsThrifty holds that the tables of a set that is opened have a connection each, so
// that a role with few of them loads many tables.
func TestSetIsThrifty(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	tables := makeFamily(t, dsn, conn)
	set, err := loader.OpenSet(t.Context(), tables...)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	sessions := query(t, conn, "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()")
	if len(sessions) != len(tables) {
		t.Errorf("%d tables have %d connections: %q", len(tables), len(sessions), sessions)
	}
}
