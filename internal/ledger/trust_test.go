package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/ledger"
	"shardload/internal/pgtest"
)

// A trap is what an ordinary role has put in a table of ours, or beside it. %s is the
// table's name, quoted. Each runs canary() as whoever works on the table, if it is not
// seen.
var traps = map[string]string{
	"trigger":    `CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH STATEMENT EXECUTE FUNCTION canary_trigger()`,
	"rule":       `CREATE RULE r AS ON DELETE TO %s DO ALSO SELECT canary()`,
	"default":    `ALTER TABLE %s ALTER rows SET DEFAULT canary()`,
	"hidden":     `ALTER TABLE %s ALTER rejects SET DEFAULT pg_catalog.query_to_xml('SELECT canary()', true, true, '')::text`,
	"check":      `ALTER TABLE %s ADD CHECK (canary() > 0)`,
	"index":      `CREATE INDEX ON %s ((canary_of(rows)))`,
	"policy":     `ALTER TABLE %s ENABLE ROW LEVEL SECURITY`,
	"generated":  `ALTER TABLE %s ADD extra bigint GENERATED ALWAYS AS (canary_of(rows)) STORED`,
	"domain":     `ALTER TABLE %s ADD extra canary_domain`,
	"child":      `CREATE TABLE child () INHERITS (%s)`,
	"no key":     `ALTER TABLE %s DROP CONSTRAINT shardload_jobs_pkey`,
	"other type": `ALTER TABLE %s ALTER rejected TYPE numeric`,
	"view":       `ALTER TABLE %[1]s RENAME TO hidden; CREATE VIEW %[1]s AS SELECT h.*, canary() FROM hidden h`,
}

// plant makes what traps call. Whoever runs it is noted.
var plant = []string{
	"CREATE TABLE caught (who text)", "GRANT ALL ON caught TO PUBLIC",
	`CREATE FUNCTION canary() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN INSERT INTO caught VALUES (current_user); RETURN 1; END $$`,
	// From PostgreSQL 17 on an index is made under a search path without schemas of users.
	`CREATE FUNCTION canary_of(bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN PERFORM canary(); RETURN 1; END $$`,
	`CREATE FUNCTION canary_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM canary(); RETURN NULL; END $$`,
	`CREATE DOMAIN canary_domain AS int CHECK (canary() > 0)`,
}

// A hostile role has made the table of jobs of its own schema, in whatever way: what a
// superuser does in the database runs nothing of it, and other jobs are listed.
func TestTraps(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		conn, mine := newTable(t, dsn)
		create(t, conn, mine, "mine")
		role := makeRole(t, conn, "mallory")
		for name, trap := range traps {
			schema := "trap_" + ledger.NewID()
			jobs := schema + ".shardload_jobs"
			pgtest.Exec(t, conn, "CREATE SCHEMA "+schema+" AUTHORIZATION "+role)
			pgtest.Exec(t, conn, "SET ROLE "+role, "SET search_path = "+schema)
			pgtest.Exec(t, conn, plant...)
			pgtest.Exec(t, conn, "CREATE TABLE t (k int)")
			theirs := targetOf(t, conn, schema+".t")
			j := &ledger.Job{ID: ledger.NewID(), Name: "theirs", Fingerprint: print}
			if err := ledger.Create(ctx, conn, theirs, j, newLanes(theirs), nil); err != nil {
				t.Fatal(err)
			}
			entry := findEntry(t, conn, j.ID)
			for _, sql := range strings.Split(fmt.Sprintf(strings.ReplaceAll(trap, "%s", "%[1]s"), jobs), "; ") {
				pgtest.Exec(t, conn, sql)
			}
			pgtest.Exec(t, conn, "DELETE FROM caught", "RESET ROLE", "RESET search_path")

			list, err := ledger.List(ctx, conn)
			if err != nil || len(list.Jobs) == 0 {
				t.Fatalf("%s: %+v, %v", name, list, err)
			}
			alone := false
			for _, a := range list.LeftAlone {
				alone = alone || a.Table == theirs.Jobs()
			}
			if !alone {
				t.Errorf("%s: %s is not named as left alone", name, jobs)
			}
			another := &ledger.Job{ID: ledger.NewID(), Name: "other", Fingerprint: print}
			_, findErr := ledger.Find(ctx, conn, theirs, "theirs")
			for what, err := range map[string]error{
				"find": findErr, "forget": ledger.Forget(ctx, conn, entry), "prepare": ledger.Prepare(ctx, conn, theirs),
				"create": ledger.Create(ctx, conn, theirs, another, newLanes(theirs), nil),
				"rename": ledger.Rename(ctx, conn, theirs, j, "y"), "note rejects": ledger.SetRejects(ctx, conn, theirs, j, "x"), "done": enterDone(ctx, conn, theirs, another),
				"replace": pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return ledger.ForgetTable(ctx, tx, theirs) }),
			} {
				if e, ok := errors.AsType[*ledger.UntrustedError](ledger.Untrusted(err)); !ok || e.Table != theirs.Jobs() || e.Reason == "" {
					t.Errorf("%s: %s: error %v, want an UntrustedError of %s", name, what, err, theirs.Jobs())
				}
			}
			if got := pgtest.Query(t, conn, "SELECT who FROM "+schema+".caught"); len(got) > 0 {
				t.Errorf("%s: ran as %v", name, got)
			}
		}
	})
}

// makeRole makes a role that may log in everywhere, until the test ends, and drops what
// it owns then.
func makeRole(t *testing.T, conn *pgx.Conn, name string) string {
	t.Helper()
	name += "_" + ledger.NewID()
	citus := strings.Contains(t.Name(), "/citus")
	pgtest.Exec(t, conn, "CREATE ROLE "+name+" LOGIN PASSWORD 'x'")
	if citus {
		pgtest.Exec(t, conn, "INSERT INTO pg_dist_authinfo VALUES (0, '"+name+"', 'password=x')")
	}
	t.Cleanup(func() {
		pgtest.Exec(t, conn, "RESET ROLE")
		for _, schema := range pgtest.Query(t, conn, "SELECT nspname FROM pg_namespace WHERE nspowner = '"+name+"'::regrole") {
			pgtest.Exec(t, conn, "DROP SCHEMA "+schema+" CASCADE")
		}
		pgtest.Exec(t, conn, "DROP OWNED BY "+name+" CASCADE", "DROP ROLE "+name)
		if citus {
			pgtest.Exec(t, conn, "DELETE FROM pg_dist_authinfo WHERE rolename = '"+name+"'")
		}
	})
	return name
}

// enterDone runs DoneSQL in a transaction of its own.
func enterDone(ctx context.Context, conn *pgx.Conn, t ledger.Target, j *ledger.Job) error {
	_, err := ledger.SettleDone(ctx, conn, t, j)
	return err
}

// findEntry returns the job of that id in the list.
func findEntry(t *testing.T, conn *pgx.Conn, id string) *ledger.Entry {
	t.Helper()
	list, err := ledger.List(context.Background(), conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list.Jobs {
		if e.ID == id {
			return e
		}
	}
	t.Fatalf("job %s is not in the list: %+v", id, list)
	return nil
}

// What a table of jobs says is data: the name of the progress table is not read.
func TestProgressName(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		conn, target := newTable(t, dsn)
		pgtest.Exec(t, conn, "CREATE TABLE precious AS SELECT 1 AS key", "CREATE TABLE caught (who text)")
		create(t, conn, target, "named")
		create(t, conn, target, "odd")
		pgtest.Exec(t, conn, "UPDATE shardload_jobs SET progress = 'precious; INSERT INTO caught VALUES (1)'",
			"UPDATE shardload_jobs SET id = 'x; DROP TABLE t' WHERE name = 'odd'")
		list, err := ledger.List(ctx, conn)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ledger.Find(ctx, conn, target, "odd")
		if err == nil || !strings.Contains(err.Error(), "is not an id") {
			t.Errorf("a job of an odd id: %v", err)
		}
		for _, a := range list.LeftAlone {
			if a.Table == target.Jobs() {
				pgtest.Exec(t, conn, "DELETE FROM shardload_jobs WHERE name = 'odd'")
			}
		}
		if err := ledger.Forget(ctx, conn, findEntry(t, conn, find(t, conn, target, "named").ID)); err != nil {
			t.Error(err)
		}
		if got := pgtest.Query(t, conn, "SELECT (SELECT count(*) FROM precious), (SELECT count(*) FROM caught), (SELECT count(*) FROM shardload_jobs)"); got[0] != "1|0|0" {
			t.Errorf("precious, caught and jobs have %s rows, want 1|0|0", got[0])
		}
	})
}

// In a schema that many share, who made the table of jobs decides: a member of the
// target's owner makes it for all of them, another role for itself.
func TestOwners(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		conn, target := newTable(t, dsn)
		schema := target.Table.Schema
		role := func(name string) string {
			name = makeRole(t, conn, name)
			pgtest.Exec(t, conn, "GRANT ALL ON SCHEMA "+schema+" TO "+name)
			return name
		}
		app, alice, bob, mallory := role("app"), role("alice"), role("bob"), role("mallory")
		pgtest.Exec(t, conn, "ALTER TABLE t OWNER TO "+app, "GRANT "+app+" TO "+alice+", "+bob, "GRANT ALL ON t TO "+mallory)
		as := func(role string, fn func() error) error {
			pgtest.Exec(t, conn, "SET ROLE "+role)
			defer pgtest.Exec(t, conn, "RESET ROLE")
			return fn()
		}
		target.Table, _ = catalog.Lookup(ctx, conn, "t")
		j := &ledger.Job{ID: ledger.NewID(), Name: "in", Fingerprint: print}
		if err := as(alice, func() error { return ledger.Create(ctx, conn, target, j, newLanes(target), nil) }); err != nil {
			t.Fatal(err)
		}
		// Another member goes on with it, without a GRANT.
		err := as(bob, func() error {
			found, err := ledger.Find(ctx, conn, target, "in")
			if err == nil && len(found) == 1 {
				err = ledger.Settle(ctx, conn, target, found[0])
			}
			if err == nil {
				_, err = ledger.Lanes(ctx, conn, target, found[0])
			}
			return err
		})
		if err != nil {
			t.Errorf("a colleague: %v", err)
		}
		if e := findEntry(t, conn, j.ID); e.Problem != "" || e.Unread != "" {
			t.Errorf("a superuser's list: %+v", e)
		}
		if err := ledger.Forget(ctx, conn, findEntry(t, conn, j.ID)); err != nil {
			t.Error(err)
		}

		// One that somebody else has made beforehand is not used.
		pgtest.Exec(t, conn, "ALTER TABLE shardload_jobs OWNER TO "+mallory, "GRANT ALL ON shardload_jobs TO PUBLIC")
		for _, who := range []string{alice, bob, "current_user"} {
			if who == "current_user" {
				who = pgtest.Query(t, conn, "SELECT quote_ident(current_user)")[0]
			}
			err := as(who, func() error { return ledger.Prepare(ctx, conn, target) })
			if err == nil || !strings.Contains(err.Error(), "belongs to "+mallory) || !strings.Contains(err.Error(), "OWNER TO") {
				t.Errorf("%s: error %v, want one that says whose it is and what to do", who, err)
			}
		}
	})
}
