package loader_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/loader"
)

// TestManyRejects holds that of a large file, into which bad records of every kind are
// strewn, exactly those are rejected, each with its line and reason; and that mending
// and loading them completes the table. The long form is of a million records, a
// thousand of them bad.
func TestManyRejects(t *testing.T) {
	if testing.Short() {
		t.Skip("TestRejects tries a smaller file")
	}
	in, bad, good := strewn(sized(100_000, 1_000_000), 1000)
	path := writeInput(t, in)
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		if !long() && (route == loader.RouteNode || route == loader.RouteCoordinator && strings.Contains(t.Name(), "/citus/")) {
			return
		}
		exec(t, conn, "DROP TABLE IF EXISTS tested; "+tested)
		distribute(t, conn, "tested", "tenant")
		dir := t.TempDir()
		cfg := loader.Config{Conn: parse(t, dsn), Table: "tested", Route: route, MaxErrors: loader.ErrorLimit{Percent: 1}, RejectsDir: dir}
		res, err := open(t, cfg).Load(context.Background(), loader.File(path))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d rows stored, %d records rejected, %s", res.Rows, res.Rejected, res.Elapsed)
		if res.Rejected != int64(len(bad)) || res.Rows != int64(len(good)) {
			t.Errorf("%d rows and %d rejected, want %d and %d", res.Rows, res.Rejected, len(good), len(bad))
		}
		if diff := gocmp.Diff(good, goodKeys(t, conn)); diff != "" {
			t.Errorf("rows (-want +got):\n%.2000s", diff)
		}
		checkRejects(t, res.Rejects, bad, in)
		mend(t, dsn, conn, filepath.Join(dir, "tested.rejects.csv"), bad)
	})
}
