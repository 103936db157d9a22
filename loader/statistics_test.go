package loader_test

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestStatistics holds that a load makes a table's statistics anew where there are none, or where a
// tenth of the table is new, and else only where it is asked to: of tables under any name, with
// partitions, and with shards or copies on several nodes.
func TestStatistics(t *testing.T) {
	t.Parallel()
	for name, table := range map[string]struct{ create, name, distribute string }{
		"distributed": {`CREATE TABLE "it's, 100%" (id int PRIMARY KEY, n int)`, `"it's, 100%"`, `SELECT create_distributed_table('"it''s, 100%"', 'id', shard_count => 4)`},
		"partitioned": {
			`CREATE TABLE halves (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
			CREATE TABLE low PARTITION OF halves FOR VALUES FROM (0) TO (500); CREATE TABLE high PARTITION OF halves FOR VALUES FROM (500) TO (100000)`,
			"halves", `SELECT create_distributed_table('halves', 'id', shard_count => 4)`,
		},
		"reference": {`CREATE TABLE everywhere (id int PRIMARY KEY, n int)`, "everywhere", `SELECT create_reference_table('everywhere')`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pgtest.One(t, func(t *testing.T, dsn string) {
				conn := pgtest.Connect(t, dsn)
				exec(t, conn, table.create)
				if strings.HasSuffix(t.Name(), "/citus") {
					exec(t, conn, table.distribute)
				}
				next, countless := 0, "statistics "+rand.Text()
				for _, step := range []struct {
					rows int
					opt  loader.SetOptions
					want string // rows of which there are statistics then
				}{
					{1000, loader.SetOptions{}, "1000"},
					{60, loader.SetOptions{}, "1000"},
					{20, loader.SetOptions{Analyze: true}, "1080"},
					{20, loader.SetOptions{NoAnalyze: true}, "1080"},
					{300, loader.SetOptions{}, "1400"},
				} {
					var text strings.Builder
					for range step.rows {
						fmt.Fprintf(&text, "%d,1\n", next)
						next++
					}
					cfg := loader.Config{Conn: parse(t, dsn), Table: table.name, NoResume: true}
					cfg.Conn.RuntimeParams["application_name"] = countless
					if _, err := loadSet(t.Context(), t, cfg, loader.Reader("rows", strings.NewReader(text.String())), step.opt); err != nil {
						t.Fatal(err)
					}
					if got := knownRows(t, conn, table.name); got != step.want {
						t.Errorf("%d rows, analyze %t, never %t: there are statistics of %s, want %s", next, step.opt.Analyze, step.opt.NoAnalyze, got, step.want)
					}
					forgetCounts(t, conn, table.name, countless)
				}
			})
		})
	}
}

// forgetCounts makes the servers forget how many rows were added to a table. They count what a
// session has done when it ends: those of that name are waited for.
func forgetCounts(t *testing.T, conn *pgx.Conn, table, sessions string) {
	t.Helper()
	open := fmt.Sprintf(`SELECT true FROM pg_stat_activity WHERE application_name = $$%s$$ HAVING count(*) = 0`, sessions)
	reset := fmt.Sprintf(`SELECT pg_stat_reset_single_table_counters(oid) FROM pg_class WHERE relname LIKE replace($$%s$$, '"', '') || '%%' OR relname ~ '^(low|high)'`, table)
	if strings.HasSuffix(t.Name(), "/citus") {
		open = `SELECT true FROM run_command_on_all_nodes($q$` + open + `$q$) HAVING bool_and(coalesce(result, '') > '')`
		reset = `SELECT count(*) FROM run_command_on_all_nodes($q$SELECT count(r) FROM (` + reset + `) AS t (r)$q$)`
	}
	awaitRow(t, conn, open)
	query(t, conn, reset)
}

// knownRows returns how many rows a table has as its statistics say, or those of its shards.
func knownRows(t *testing.T, conn *pgx.Conn, table string) string {
	t.Helper()
	const of = `SELECT coalesce(sum(reltuples), 0) FROM pg_class WHERE relkind <> 'p' AND (oid = %[1]s::regclass OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = %[1]s::regclass))`
	if !strings.HasSuffix(t.Name(), "/citus") {
		return query(t, conn, fmt.Sprintf(of, "$$"+table+"$$"))[0]
	}
	return query(t, conn, fmt.Sprintf(`SELECT sum(rows) FROM (SELECT DISTINCT ON (shardid) result::float AS rows FROM run_command_on_placements($$%s$$, $q$%s$q$)) AS shards`, table, fmt.Sprintf(of, "%1$L")))[0]
}
