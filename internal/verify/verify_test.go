package verify_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
	"shardload/internal/pgtest"
	"shardload/internal/provision"
	"shardload/internal/server"
	"shardload/internal/verify"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// references are those of the dataset.
var references = []verify.Reference{
	{Child: "campaigns", ChildColumns: []string{"company_id"}, Parent: "companies", ParentColumns: []string{"id"}},
	{Child: "ads", ChildColumns: []string{"campaign_id", "company_id"}, Parent: "campaigns", ParentColumns: []string{"id", "company_id"}},
}

// exec runs statements one by one.
func exec(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// load makes and fills the dataset's tables: 20 companies, 200 campaigns, 2000 ads.
func load(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn := pgtest.Connect(t, dsn)
	if _, err := provision.Create(context.Background(), conn, server.Waiting{}); err != nil {
		t.Fatal(err)
	}
	if _, err := provision.Distribute(context.Background(), conn, false); err != nil {
		t.Fatal(err)
	}
	exec(t, conn,
		`INSERT INTO companies SELECT c, 'n', 'u', now(), now() FROM generate_series(1, 20) c`,
		`INSERT INTO campaigns SELECT g, c, 'n', 'm', 'running', 1, NULL, now(), now() FROM generate_series(1, 20) c, generate_series(1, 10) g`,
		`INSERT INTO ads SELECT 10 * g + a, c, g, 'ad', 'u', 'u', 10, 2, now(), now()
			FROM generate_series(1, 20) c, generate_series(1, 10) g, generate_series(0, 9) a`)
	return conn
}

// check asks all questions about the dataset's tables.
func check(t *testing.T, conn *pgx.Conn) verify.Report {
	t.Helper()
	ctx := context.Background()
	var r verify.Report
	var err error
	r.Counts, err = verify.Counts(ctx, conn, []verify.Expected{
		{Table: "companies", Rows: 20, Source: "manifest.json"},
		{Table: "campaigns", Rows: 200, Source: "manifest.json"},
		{Table: "ads", Rows: 2000, Source: "manifest.json"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Placement, err = verify.Placement(ctx, conn, []string{"companies", "campaigns", "ads"}); err != nil {
		t.Fatal(err)
	}
	if r.Integrity, err = verify.Integrity(ctx, conn, references); err != nil {
		t.Fatal(err)
	}
	return r
}

// connectNode connects to the node called host:port.
func connectNode(t *testing.T, conn *pgx.Conn, node string) *pgx.Conn {
	t.Helper()
	nodes, err := citus.Nodes(context.Background(), conn)
	if err != nil {
		t.Fatal(err)
	}
	cfg := conn.Config()
	for _, n := range nodes {
		if strings.HasPrefix(node, n.Name+":") && strings.HasSuffix(node, ":"+portText(n.Port)) {
			cfg.Host, cfg.Port, cfg.Fallbacks = n.Name, uint16(n.Port), nil
		}
	}
	worker, err := pgx.ConnectConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { worker.Close(context.Background()) })
	return worker
}

func TestIntactDataset(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, dsn string) {
		conn := load(t, dsn)
		r := check(t, conn)
		if !r.OK() {
			t.Errorf("problems: %q", r.Problems())
		}
		if got := r.Counts[2]; got.Rows != 2000 || got.Expected != 2000 || got.Source != "manifest.json" {
			t.Errorf("ads: %+v", got)
		}
		got := r.Placement[2]
		if strings.HasSuffix(t.Name(), "/postgres") {
			if got.Skipped != "no Citus here" {
				t.Errorf("placement: %+v, want it skipped", got)
			}
			return
		}
		want := verify.PlacementCheck{Table: "ads", Column: "company_id", Rows: 2000, Shards: 8}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("placement (-want +got):\n%s", diff)
		}
	})
}

func TestDamagedDataset(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		sql  []string
		want []string
	}{
		{
			"a missing row",
			[]string{`DELETE FROM ads WHERE company_id = 3 AND id = 11`},
			[]string{"ads: 1,999 rows, 1 fewer than manifest.json has (2,000)"},
		},
		{
			"rows too many",
			[]string{`INSERT INTO companies VALUES (21, 'n', 'u', now(), now()), (22, 'n', 'u', now(), now())`},
			[]string{"companies: 22 rows, 2 more than manifest.json has (20)"},
		},
		{
			"an ad of a campaign that is not there",
			[]string{`UPDATE ads SET campaign_id = 999 WHERE company_id = 3 AND id IN (11, 12)`},
			[]string{"ads: 2 rows whose campaign_id, company_id is not in campaigns"},
		},
		{
			"a campaign of another company",
			[]string{`DELETE FROM campaigns WHERE company_id = 4 AND id = 7`},
			[]string{"campaigns: 199 rows, 1 fewer than manifest.json has (200)", "ads: 10 rows whose campaign_id, company_id is not in campaigns"},
		},
		{
			"a company without a row",
			[]string{`DELETE FROM companies WHERE id = 4`},
			[]string{"companies: 19 rows, 1 fewer than manifest.json has (20)", "campaigns: 10 rows whose company_id is not in companies"},
		},
		{
			"an empty table",
			[]string{`TRUNCATE companies`},
			[]string{"companies: 0 rows, 20 fewer than manifest.json has (20)", "campaigns: 200 rows whose company_id is not in companies"},
		},
	}
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := load(t, dsn)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				exec(t, conn, `BEGIN`)
				defer exec(t, conn, `ROLLBACK`)
				exec(t, conn, tt.sql...)
				if err := server.Within(t.Context(), conn.PgConn()); err != nil {
					t.Fatal(err)
				}
				r := check(t, conn)
				var got []string
				for _, line := range r.Problems() {
					line, _, _ = strings.Cut(line, "; to see some: SELECT ")
					got = append(got, line)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" || r.OK() {
					t.Errorf("OK %v, problems (-want +got):\n%s", r.OK(), diff)
				}
			})
		}
	})
}

func TestCountsOfMissingTable(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	exec(t, conn, `CREATE TABLE "Odd ""name" (id integer)`, `INSERT INTO "Odd ""name" VALUES (1)`)
	got, err := verify.Counts(context.Background(), conn, []verify.Expected{
		{Table: "gone", Rows: 5, Source: "gone.csv"}, {Table: `"Odd ""name"`, Rows: 1, Source: "odd.csv"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []verify.Count{
		{Table: "gone", Expected: 5, Source: "gone.csv", Problem: "table gone does not exist (search path: public)"},
		{Table: `"Odd ""name"`, Rows: 1, Expected: 1, Source: "odd.csv"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

// TestIntegrityOfRowsOfNulls holds that a composite value all of NULLs refers to a parent, as
// a foreign key has it.
func TestIntegrityOfRowsOfNulls(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	exec(t, conn, `CREATE TYPE comp AS (a integer, b text)`, `CREATE TABLE p (k comp)`, `CREATE TABLE c (k comp)`, `INSERT INTO c VALUES (ROW(NULL, NULL)), (NULL)`)
	ref := verify.Reference{Child: "c", ChildColumns: []string{"k"}, Parent: "p", ParentColumns: []string{"k"}}
	got, err := verify.Integrity(context.Background(), conn, []verify.Reference{ref})
	if err != nil || got[0].Orphans != 1 {
		t.Errorf("%+v, error %v: want one orphan", got, err)
	}
}

func TestIntegrityLetsNullsReferToNothing(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, `CREATE TABLE "P" ("K" integer, tenant integer)`, `CREATE TABLE c (k integer, tenant integer)`)
		if strings.HasSuffix(t.Name(), "/citus") {
			exec(t, conn, `SELECT create_distributed_table('"P"', 'tenant')`, `SELECT create_distributed_table('c', 'tenant')`)
		}
		exec(t, conn, `INSERT INTO "P" VALUES (1, 1), (NULL, 2)`, `INSERT INTO c VALUES (1, 1), (NULL, 1), (NULL, 2), (1, 2), (3, 1)`)
		ref := verify.Reference{Child: "c", ChildColumns: []string{"k", "tenant"}, Parent: `"P"`, ParentColumns: []string{"K", "tenant"}}
		got, err := verify.Integrity(context.Background(), conn, []verify.Reference{ref})
		if err != nil {
			t.Fatal(err)
		}
		if got[0].Orphans != 2 {
			t.Fatalf("%d orphans, want 2: %+v", got[0].Orphans, got[0])
		}
		rows, err := conn.Query(context.Background(), got[0].Query)
		if err != nil {
			t.Fatal(err)
		}
		shown, err := pgx.CollectRows(rows, pgx.RowTo[int])
		if err == nil || len(shown) > 0 { // two columns do not fit into an int
			t.Fatalf("the query shows %v, want whole rows", shown)
		}
		rows, err = conn.Query(context.Background(), "SELECT k FROM ("+got[0].Query+") AS orphans ORDER BY k")
		if err != nil {
			t.Fatal(err)
		}
		if shown, err = pgx.CollectRows(rows, pgx.RowTo[int]); err != nil || !cmp.Equal(shown, []int{1, 3}) {
			t.Errorf("the query shows %v, %v; want 1 and 3", shown, err)
		}
	})
}

func TestIntegrityRefusesBadReferences(t *testing.T) {
	t.Parallel()
	conn := load(t, pgtest.Plain(t))
	for _, ref := range []verify.Reference{
		{Child: "ads", Parent: "campaigns"},
		{Child: "ads", ChildColumns: []string{"id"}, Parent: "campaigns", ParentColumns: []string{"id", "company_id"}},
		{Child: "ads", ChildColumns: []string{"no"}, Parent: "campaigns", ParentColumns: []string{"id"}},
		{Child: "ads", ChildColumns: []string{"id"}, Parent: "campaigns", ParentColumns: []string{"no"}},
		{Child: "no", ChildColumns: []string{"id"}, Parent: "campaigns", ParentColumns: []string{"id"}},
	} {
		if got, err := verify.Integrity(context.Background(), conn, []verify.Reference{ref}); err == nil {
			t.Errorf("%+v: %+v, want an error", ref, got)
		}
	}
}

// A million ads must not be compared with a million campaigns one by one, nor
// leave their shards for it.
func TestIntegrityPlan(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := load(t, dsn)
		exec(t, conn,
			`INSERT INTO ads SELECT 1000 + g, g % 20 + 1, g % 10 + 1, 'ad', 'u', 'u', 10, 2, now(), now() FROM generate_series(1, 20000) g`,
			`ANALYZE campaigns`, `ANALYZE ads`)
		orphans, err := verify.OrphansSQL(context.Background(), conn, references[1])
		if err != nil {
			t.Fatal(err)
		}
		rows, err := conn.Query(context.Background(), "EXPLAIN SELECT count(*) "+orphans)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		plan := strings.Join(lines, "\n")
		wanted := []string{"Hash Anti Join"}
		if strings.HasSuffix(t.Name(), "/citus") {
			wanted = append(wanted, "Task Count: 8")
		}
		for _, want := range wanted {
			if !strings.Contains(plan, want) {
				t.Errorf("the plan has no %q:\n%s", want, plan)
			}
		}
	})
}
