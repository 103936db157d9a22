package loader_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestOddNames holds that a load with progress and rejects, which is stopped and goes on,
// quotes every name: of schema, table, columns, job, input and the file of rejects.
func TestOddNames(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		const schema = `"we""ird'; DROP TABLE victim; --"`
		const table = schema + `."ta""ble/'; DROP TABLE victim; --"`
		exec(t, conn, "CREATE TABLE victim (); CREATE SCHEMA "+schema)
		t.Cleanup(func() { exec(t, pgtestConn(t, dsn), "DROP SCHEMA "+schema+" CASCADE") })
		exec(t, conn, "CREATE TABLE "+table+` ("i""d'; DROP TABLE victim; --" int, "ten""ant $1 %s" int, "na,me" text, PRIMARY KEY ("i""d'; DROP TABLE victim; --", "ten""ant $1 %s"))`)
		distributeOdd(t, conn, table)
		n := pgtest.Sized(2000, 4000)
		in := "\"i\"\"d'; DROP TABLE victim; --\",\"ten\"\"ant $1 %s\",\"na,me\"\n" +
			strings.Join(oddRecords(n), "")
		for _, route := range routes(t) {
			t.Run(string(route), func(t *testing.T) {
				exec(t, conn, "TRUNCATE "+table)
				dir := filepath.Join(t.TempDir(), "re'; jects")
				cfg := pieces(t, dsn)
				cfg.Table, cfg.Route, cfg.Job, cfg.RejectsDir = table, route, "o'dd; \"job\" %s $1 \\ "+string(route), dir
				cfg.MaxErrors = loader.ErrorLimit{Percent: 50}
				cfg.Streams = 1
				path := writeInput(t, []byte(in))
				if _, err := run(t, cfg, loader.File(path), 5); err == nil {
					t.Error("the load was not stopped")
				}
				res, err := run(t, cfg, loader.File(path), 0)
				if err != nil {
					t.Fatal(err)
				}
				if got := query(t, conn, "SELECT count(*) FROM "+table)[0]; got != fmt.Sprint(n*9/10) || res.Rejected != int64(n/10) || filepath.Dir(res.Rejects) != dir {
					t.Errorf("%s rows, %+v", got, res)
				}
				if err := loader.Truncate(context.Background(), parse(t, dsn), table); err != nil {
					t.Error(err)
				}
			})
		}
		query(t, conn, "SELECT count(*) FROM victim")
	})
}

// oddRecords returns n records, every tenth of them bad.
func oddRecords(n int) []string {
	var records []string
	for i := range n {
		id := fmt.Sprint(i)
		if i%10 == 3 {
			id = "no'; DROP TABLE victim; --"
		}
		records = append(records, fmt.Sprintf("%s,%d,%s\n", id, i%50, strings.Repeat("x", 300)))
	}
	return records
}

// distributeOdd distributes the table if the server has Citus.
func distributeOdd(t *testing.T, conn *pgx.Conn, table string) {
	if strings.HasSuffix(t.Name(), "/citus") {
		if _, err := conn.Exec(t.Context(), "SELECT create_distributed_table($1::text::regclass, $2, colocate_with => 'none')", table, `ten"ant $1 %s`); err != nil {
			t.Fatal(err)
		}
	}
}
