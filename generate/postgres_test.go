package generate_test

import (
	"fmt"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/generate"
	"shardload/internal/checksum"
	"shardload/internal/pgtest"
	"shardload/schema"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// psql runs commands as a user would type them, in dir.
func psql(t *testing.T, dsn, dir string, commands ...string) {
	t.Helper()
	args := []string{"--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", dsn}
	for _, c := range commands {
		args = append(args, "--command", c)
	}
	cmd := exec.CommandContext(t.Context(), "psql", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("psql %q: %v:\n%s", commands, err, out)
	}
}

// The real psql loads the files with the tutorial's own command, and what
// PostgreSQL then writes is what was loaded, byte for byte. The heap keeps no order
// of rows, and no row has a line break.
func TestPsqlLoadsTheFiles(t *testing.T) {
	if _, err := exec.LookPath("psql"); err != nil {
		t.Skip("psql is not installed")
	}
	for _, test := range []struct {
		name    string
		out     generate.Output
		options string
	}{
		{"csv", generate.Output{}, " with (format csv, header)"},
		{"text", generate.Output{Format: generate.Text}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dsn := pgtest.Plain(t)
			cfg := generate.Config{Companies: 100, Campaigns: 3000, Ads: 20_000, Seed: 1, Skew: 0.8}
			dir, m := write(t, cfg, test.out)
			for _, s := range schema.Tables() {
				psql(t, dsn, dir, s.CreateSQL(), s.PrimaryKeySQL(),
					fmt.Sprintf(`\copy %s from '%s.csv'%s`, s.Name, s.Name, test.options),
					fmt.Sprintf(`\copy %s to '%s.back'%s`, s.Name, s.Name, test.options))
				want, got := sortedLines(read(t, dir, s.Name+".csv")), sortedLines(read(t, dir, s.Name+".back"))
				if !slices.Equal(want, got) {
					t.Errorf("%s: PostgreSQL wrote other lines than it was given", s.Name)
				}
			}
			checkSums(t, dsn, m)
			checkTutorial(t, dsn)
		})
	}
}

func sortedLines(b []byte) []string {
	return slices.Sorted(strings.Lines(string(b)))
}

// checkSums checks that the server sums up what it stores as the manifest does.
func checkSums(t *testing.T, dsn string, m generate.Manifest) {
	t.Helper()
	conn := pgtest.Connect(t, dsn)
	for _, f := range m.Files {
		got := generate.Checksums{}
		var hashes []string
		for _, name := range schema.Lookup(f.Table).ColumnNames() {
			hash := checksum.SQLText(name)
			hashes = append(hashes, hash)
			column := generate.ColumnChecksum{Name: name}
			column.Sum = sumOf(t, conn, f.Table, hash, &column.Values)
			got.Columns = append(got.Columns, column)
		}
		got.RowSum = sumOf(t, conn, f.Table, checksum.SQLRow(hashes), &got.Rows)
		if !reflect.DeepEqual(*f.Checksums, got) {
			t.Errorf("checksums of %s: %+v, the server has %+v", f.Name, *f.Checksums, got)
		}
	}
}

func sumOf(t *testing.T, conn *pgx.Conn, table, hash string, values *int64) (sum string) {
	t.Helper()
	sql := fmt.Sprintf("SELECT count(%[1]s), coalesce(sum(%[1]s), 0)::text FROM %[2]s", hash, table)
	if err := conn.QueryRow(t.Context(), sql).Scan(values, &sum); err != nil {
		t.Fatal(err)
	}
	return sum
}

// checkTutorial checks that each of the tutorial's statements meets real rows, and
// that every foreign key holds.
func checkTutorial(t *testing.T, dsn string) {
	t.Helper()
	conn := pgtest.Connect(t, dsn)
	for _, sql := range []string{
		`SELECT count(*) = 10 FROM (SELECT FROM campaigns WHERE company_id = 5 ORDER BY monthly_budget DESC LIMIT 10) t`,
		`SELECT count(*) > 0 AND sum(impressions_count) > 0 FROM campaigns c JOIN ads a ON c.id = a.campaign_id AND c.company_id = a.company_id WHERE c.company_id = 7 AND c.state = 'running'`,
		`WITH u AS (UPDATE campaigns SET monthly_budget = monthly_budget*2 WHERE id = 1 AND company_id = 5 RETURNING monthly_budget) SELECT count(*) = 1 AND min(monthly_budget) > 0 FROM u`,
		`SELECT count(*) > 0 FROM ads WHERE campaign_id = 1 AND company_id = 5`,
		`SELECT count(*) = 0 FROM campaigns WHERE company_id NOT IN (SELECT id FROM companies)`,
		`SELECT count(*) = 0 FROM ads a WHERE NOT EXISTS (SELECT FROM campaigns c WHERE c.company_id = a.company_id AND c.id = a.campaign_id)`,
		`SELECT count(*) = 100 FROM ads a JOIN companies c ON c.id = a.company_id WHERE a.id = 1`,
	} {
		var got bool
		if err := conn.QueryRow(t.Context(), sql).Scan(&got); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if !got {
			t.Errorf("%s: false", sql)
		}
	}
}
