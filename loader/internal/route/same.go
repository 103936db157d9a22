package route

import (
	"fmt"
	"strconv"
	"strings"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/server"
)

// identity returns what must not change while a load by that route runs: which
// table it is, how it is distributed, what the loaded columns are, by name, type and
// number, and that no other is filled from a sequence that shards do not have. Columns that
// have changed names, or were made anew, have other numbers.
func identity(columns []*catalog.Column, t *catalog.Table, d *citus.Distribution, by Way) string {
	id := fmt.Sprintf("table %d, %s by %q in colocation group %d", t.OID, d.Kind, d.Column, d.Colocation)
	given := map[string]bool{}
	for _, c := range columns {
		given[c.Name] = true
		if now := t.Column(c.Name); now != nil {
			id += fmt.Sprintf(", %q %s (%d)", now.Name, now.Type, now.Num)
		}
	}
	for i := range t.Columns {
		if c := &t.Columns[i]; by != ByCoordinator && !given[c.Name] && c.UsesSequence {
			id += fmt.Sprintf(", %q from a sequence", c.Name)
		}
	}
	return id
}

// sameSQL returns the query that counts the loaded columns which the table of that
// name still has. Rows in binary would be stored as other values in a column of
// another type. The table's OID and the columns' numbers are others on each node; here says
// that they are ours.
func sameSQL(table *catalog.Table, columns []*catalog.Column, here bool) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		num := "attnum"
		if here {
			num = strconv.Itoa(int(c.Num))
		}
		list[i] = "(" + server.Literal(c.Name) + ", " + server.Literal(c.Type) + ", " + num + ")"
	}
	sql := fmt.Sprintf(`SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute WHERE attrelid = pg_catalog.to_regclass(%s)
		AND (attname::text, pg_catalog.format_type(atttypid, atttypmod), attnum) IN (%s)`, server.Literal(table.SQL()), strings.Join(list, ", "))
	if here {
		sql += fmt.Sprintf(" AND attrelid = %d::oid", table.OID)
	}
	return sql
}
