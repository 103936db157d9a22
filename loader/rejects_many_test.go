package loader_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestManyRejects holds that of a large file, into which bad records of every kind are
// strewn, exactly those are rejected, each with its line and reason; and that mending
// and loading them completes the table. The long form is of a million records, a
// thousand of them bad.
func TestManyRejects(t *testing.T) {
	t.Parallel()
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

// TestEveryOtherRecord holds that a small file is loaded where its rows end each
// other's runs: bad records between good ones, and rows that go as CSV between those
// that go in binary, in chunks of one record.
func TestEveryOtherRecord(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, tested)
	for _, tt := range []struct {
		name, record string
		chunk, bad   int
	}{
		{"bad", "%d,1\n", 1 << 20, 1},
		{"as CSV", "%d,1,x, +1,\n", 8, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			exec(t, conn, "TRUNCATE tested")
			const pairs = 2000
			var in strings.Builder
			in.WriteString("id,tenant,name,n,at\n")
			for i := range pairs {
				fmt.Fprintf(&in, "%d,1,x,1,\n"+tt.record, 2*i, 2*i+1)
			}
			path := writeInput(t, []byte(in.String()))
			cfg := loader.Config{Conn: parse(t, dsn), Table: "tested", Memory: 16 << 20, MaxRecord: 1 << 20, MaxErrors: loader.ErrorLimit{Percent: 100}, RejectsDir: t.TempDir()}
			res, err := open(t, cfg.WithChunkSize(tt.chunk)).Load(context.Background(), loader.File(path))
			if err != nil {
				t.Fatal(err)
			}
			if want := int64(pairs * tt.bad); res.Rejected != want || res.Rows != 2*pairs-want {
				t.Errorf("%d rows and %d rejected, want %d and %d", res.Rows, res.Rejected, 2*pairs-want, want)
			}
			if got := query(t, conn, "SELECT count(DISTINCT id) FROM tested")[0]; got != fmt.Sprint(res.Rows) {
				t.Errorf("%s rows are stored, want %d", got, res.Rows)
			}
		})
	}
}
