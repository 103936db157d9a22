package loader_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/loader"
)

// TestFence holds that whoever changes or rebuilds the table while a load runs, or
// while it waits for input, gets through, and that the load either stores
// everything as it should be or says that the table was changed.
func TestFence(t *testing.T) {
	t.Parallel()
	for n, tt := range []struct {
		name, sql string
		changes   bool // what the load cannot go on with
	}{
		{"shard count", "SELECT alter_distributed_table('flowing', shard_count => 5, cascade_to_colocated => false)", true},
		{"shard count of all colocated", "SELECT alter_distributed_table('flowing', shard_count => 5, cascade_to_colocated => true)", true},
		{"shard count of the progress", "SELECT alter_distributed_table('PROGRESS', shard_count => 5, cascade_to_colocated => true)", true},
		{"distribution column", "SELECT alter_distributed_table('flowing', distribution_column => 'id')", true},
		{"access method", "CREATE EXTENSION IF NOT EXISTS citus_columnar; SELECT alter_table_set_access_method('flowing', 'columnar')", true},
		{"vacuum full", "VACUUM FULL flowing", true},
		{"undistribute", "SELECT undistribute_table('flowing')", true},
		{"truncate", "TRUNCATE flowing", true},
		{"drop", "DROP TABLE flowing", true},
		{"drop and make anew", "BEGIN; DROP TABLE flowing; " + flowing + "; SELECT create_distributed_table('flowing', 'tenant', colocate_with => 'none'); COMMIT", true},
		{"rename", "ALTER TABLE flowing RENAME TO flown", true},
		{"column type", "ALTER TABLE flowing ALTER COLUMN n TYPE float8", true},
		{"column dropped", "ALTER TABLE flowing DROP COLUMN n", true},
		{"columns change names", "DO $$ BEGIN ALTER TABLE flowing ADD COLUMN twin text; ALTER TABLE flowing RENAME name TO other; ALTER TABLE flowing RENAME twin TO name; END $$", true},
		{"column made anew", "DO $$ BEGIN ALTER TABLE flowing DROP COLUMN name; ALTER TABLE flowing ADD COLUMN name text; END $$", true},
		{"column added", "ALTER TABLE flowing ADD COLUMN extra int DEFAULT 5", false},
		{"index", "CREATE INDEX ON flowing (id)", false},
		{"index, concurrently", "CREATE INDEX CONCURRENTLY flowing_id ON flowing (id)", false},
		{"default from a sequence", "CREATE SEQUENCE counted; ALTER TABLE flowing ALTER COLUMN spare SET DEFAULT nextval('counted')", true},
	} {
		for i, route := range []loader.Route{loader.RouteShard, loader.RouteNode, loader.RouteCoordinator} {
			// Each operation with one of the routes in turn.
			if i != n%3 && !long() || testing.Short() && n%4 != i {
				continue
			}
			t.Run(tt.name+"/"+string(route), func(t *testing.T) {
				dsn, conn := flowTable(t)
				exec(t, conn, "ALTER TABLE flowing ADD COLUMN spare bigint")
				f := newFlow(0)
				if i == 0 { // its input waits
					f = newFlow(12_000)
				}
				r := start(t, loader.Config{Conn: parse(t, dsn), Table: "flowing", Route: route}, f)
				if f.most > 0 {
					<-f.paused
				}
				changes := tt.changes
				if err := tryWithin(t, dsn, withProgress(t, conn, tt.sql), time.Minute); isDeadlock(err) {
					changes = false // a batch stands, and the change has given way
				} else if err != nil {
					t.Fatalf("%s: %v", tt.sql, err)
				}
				_, err := r.finish()
				switch {
				case err != nil && !changed(err):
					t.Errorf("error %v", err)
				case err == nil && changes && !(route == loader.RouteCoordinator && tt.name == "default from a sequence"):
					t.Error("no error")
				case err != nil && !changes:
					t.Errorf("error %v", err)
				case err == nil:
					sameRows(t, conn, "flowing", r.flow.rows)
				}
				if tt.name == "column type" {
					if wrong := query(t, conn, "SELECT count(*) FROM flowing WHERE n <> id::bigint * 1000003")[0]; wrong != "0" {
						t.Errorf("%s rows have a wrong value", wrong)
					}
				}
			})
		}
	}
}

// withProgress returns sql with the name of the progress table for PROGRESS.
func withProgress(t *testing.T, conn *pgx.Conn, sql string) string {
	t.Helper()
	if !strings.Contains(sql, "PROGRESS") {
		return sql
	}
	return strings.ReplaceAll(sql, "PROGRESS", query(t, conn, "SELECT progress FROM shardload_jobs WHERE progress IS NOT NULL")[0])
}

func isDeadlock(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == "40P01"
}
