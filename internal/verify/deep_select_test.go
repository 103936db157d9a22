package verify_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shardload/internal/pgtest"
	"shardload/internal/verify"
)

// TestDeepSelect compares tables with what lists and conditions make of a file: read here, and
// evaluated by the server.
func TestDeepSelect(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, "SET DateStyle = 'SQL, DMY'", "SET TimeZone = 'Europe/Berlin'")
		const columns = "id bigint, tenant int, day date, at timestamptz, amount numeric(8,2), note varchar(5), upper text, line int, region text, days int[], stamp timestamptz, PRIMARY KEY (tenant, id)"
		exec(t, conn, "CREATE TABLE chosen ("+columns+")")
		if strings.HasSuffix(t.Name(), "/citus") {
			exec(t, conn, "SELECT create_distributed_table('chosen', 'tenant')")
		}
		var in strings.Builder
		in.WriteString("nr,tenant,tag,um,preis,text,x\n")
		for i := range 3000 {
			fmt.Fprintf(&in, "%d,%d,%d/%d/2026,2026-07-01 10:00:%02d,\"%d,50\",%s,%s\n", i, i%17, i%28+1, i%12+1, i%60, i, []string{"-", "abc", "", `""`}[i%4], strings.Repeat("y", i%9))
		}
		file := writeFile(t, "chosen.csv", in.String())
		exec(t, conn, "CREATE TEMP TABLE fields (n bigint GENERATED ALWAYS AS IDENTITY, nr text, tenant text, tag text, um text, preis text, text text, x text)")
		copyFile(t, conn, "fields (nr, tenant, tag, um, preis, text, x)", file, "FORMAT csv, HEADER")
		for _, test := range []struct{ list, where, names, values, column string }{
			{
				"nr AS id, tenant, nullif(nullif(text, '-'), '') AS note, 'eu' AS region, _line AS line", "",
				"id, tenant, note, region, line", "nr::int, tenant::int, nullif(nullif(text, '-'), ''), 'eu', n + 1", "note",
			},
			{"nr AS id, tenant, tag::date AS day, um::timestamptz AS at", "", "id, tenant, day, at", "nr::int, tenant::int, tag::date, um::timestamptz", "at"},
			{
				"nr AS id, tenant::int + 1 AS tenant, to_date(tag, 'DD/MM/YYYY') AS day, replace(preis, ',', '.') AS amount, left(x, 5) AS note, upper(x) AS upper, '{' || nr || '}' AS days, _line AS line",
				"x <> '' AND text IS DISTINCT FROM '-'",
				"id, tenant, day, amount, note, upper, days, line", "nr::int, tenant::int + 1, to_date(tag, 'DD/MM/YYYY'), replace(preis, ',', '.')::numeric, left(x, 5), upper(x), ('{' || nr || '}')::int[], n + 1", "upper",
			},
			{
				"nr AS id, tenant, um::timestamptz + '1 hour' AS at, tag::date::text AS upper, now() AS stamp", "",
				"id, tenant, at, upper, stamp", "nr::int, tenant::int, um::timestamptz + '1 hour', tag::date::text, now()", "at",
			},
		} {
			where := ""
			if test.where != "" {
				where = " WHERE " + test.where
			}
			exec(t, conn, "TRUNCATE chosen", "INSERT INTO chosen ("+test.names+") SELECT "+test.values+" FROM fields"+where)
			cfg := verify.DeepConfig{Conn: conn.Config(), Table: "chosen", Inputs: []verify.Input{verify.File(file)}, Select: test.list, Where: test.where}
			cfg.Conn.RuntimeParams["datestyle"], cfg.Conn.RuntimeParams["timezone"] = "SQL, DMY", "Europe/Berlin"
			check, err := verify.Deep(context.Background(), cfg)
			if err != nil {
				t.Errorf("%s: %v", test.list, err)
				continue
			}
			if !check.Same() || check.Database.Rows < 1000 || check.Input.Rows+check.Left != 3000 || (check.Left > 0) != (test.where != "") {
				t.Errorf("%s: %+v", test.list, check)
			}
			if strings.Contains(test.list, "now()") && !slices.Contains(check.NotCompared, "stamp") {
				t.Errorf("%s: what the time was is compared", test.list)
			}
			exec(t, conn, "UPDATE chosen SET "+test.column+" = NULL WHERE id = 1001")
			check, err = verify.Deep(context.Background(), cfg)
			if err != nil || check.Same() || len(check.Tenants) != 1 || cmp.Diff([]string{test.column}, check.Columns) != "" {
				t.Errorf("%s: an altered value: %+v, %v", test.list, check, err)
			}
		}
	})
}
