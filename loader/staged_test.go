package loader_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// stagedKinds are the kinds of tables into which rows go by way of an expression.
var stagedKinds = map[string]struct {
	table string // what comes after CREATE TABLE sold
	make  []string
}{
	"local":       {table: soldColumns + ", PRIMARY KEY (id, tenant))"},
	"distributed": {table: soldColumns + ", PRIMARY KEY (id, tenant))", make: []string{"SELECT create_distributed_table('sold', 'tenant', shard_count => 6, colocate_with => 'none')"}},
	"reference":   {table: soldColumns + ", PRIMARY KEY (id, tenant))", make: []string{"SELECT create_reference_table('sold')"}},
	"managed":     {table: soldColumns + ", PRIMARY KEY (id, tenant))", make: []string{"SELECT citus_add_local_table_to_metadata('sold')"}},
	"single":      {table: soldColumns + ", PRIMARY KEY (id, tenant))", make: []string{"SELECT create_distributed_table('sold', NULL, colocate_with => 'none')"}},
	"partitioned": {
		table: soldColumns + ", PRIMARY KEY (id, tenant, day)) PARTITION BY RANGE (day)",
		make: []string{
			"CREATE TABLE sold_a PARTITION OF sold FOR VALUES FROM ('2026-01-01') TO ('2026-06-01')", "CREATE TABLE sold_b PARTITION OF sold FOR VALUES FROM ('2026-06-01') TO ('2027-01-01')",
			"SELECT create_distributed_table('sold', 'tenant', shard_count => 4, colocate_with => 'none')",
		},
	},
}

const soldColumns = "(id int, tenant int, day date NOT NULL, price numeric(10,2) CHECK (price < 1000), code varchar(3), source text, line bigint, region text"

// A soldModel is an input, and what a load of it by its list must store.
type soldModel struct {
	in       string
	rows     []string
	filtered int64
	bad      map[int64]rejectLine // by line, with the column and the record alone
}

const soldHeader = "id,shop,day,price,code,status,junk\n"

// newSold makes an input of n records. Some are left out by the condition of soldWhere, and
// if dirty some are bad: a date that is none, a number that is none, what is too long, and
// what a check refuses.
func newSold(n int, dirty bool) *soldModel {
	rng := rand.New(rand.NewPCG(3, uint64(n)))
	m := &soldModel{bad: map[int64]rejectLine{}}
	var b strings.Builder
	b.WriteString(soldHeader)
	line := 1
	for i := range n {
		line++
		shop := rng.IntN(40)
		month, day := 1+rng.IntN(12), 1+rng.IntN(28)
		id, date, price, code, status := fmt.Sprint(i), fmt.Sprintf("%02d/%02d/2026", day, month), fmt.Sprintf("%d,%d", rng.IntN(900), rng.IntN(10)), fmt.Sprintf("c%d", rng.IntN(9)), "ok"
		junk := "x"
		if rng.IntN(30) == 0 {
			junk = "\"two\nlines\""
		}
		if rng.IntN(7) == 0 {
			status = []string{"deleted", ""}[rng.IntN(2)]
		}
		tenant, column := fmt.Sprintf("s-%d", shop), ""
		bad := dirty && status == "ok" && rng.IntN(60) == 0
		if bad {
			switch rng.IntN(6) {
			case 0:
				date, column = "31/02/2026", "day"
			case 1:
				price, column = "much", "price"
			case 2:
				code, column = "long!", "code"
			case 3:
				price = "1000,1" // by a constraint
			case 4:
				id, column = "id", "id"
			case 5:
				tenant, column = "s-x", "tenant"
			}
		}
		record := fmt.Sprintf("%s,%s,%s,\"%s\",%s,%s,%s", id, tenant, date, price, code, status, junk)
		b.WriteString(record + "\n")
		switch {
		case bad:
			m.bad[int64(line)] = rejectLine{Column: column, Record: &record}
		case status != "ok":
			m.filtered++
		default:
			note := "NULL"
			if code != "c1" {
				note = code
			}
			m.rows = append(m.rows, fmt.Sprintf("%d|%d|2026-%02d-%02d|%s0|%s|sold.csv|%d|eu", i, shop, month, day, strings.Replace(price, ",", ".", 1), note, line))
		}
		line += strings.Count(junk, "\n")
	}
	m.in = b.String()
	slices.Sort(m.rows)
	return m
}

const (
	soldList  = "id, substr(shop, 3)::int AS tenant, to_date(day, 'DD/MM/YYYY') AS day, replace(price, ',', '.') AS price, nullif(code, 'c1') AS code, regexp_replace(_file, '^.*/', '') AS source, _line AS line, 'eu' AS region -- all"
	soldWhere = "status = 'ok'"
)

// check compares what is stored, and counted, with the model.
func (m *soldModel) check(t *testing.T, conn *pgx.Conn, res loader.Result) {
	t.Helper()
	got := query(t, conn, "SELECT id, tenant, day, price, code, source, line, region FROM sold")
	slices.Sort(got)
	if diff := gocmp.Diff(m.rows, got); diff != "" {
		t.Errorf("rows (-want +got):\n%.3000s", diff)
	}
	if n := res.Before + res.Rows; n != int64(len(m.rows)) || res.Filtered != m.filtered || res.Rejected != int64(len(m.bad)) || res.Skipped+res.Updated != 0 {
		t.Errorf("%d rows, %d filtered, %d rejected, %d and %d met; want %d, %d, %d", n, res.Filtered, res.Rejected, res.Skipped, res.Updated, len(m.rows), m.filtered, len(m.bad))
	}
	if len(m.bad) == 0 {
		return
	}
	for line, r := range readRejects(t, res.Rejects) {
		want, ok := m.bad[line]
		if !ok || r.Record == nil || *r.Record != *want.Record || r.Column != want.Column || filepath.Base(r.Input) != "sold.csv" || r.SQLState == "" {
			t.Errorf("line %d is rejected: %s %q %s, of column %q; want column %q", line, r.SQLState, r.bytes(), r.Reason, r.Column, want.Column)
		}
	}
}

// eachStagedKind runs fn for every kind of table and every route that it has; in the short tests
// for one route of each.
func eachStagedKind(t *testing.T, fn func(t *testing.T, cfg loader.Config, conn *pgx.Conn)) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		every := routes(t)
		for kind, of := range stagedKinds {
			if !strings.HasSuffix(t.Name(), "/citus") && of.make != nil {
				continue
			}
			t.Run(kind, func(t *testing.T) {
				conn := pgtest.Connect(t, dsn)
				exec(t, conn, "DROP TABLE IF EXISTS sold")
				exec(t, conn, "CREATE TABLE sold "+of.table)
				for _, sql := range of.make {
					exec(t, conn, sql)
				}
				by := []loader.Route{loader.RouteCoordinator}
				if strings.Contains(strings.Join(of.make, ""), "distributed_table") {
					by = every
				}
				for _, route := range by {
					t.Run(string(route), func(t *testing.T) {
						exec(t, conn, "TRUNCATE sold")
						fn(t, loader.Config{Conn: parse(t, dsn), Table: "sold", Route: route, Select: soldList, Where: soldWhere, Job: t.Name(), RejectsDir: t.TempDir()}, conn)
					})
				}
			})
		}
	})
}

// writeSold writes an input as a file of the name that the model has.
func writeSold(t *testing.T, in string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sold.csv")
	if err := os.WriteFile(path, []byte(in), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestStaged holds that rows which the server evaluates are stored once each, in every kind of
// table and by every route: clean ones and with bad ones among them, in one transaction, in
// pieces, and stopped again and again.
func TestStaged(t *testing.T) {
	t.Parallel()
	eachStagedKind(t, func(t *testing.T, cfg loader.Config, conn *pgx.Conn) {
		for _, dirty := range inTurn(1, []bool{false, true}) {
			t.Run(fmt.Sprintf("dirty %v", dirty), func(t *testing.T) {
				exec(t, conn, "TRUNCATE sold")
				cfg, model := cfg, newSold(4000, dirty)
				cfg.Job, cfg.Batch, cfg.Memory, cfg.MaxRecord = t.Name(), 16<<10, 8<<20, 1<<20
				if dirty {
					cfg.MaxErrors = loader.ErrorLimit{Records: 1000}
				}
				path := writeSold(t, model.in)
				for stops := int64(9); ; stops += 12 {
					if stops > sized[int64](10, 50) {
						stops = 0
					}
					res, err := run(t, cfg, loader.File(path), stops)
					if err == nil {
						model.check(t, conn, res)
						break
					}
					if !errors.Is(err, context.Canceled) {
						t.Fatal(err)
					}
				}
				_, err := run(t, cfg, loader.File(path), 0)
				if done, ok := errors.AsType[*loader.CompleteError](err); !ok || done.Filtered != model.filtered {
					t.Errorf("run again: %v", err)
				}
			})
		}
		if cfg.Route == loader.RouteCoordinator {
			t.Run("whole", func(t *testing.T) {
				exec(t, conn, "TRUNCATE sold")
				cfg, model := cfg, newSold(2000, true)
				cfg.Job, cfg.MaxErrors = t.Name(), loader.ErrorLimit{Records: 1000}
				res, err := run(t, cfg, loader.File(writeSold(t, model.in)), 0)
				if err != nil {
					t.Fatal(err)
				}
				model.check(t, conn, res)
			})
		}
	})
}
