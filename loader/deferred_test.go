package loader_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// deferredRows is a table whose rows are compared at the COMMIT.
const deferredRows = `CREATE TABLE late (id int, tenant int, code int, PRIMARY KEY (id, tenant), UNIQUE (tenant, code) DEFERRABLE INITIALLY DEFERRED)`

// deferredInput returns an input of that many records with their lines, from 2 on, that
// must be rejected: each has the code of an earlier one of its tenant.
func deferredInput(t *testing.T, records int) (path string, bad []int64) {
	t.Helper()
	var in strings.Builder
	in.WriteString("id,tenant,code\n")
	for i := range records {
		code := i
		if i > 20 && i%37 == 5 {
			code -= 14 // the tenant's last but one
			bad = append(bad, int64(i+2))
		}
		fmt.Fprintf(&in, "%d,%d,%d\n", i, i%7, code)
	}
	return writeInput(t, []byte(in.String())), bad
}

// TestDeferredUnique holds that of records which a deferred constraint refuses at the
// COMMIT exactly those are rejected whose key an earlier record has, on each route, as an
// ordinary owner.
func TestDeferredUnique(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, deferredRows)
		distribute(t, conn, "late", "tenant")
		as := parse(t, dsn)
		if strings.HasSuffix(t.Name(), "/citus") {
			makeRole(t, dsn, conn, "late_owner")
			as.User, as.Password = "late_owner", "late_owner"
			exec(t, conn, "ALTER TABLE late OWNER TO late_owner")
			exec(t, conn, "GRANT ALL ON SCHEMA "+query(t, conn, "SELECT current_schema()")[0]+" TO late_owner")
		}
		ways := append(routes(t), loader.RouteAuto)
		if testing.Short() && strings.HasSuffix(t.Name(), "/citus") {
			ways = []loader.Route{loader.RouteCoordinator} // the others' transactions are one server's
		}
		for _, route := range ways {
			for _, skip := range []bool{false, true} {
				cfg := loader.Config{Conn: as.Copy(), Table: "late", Route: route, MaxErrors: loader.ErrorLimit{Percent: 100}, RejectsDir: t.TempDir(), Batch: 1 << 10}
				cfg.Job = fmt.Sprint(route, skip)
				if skip {
					cfg.OnConflict, cfg.ConflictKey = loader.ConflictSkip, []string{"id", "tenant"}
				}
				t.Run(cfg.Job, func(t *testing.T) { rejectsDeferred(t, conn, cfg) })
			}
		}
	})
}

func rejectsDeferred(t *testing.T, conn *pgx.Conn, cfg loader.Config) {
	exec(t, conn, "DELETE FROM late")
	path, bad := deferredInput(t, 160)
	res, err := run(t, cfg, loader.File(path), 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := query(t, conn, "SELECT count(*), count(DISTINCT (tenant, code)) FROM late")[0]; n != fmt.Sprintf("%d|%[1]d", 160-len(bad)) {
		t.Errorf("rows and different ones: %s, want %d", n, 160-len(bad))
	}
	got := []int64{}
	for line := range readRejects(t, res.Rejects) {
		got = append(got, line)
	}
	slices.Sort(got)
	if diff := gocmp.Diff(bad, got); diff != "" {
		t.Errorf("rejected lines (-want +got):\n%s", diff)
	}
}
