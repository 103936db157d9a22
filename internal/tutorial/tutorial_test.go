package tutorial_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/internal/provision"
	"shardload/internal/server"
	"shardload/internal/tutorial"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// exec runs statements one by one.
func exec(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// load makes and fills the dataset's tables: nine companies with 30 campaigns
// each, three ads in each campaign. Campaign c has a budget of 100*c, but the last
// has none, and every second campaign is running.
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
		`INSERT INTO companies SELECT c, 'company ' || c, 'u', now(), now() FROM generate_series(1, 9) c`,
		`INSERT INTO campaigns SELECT g, c, 'campaign ' || g, 'cost_per_click', CASE g % 2 WHEN 1 THEN 'running' ELSE 'paused' END,
			nullif(g, 30) * 100, NULL, now(), now() FROM generate_series(1, 9) c, generate_series(1, 30) g`,
		`INSERT INTO ads SELECT 3 * g + a, c, g, 'ad', 'u', 'u', 10, 2, now(), now()
			FROM generate_series(1, 9) c, generate_series(1, 30) g, generate_series(1, 3) a`)
	return conn
}

// digest returns the contents of the tables.
func digest(t *testing.T, conn *pgx.Conn) (text string) {
	t.Helper()
	err := conn.QueryRow(context.Background(), `
		SELECT concat_ws(' ', (SELECT count(*) FROM companies), (SELECT count(*) FROM campaigns),
			(SELECT sum(monthly_budget) FROM campaigns), (SELECT count(*) FROM ads))`).Scan(&text)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func texts(rows [][]*string) [][]string {
	var out [][]string
	for _, row := range rows {
		var line []string
		for _, v := range row {
			if v == nil {
				line = append(line, "NULL")
			} else {
				line = append(line, *v)
			}
		}
		out = append(out, line)
	}
	return out
}

func TestRunLeavesNoTrace(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, dsn string) {
		conn := load(t, dsn)
		before := digest(t, conn)
		report, err := tutorial.Run(context.Background(), conn, tutorial.Options{MaxRows: 4})
		if err != nil {
			t.Fatal(err)
		}
		if !report.OK() || report.Committed {
			t.Errorf("report: OK %v, committed %v: %+v", report.OK(), report.Committed, report.Steps)
		}
		if after := digest(t, conn); after != before {
			t.Errorf("tables are %q, were %q", after, before)
		}
		if conn.PgConn().TxStatus() != 'I' {
			t.Error("a transaction is left open")
		}

		var verbs []string
		var affected []int64
		for _, s := range report.Steps {
			verbs = append(verbs, strings.Fields(s.SQL)[0])
			affected = append(affected, s.Affected)
			if s.Elapsed <= 0 {
				t.Errorf("%s: no time has passed", s.Title)
			}
		}
		if diff := cmp.Diff([]string{"SELECT", "SELECT", "SELECT", "BEGIN", "UPDATE", "DELETE", "DELETE", "ROLLBACK"}, verbs); diff != "" {
			t.Errorf("statements (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]int64{1, 10, 15, 0, 1, 1, 3, 0}, affected); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
		wantResults(t, report)
	})
}

// wantResults checks what the three queries returned.
func wantResults(t *testing.T, report tutorial.Report) {
	t.Helper()
	if diff := cmp.Diff([][]string{{"9"}}, texts(report.Steps[0].Rows)); diff != "" {
		t.Errorf("companies (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"name", "cost_model", "state", "monthly_budget"}, report.Steps[1].Columns); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	want := [][]string{ // NULLs come last when the order is ascending
		{"campaign 1", "cost_per_click", "running", "100"},
		{"campaign 2", "cost_per_click", "paused", "200"},
		{"campaign 3", "cost_per_click", "running", "300"},
		{"campaign 4", "cost_per_click", "paused", "400"},
	}
	if diff := cmp.Diff(want, texts(report.Steps[1].Rows)); diff != "" {
		t.Errorf("budgets (-want +got):\n%s", diff)
	}
	join := texts(report.Steps[2].Rows)
	if len(join) != 4 || join[0][3] != "900" || join[0][4] != "180" { // 90 ads of the company
		t.Errorf("join: %v, want 4 rows with 900 impressions and 180 clicks", join)
	}
}

// The statements are the user's own, letter by letter and in their order.
func TestStatementsAreLiteral(t *testing.T) {
	words := func(path string) []string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(text))
	}
	if diff := cmp.Diff(words("../../testdata/tutorial/statements.sql"), words("statements.sql")); diff != "" {
		t.Errorf("statements (-given +ours):\n%s", diff)
	}
}

// The whole tutorial runs in an empty database: what needs Citus is left out without
// it, and everything stays.
func TestWhole(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, rows := range map[string][]string{
		"companies": {`5	five	u	2020-01-01	2020-01-01`, `7	tab\there	u	2020-01-01	2020-01-01`},
		"campaigns": {`1	5	a	cost_per_click	running	100	\N	2020-01-01	2020-01-01`, `1	7	b	cost_per_click	running	\N	{x}	2020-01-01	2020-01-01`},
		"ads":       {`1	5	1	ad	u	u	10	2	2020-01-01	2020-01-01`, `1	7	1	ad	u	u	10	2	2020-01-01	2020-01-01`},
	} {
		if err := os.WriteFile(name+".csv", []byte(strings.Join(rows, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	given, err := os.ReadFile(filepath.Join(root(t), "testdata", "tutorial", "statements.sql"))
	if err != nil {
		t.Fatal(err)
	}
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		report, err := tutorial.Run(context.Background(), conn, tutorial.Options{Whole: true})
		if err != nil {
			t.Fatal(err)
		}
		if !report.OK() || !report.Committed {
			t.Errorf("OK %v, committed %v: %+v", report.OK(), report.Committed, report.Steps)
		}
		var ran strings.Builder
		for _, s := range report.Steps {
			ran.WriteString(s.SQL + ";\n")
			local := strings.Contains(s.SQL, "create_distributed_table") && !report.Citus
			if local != strings.HasPrefix(s.Note, "left out") {
				t.Errorf("%s: note %q", s.SQL, s.Note)
			}
		}
		if diff := cmp.Diff(strings.Fields(string(given)), strings.Fields(ran.String())); diff != "" {
			t.Errorf("statements (-given +run):\n%s", diff)
		}
		if got := digest(t, conn); got != "2 1 1" { // no campaign of a known budget is left
			t.Errorf("tables are %q, want 2 companies, 1 campaign, 1 ad", got)
		}
		if _, err := tutorial.Run(context.Background(), conn, tutorial.Options{Whole: true}); err == nil || !strings.Contains(err.Error(), "already exists") {
			t.Errorf("again: error %v", err)
		}
	})
}

// root returns the directory of the module.
func root(t *testing.T) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("no caller")
	}
	return filepath.Join(filepath.Dir(file), "..", "..")
}

func TestShardsOfTenantQueries(t *testing.T) {
	conn := load(t, pgtest.Citus(t))
	report, err := tutorial.Run(context.Background(), conn, tutorial.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Steps[0].Shards == nil || report.Steps[0].Shards.Tasks != 8 {
		t.Errorf("count of all companies: %+v, want 8 tasks", report.Steps[0].Shards)
	}
	for i, tables := range map[int]string{1: "campaigns", 2: "ads campaigns", 4: "campaigns", 5: "campaigns", 6: "ads"} {
		company := 5
		if i == 2 {
			company = 7
		}
		want := &tutorial.Shards{Tasks: 1}
		for _, table := range strings.Fields(tables) {
			var shard string
			err := conn.QueryRow(context.Background(), fmt.Sprintf(`
				SELECT s.shard_name, s.nodename || ':' || s.nodeport FROM citus_shards s
				 WHERE s.shardid = get_shard_id_for_distribution_column('%s', %d)`, table, company)).Scan(&shard, &want.Node)
			if err != nil {
				t.Fatal(err)
			}
			want.Tables = append(want.Tables, shard[strings.LastIndex(shard, ".")+1:])
		}
		if diff := cmp.Diff(want, report.Steps[i].Shards); diff != "" {
			t.Errorf("%s (-want +got):\n%s", report.Steps[i].Title, diff)
		}
	}
}

func TestRunCommits(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, dsn string) {
		conn := load(t, dsn)
		report, err := tutorial.Run(context.Background(), conn, tutorial.Options{Commit: true})
		if err != nil {
			t.Fatal(err)
		}
		if !report.OK() || !report.Committed {
			t.Errorf("report: %+v", report)
		}
		if got, want := digest(t, conn), fmt.Sprintf("9 269 %d 807", 9*43500-100); got != want {
			t.Errorf("tables are %q, want %q", got, want)
		}

		// The campaign is gone now, so that the same statements find nothing.
		again, err := tutorial.Run(context.Background(), conn, tutorial.Options{Commit: true})
		if err != nil {
			t.Fatal(err)
		}
		if again.OK() {
			t.Error("the second run is OK")
		}
		var problems []string
		for _, s := range again.Steps {
			if s.Problem != "" {
				problems = append(problems, s.Problem)
			}
		}
		want := []string{"0 rows, want exactly 1", "0 rows, want exactly 1", "0 rows, want at least 1"}
		if diff := cmp.Diff(want, problems); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
	})
}

func TestWrongDistributionIsAProblem(t *testing.T) {
	conn := pgtest.Connect(t, pgtest.Citus(t))
	if _, err := provision.Create(context.Background(), conn, server.Waiting{}); err != nil {
		t.Fatal(err)
	}
	exec(t, conn, `SELECT create_distributed_table('campaigns', 'id')`,
		`INSERT INTO campaigns VALUES (1, 5, 'n', 'm', 'running', 5, NULL, now(), now())`)
	report, err := tutorial.Run(context.Background(), conn, tutorial.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := report.Steps[1].Problem; report.OK() || !strings.HasPrefix(got, "sent to 8 shards, want 1") {
		t.Errorf("problem %q, want that the query goes to 8 shards", got)
	}
}

// An error in the middle undoes what came before it and leaves a usable
// connection.
func TestErrorRollsBack(t *testing.T) {
	conn := load(t, pgtest.Plain(t))
	exec(t, conn,
		`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$no$$; END'`,
		`CREATE TRIGGER refuse BEFORE DELETE ON ads FOR EACH ROW EXECUTE FUNCTION refuse()`)
	for _, commit := range []bool{false, true} {
		report, err := tutorial.Run(context.Background(), conn, tutorial.Options{Commit: commit})
		if err == nil || !strings.Contains(err.Error(), "delete its ads") || report.Committed {
			t.Errorf("commit %v: error %v, committed %v", commit, err, report.Committed)
		}
		if len(report.Steps) != 6 {
			t.Errorf("commit %v: %d steps, want the 6 before the error", commit, len(report.Steps))
		}
	}
	// The update before the tutorial's transaction was committed, as it says.
	if got, want := digest(t, conn), fmt.Sprintf("9 270 %d 810", 9*43500+100); got != want {
		t.Errorf("tables are %q, want %q", got, want)
	}
}

func TestRunRefusesOpenTransaction(t *testing.T) {
	conn := pgtest.Connect(t, pgtest.Plain(t))
	exec(t, conn, `BEGIN`)
	if _, err := tutorial.Run(context.Background(), conn, tutorial.Options{}); err == nil || !strings.Contains(err.Error(), "inside a transaction") {
		t.Errorf("error %v", err)
	}
}

func TestRunWithoutTables(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, dsn string) {
		_, err := tutorial.Run(context.Background(), pgtest.Connect(t, dsn), tutorial.Options{})
		if err == nil || !strings.Contains(err.Error(), `"companies" does not exist`) {
			t.Errorf("error %v", err)
		}
	})
}

func TestRunStopsWithItsContext(t *testing.T) {
	conn := load(t, pgtest.Plain(t))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := tutorial.Run(ctx, conn, tutorial.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}
