package pgtest_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"shardload/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// Both drivers that the project knows must read the same DSN, and each test must
// have a place of its own behind it.
func TestEach(t *testing.T) {
	for range 2 { // the second time finds nothing of the first
		pgtest.Each(t, func(t *testing.T, dsn string) {
			conn := pgtest.Connect(t, dsn)
			if _, err := conn.Exec(t.Context(), "CREATE TABLE companies (id int PRIMARY KEY)"); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command("psql", "-XAt", dsn, "-c", "SELECT count(*) FROM companies").CombinedOutput()
			if got := strings.TrimSpace(string(out)); err != nil || got != "0" {
				t.Errorf("psql: %q, %v; want 0", got, err)
			}
		})
	}
}

func TestCitusDistributes(t *testing.T) {
	conn := pgtest.Connect(t, pgtest.Citus(t))
	if _, err := conn.Exec(t.Context(), "CREATE TABLE ads (id int); SELECT create_distributed_table('ads', 'id')"); err != nil {
		t.Fatal(err)
	}
	var shards, nodes int
	err := conn.QueryRow(t.Context(), `SELECT count(*), count(DISTINCT nodeport) FROM citus_shards
		WHERE table_name = 'ads'::regclass`).Scan(&shards, &nodes)
	if err != nil || shards != 8 || nodes != 2 {
		t.Errorf("%d shards on %d nodes, %v; want 8 on 2", shards, nodes, err)
	}
}

// Tests that run side by side make, fill and drop distributed tables without
// getting into each other's way.
func TestCitusInParallel(t *testing.T) {
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			conn := pgtest.Connect(t, pgtest.Citus(t))
			for _, sql := range []string{
				"CREATE TABLE companies (id int PRIMARY KEY)",
				"CREATE TABLE ads (id int, company_id int REFERENCES companies, PRIMARY KEY (id, company_id))",
				"SELECT create_distributed_table('companies', 'id')",
				"SELECT create_distributed_table('ads', 'company_id', colocate_with => 'companies')",
				"INSERT INTO companies SELECT generate_series(1, 20)",
			} {
				if _, err := conn.Exec(t.Context(), sql); err != nil {
					t.Fatalf("%s: %v", sql, err)
				}
			}
		})
	}
}

// What a test ends on the workers, sessions of the coordinator that are kept for other tests have
// used.
func TestSessionsOfWorkersEnd(t *testing.T) {
	for range 2 {
		t.Run("", func(t *testing.T) {
			conn := pgtest.Connect(t, pgtest.Citus(t))
			var ended int
			err := conn.QueryRow(t.Context(), `SELECT sum(result::int) FROM run_command_on_workers($$
				SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
				WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()$$)`).Scan(&ended)
			if err != nil || ended == 0 {
				t.Errorf("%d sessions ended, %v", ended, err)
			}
		})
	}
}
