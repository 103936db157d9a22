package loader_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestColumnRights holds that a role which may insert into some columns alone loads these,
// on each route that it may take, and is told which columns of an input it may not.
func TestColumnRights(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		onCitus := strings.HasSuffix(t.Name(), "/citus")
		if onCitus {
			makeRole(t, dsn, conn, "columnclerk")
		} else {
			exec(t, conn, `CREATE ROLE columnclerk LOGIN PASSWORD 'columnclerk'`)
			t.Cleanup(func() { exec(t, conn, `DROP OWNED BY columnclerk; DROP ROLE columnclerk`) })
		}
		exec(t, conn, `CREATE TABLE partly (id int PRIMARY KEY, "a b" text, c int DEFAULT 7)`)
		distribute(t, conn, "partly", "id")
		if _, err := conn.Exec(context.Background(), `GRANT INSERT (id, "a b") ON partly TO columnclerk`); err != nil {
			if onCitus && strings.Contains(err.Error(), "column list") {
				t.Skip("this Citus has no rights on single columns of distributed tables")
			}
			t.Fatal(err)
		}
		ways := []loader.Route{loader.RouteAuto, loader.RouteCoordinator}
		mayNot(t, dsn, "id,a b,c\n4,x,1\n")
		mayNot(t, dsn, "4,x,1\n") // no header
		if onCitus {
			mayNot(t, dsn, "id,a b\n4,x\n") // the node is sent c, too
			exec(t, conn, `GRANT INSERT (c) ON partly TO columnclerk`)
		}
		for _, selects := range []bool{false, true} {
			if selects { // for the checks of counts and what is there
				exec(t, conn, `GRANT SELECT ON partly TO columnclerk`)
			}
			for _, route := range ways {
				loadsItsColumns(t, dsn, conn, route)
			}
		}
		if onCitus {
			rightsOfShardsLost(t, dsn, conn)
		}
	})
}

// columnClerk returns what is to be loaded as the role with rights on some columns.
func columnClerk(t *testing.T, dsn string) loader.Config {
	cfg := loader.Config{Conn: parse(t, dsn), Table: "partly", NoResume: true, RejectsDir: t.TempDir(), RetryFor: time.Second, MaxErrors: loader.ErrorLimit{Records: 5}}
	cfg.Conn.User, cfg.Conn.Password = "columnclerk", "columnclerk"
	return cfg
}

// mayNot holds that an input with a column c, or one that Citus gives it, is refused.
func mayNot(t *testing.T, dsn, in string) {
	t.Helper()
	_, err := open(t, columnClerk(t, dsn)).Load(context.Background(), loader.Reader("in", strings.NewReader(in)))
	refused, ok := errors.AsType[*loader.PreflightError](err)
	if !ok || !strings.Contains(refused.Problem, `column "c" of`) || !strings.Contains(refused.Do, `GRANT INSERT ("c") ON `) || !strings.Contains(refused.Do, ` TO "columnclerk"`) {
		t.Errorf("%q: error %v", in, err)
	}
}

func loadsItsColumns(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
	t.Helper()
	exec(t, conn, `TRUNCATE partly`)
	cfg := columnClerk(t, dsn)
	cfg.Route = route
	res, err := open(t, cfg).Load(context.Background(), loader.Reader("in", strings.NewReader("id,a b\n1,x\n2,y\nz,z\n3,x\n")))
	if err != nil || res.Rows != 3 || res.Rejected != 1 {
		t.Errorf("%s: %d rows, %d rejected, %v", route, res.Rows, res.Rejected, err)
	}
	if got := query(t, conn, `SELECT count(*), sum(c) FROM partly`)[0]; got != "3|21" {
		t.Errorf("%s: %s", route, got)
	}
}

// rightsOfShardsLost holds that no record is rejected where the shards have not the rights
// that the table has.
func rightsOfShardsLost(t *testing.T, dsn string, conn *pgx.Conn) {
	t.Helper()
	exec(t, conn, `TRUNCATE partly`)
	exec(t, conn, `SELECT run_command_on_shards('partly', 'REVOKE INSERT (id, "a b", c) ON %s FROM columnclerk')`)
	for _, route := range []loader.Route{loader.RouteAuto, loader.RouteCoordinator} {
		cfg := columnClerk(t, dsn)
		cfg.Route = route
		res, err := open(t, cfg).Load(context.Background(), loader.Reader("in", strings.NewReader("id,a b\n1,x\n2,y\n3,x\n")))
		if err == nil || !strings.Contains(err.Error(), "permission denied for table") || res.Rejected != 0 {
			t.Errorf("%s: %d rows, %d rejected, %v", route, res.Rows, res.Rejected, err)
		}
	}
}
