package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"shardload/internal/pgtest"
)

// nodeCanary is what is planted on each node of a cluster. It writes to the file that
// trapped.sprung reads, which only a superuser may: where a superuser's session is somebody
// else for a while it takes the superuser's role back.
const nodeCanary = `CREATE FUNCTION den.canary() RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog AS $$
	BEGIN
		BEGIN PERFORM set_config('role', 'none', false); EXCEPTION WHEN insufficient_privilege THEN NULL; END;
		BEGIN COPY (SELECT 'canary') TO PROGRAM 'cat >> shardload_traps'; EXCEPTION WHEN insufficient_privilege THEN NULL; END;
		RETURN 1;
	END $$`

// A far table is one of jobs that an ordinary role has distributed, with a job for a
// table of its own, and then changed where its rows are.
var far = []struct{ distribute, trap string }{
	{single, trigger}, {single, view}, {reference, trigger}, {reference, view},
}

const (
	single    = "SELECT create_distributed_table('%s', NULL, colocate_with => 'none')"
	reference = "SELECT create_reference_table('%s')" // has its rows on the coordinator, too
	trigger   = "CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON %[1]s FOR EACH STATEMENT EXECUTE FUNCTION den.canary_trigger()"
	view      = "ALTER TABLE %[1]s RENAME TO %[3]s; CREATE VIEW %[1]s AS SELECT h.*, den.canary() FROM %[2]s.%[3]s h"
)

// TestTrapsOnNodes is TestTraps on a cluster, on all nodes of which the ordinary role has
// put what it likes.
func TestTrapsOnNodes(t *testing.T) {
	t.Parallel()
	dsn, dir := pgtest.OwnCitus(t), t.TempDir()
	tr := &trapped{name: "traps", dsn: dsn, nodes: connectNodes(t, dsn)}
	t.Cleanup(func() { // the servers' directory goes only if it is as they made it
		tr.everywhere(t, "RESET ROLE")
		tr.sprung(t)
	})
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	load := func(args ...string) []string {
		return append([]string{"load", "--rejects", dir, "--streams", "1"}, args...)
	}
	items, more := write("items.csv", "1,one\n2,two\n3,three\n"), write("more.csv", "2,zwei\n4,vier\n")
	stops, data := write("stops.csv", "id,name\n11,a\n12,b\n13,c\n14,d\n15,e\nbad,f\n"), filepath.Join(dir, "data")

	pgtest.Exec(t, tr.nodes[0], "CREATE TABLE items (id integer PRIMARY KEY, name text)", "SELECT create_distributed_table('items', 'id', shard_count => 4)",
		"CREATE ROLE mallory LOGIN PASSWORD 'x'", "INSERT INTO pg_dist_authinfo VALUES (0, 'mallory', 'password=x')")
	tr.everywhere(t, "GRANT CREATE ON SCHEMA public TO PUBLIC", "SET search_path = pg_catalog", "CREATE SCHEMA den AUTHORIZATION mallory")
	tr.run(t, 0, load("--table", "items", items)...)
	tr.run(t, 1, load("--table", "items", "--batch", "5", "--route", "node", "--job", "stopped", stops)...)
	tr.plantOnNodes(t)

	tr.statusNames(t)
	tr.run(t, 0, "status", "--json")
	for i, f := range far {
		want := map[string]int{trigger: 0, view: 1}[f.trap] // what cannot be read has no jobs
		tr.run(t, want, "forget", fmt.Sprintf("farjob%d", i))
	}
	for _, verb := range []struct {
		want int
		args []string
	}{
		{0, []string{"clean"}},
		{0, []string{"clean", "--yes"}},
		{0, load("--table", "items", "--replace", "--route", "shard", items)},
		{0, load("--table", "items", "--replace", "--route", "node", items)},
		{0, load("--table", "items", "--replace", "--route", "coordinator", items)},
		{0, load("--table", "items", "--on-conflict", "update", "--batch", "5", more)},
		{4, []string{"verify", "--table", "items", items}},
		{4, []string{"verify", "--deep", "--table", "items", items}},
		{0, []string{"generate", "--ads", "100", "--out", data}},
		{0, []string{"schema", "create"}},
		{0, []string{"schema", "distribute"}},
		{0, load(data)},
		{0, []string{"verify", "--deep", data}},
		{0, []string{"tutorial"}},
		{0, []string{"schema", "status"}},
		{0, []string{"schema", "drop", "--yes"}},
	} {
		tr.run(t, verb.want, verb.args...)
	}

	pgtest.Exec(t, tr.nodes[0], "ALTER TABLE public.shardload_jobs OWNER TO mallory")
	for _, args := range [][]string{load("--table", "items", items), load("--table", "items", "--replace", items)} {
		if said := tr.run(t, 1, args...); !strings.Contains(said, "left alone because it belongs to mallory") {
			t.Errorf("%q: said %s", args, said)
		}
	}
}

// statusNames makes sure that status names each table of mallory's, and lists the load
// that was stopped.
func (tr *trapped) statusNames(t *testing.T) {
	t.Helper()
	said := tr.run(t, 0, "status")
	want := []string{`public\.items +stopped`}
	for i := range bait {
		want = append(want, fmt.Sprintf(`\bbait%d\b`, i))
	}
	for i := range far {
		want = append(want, fmt.Sprintf(`\bfar%d\b`, i))
	}
	for _, w := range want {
		if !regexp.MustCompile(w).MatchString(said) {
			t.Errorf("status says nothing of %s:\n%s", w, said)
		}
	}
}

// everywhere runs statements on each node by itself.
func (tr *trapped) everywhere(t *testing.T, statements ...string) {
	t.Helper()
	for _, node := range tr.nodes {
		pgtest.Exec(t, node, "SET citus.enable_ddl_propagation = off")
		pgtest.Exec(t, node, statements...)
		pgtest.Exec(t, node, "SET citus.enable_ddl_propagation = on")
	}
}

// plantOnNodes sets all traps, as mallory, and makes sure that they catch.
func (tr *trapped) plantOnNodes(t *testing.T) {
	t.Helper()
	conn := tr.nodes[0]
	tr.plantTables(t)
	tr.everywhere(t, "SET ROLE mallory", nodeCanary)
	tr.everywhere(t, canaries[1:]...)
	tr.everywhere(t, fmt.Sprintf(plantSQL, "'public'", "ARRAY['"+strings.Join(calledNames(t), "','")+"']", false, tr.name, "'{text,varchar,int4,int8}'"))
	for i, sql := range bait { // Citus itself, as mallory, would be caught on the workers
		pgtest.Exec(t, conn, "SET citus.enable_ddl_propagation = off", fmt.Sprintf(sql, fmt.Sprintf("bait%d", i)), "RESET citus.enable_ddl_propagation")
	}
	for _, worker := range tr.nodes[1:] { // where the coordinator has the loads' own
		pgtest.Exec(t, worker, "CREATE TABLE public.shardload_jobs (id text)", fmt.Sprintf(trigger, "public.shardload_jobs"))
	}
	tr.everywhere(t, "RESET ROLE")
	tr.trapShards(t)

	pgtest.Exec(t, conn, "SET search_path = public")
	if pgtest.Exec(t, conn, "SELECT den.canary()"); !strings.Contains(tr.sprung(t), "canary") {
		t.Fatal("the canary is mute")
	}
	if _, err := conn.Exec(t.Context(), "SELECT 1::int8 = '1'::varchar"); err == nil || !strings.Contains(tr.sprung(t), "operator") {
		t.Fatalf("no trap is sprung: %v", err)
	}
	pgtest.Exec(t, conn, "SET search_path = pg_catalog")
}

// plantTables makes tables with names of ours that belong to mallory: a bait of each kind,
// and distributed ones, with a job for a table of its own.
func (tr *trapped) plantTables(t *testing.T) {
	t.Helper()
	conn := tr.nodes[0]
	for i := range bait {
		schema := fmt.Sprintf("bait%d", i)
		pgtest.Exec(t, conn, "SET citus.enable_ddl_propagation = off", "CREATE SCHEMA "+schema+" AUTHORIZATION mallory",
			"CREATE TABLE "+schema+".shardload_jobs (LIKE public.shardload_jobs INCLUDING ALL)",
			"INSERT INTO "+schema+".shardload_jobs SELECT * FROM public.shardload_jobs WHERE progress IS NULL",
			"ALTER TABLE "+schema+".shardload_jobs OWNER TO mallory", "RESET citus.enable_ddl_propagation")
	}
	progress := pgtest.Query(t, conn, "SELECT progress FROM public.shardload_jobs WHERE progress IS NOT NULL")[0]
	for i, f := range far {
		schema, id := fmt.Sprintf("far%d", i), strings.Repeat(string(rune('d'+i)), 16)
		pgtest.Exec(t, conn, "CREATE SCHEMA "+schema+" AUTHORIZATION mallory", "CREATE TABLE "+schema+".t (k int)", "ALTER TABLE "+schema+".t OWNER TO mallory")
		for name, from := range map[string]string{"shardload_jobs": "public.shardload_jobs", "shardload_progress_" + id: progress} {
			table := schema + "." + name
			pgtest.Exec(t, conn, "CREATE TABLE "+table+" (LIKE "+from+" INCLUDING ALL)", "INSERT INTO "+table+" SELECT * FROM "+from, "ALTER TABLE "+table+" OWNER TO mallory")
			if name == "shardload_jobs" {
				pgtest.Exec(t, conn, "DELETE FROM "+table+" WHERE progress IS NULL",
					fmt.Sprintf("UPDATE %s SET id = '%s', target = 't', target_oid = '%s.t'::regclass::oid, file_node = pg_relation_filenode('%s.t'), name = 'farjob%d'", table, id, schema, schema, i))
			}
			pgtest.Exec(t, conn, fmt.Sprintf(f.distribute, table))
		}
	}
}

// trapShards sets the traps of the far tables, on the nodes that have their rows.
func (tr *trapped) trapShards(t *testing.T) {
	t.Helper()
	for i, f := range far {
		schema := fmt.Sprintf("far%d", i)
		set := 0
		for _, node := range tr.nodes {
			pgtest.Exec(t, node, "SET citus.override_table_visibility = off")
			for _, table := range pgtest.Query(t, node, `SELECT c.relname FROM pg_class c WHERE c.relnamespace = '`+schema+`'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^shardload_.*_[0-9]{6}$'`) {
				pgtest.Exec(t, node, "SET ROLE mallory", "SET citus.enable_manual_changes_to_shards = on", "SET citus.enable_ddl_propagation = off",
					fmt.Sprintf(f.trap, schema+"."+table, schema, "hidden_"+table), "RESET ROLE")
				set++
			}
		}
		if want := map[string]int{single: 2, reference: 6}[f.distribute]; set != want {
			t.Fatalf("%s: %d traps, want %d", schema, set, want)
		}
	}
}
