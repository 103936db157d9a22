package verify

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/checksum"
	"shardload/internal/citus"
	"shardload/internal/server"
)

// A selection is what of a table is compared.
type selection struct {
	table   *catalog.Table
	columns []column // that are compared, in the table's order
	key     []int    // indexes in columns of what names a tenant, nil if nothing does
	unique  bool     // whether the key belongs to one row
}

// findKey chooses the columns that name a tenant: the distribution column, or the
// primary key of a table that has none. If they are not all compared, none does.
func (s *selection) findKey(ctx context.Context, conn *pgx.Conn, cluster bool) error {
	names := s.table.PrimaryKey
	s.unique = true
	if cluster {
		dist, err := citus.Distribute(ctx, conn, s.table.OID)
		if err != nil {
			return err
		}
		if dist.Kind == citus.Hash {
			names, s.unique = []string{dist.Column}, false
		}
	}
	for _, name := range names {
		i := s.index(name)
		if i < 0 {
			s.key = nil
			return nil
		}
		s.key = append(s.key, i)
	}
	return nil
}

// index returns where the column of that name is in s.columns, or -1.
func (s *selection) index(name string) int {
	for i := range s.columns {
		if s.columns[i].Name == name {
			return i
		}
	}
	return -1
}

// keyOf returns the hash of the row's key: the row's own if the table has none.
func (s *selection) keyOf(r *row) (key int64) {
	if s.key == nil {
		return s.hashOf(r)
	}
	for _, i := range s.key {
		key = checksum.Row(key, r.hash(i))
	}
	return key
}

// hashOf returns the hash of the row.
func (s *selection) hashOf(r *row) (hash int64) {
	for i := range r.hashes {
		hash = checksum.Row(hash, r.hash(i))
	}
	return hash
}

// rowSQL returns the SQL of the hash of a row.
func (s *selection) rowSQL() string {
	hashes := make([]string, len(s.columns))
	for i := range s.columns {
		hashes[i] = hashSQL(&s.columns[i])
	}
	return checksum.SQLRow(hashes)
}

// keySQL returns the SQL of the hash of a row's key.
func (s *selection) keySQL() string {
	if s.key == nil {
		return s.rowSQL()
	}
	var hashes []string
	for _, i := range s.key {
		hashes = append(hashes, hashSQL(&s.columns[i]))
	}
	return checksum.SQLRow(hashes)
}

// shareSQL returns the SQL of which part a row belongs to.
func (s *selection) shareSQL() string { return fmt.Sprintf("(%s & %d)::int", s.keySQL(), shares-1) }

// tenantsSQL returns the query of the tenants in the parts that are looked at:
// their key's values and hash, rows, and checksums.
func (s *selection) tenantsSQL(p *parts, columns []column) string {
	var names, list []string
	for _, i := range s.key {
		names = append(names, `(`+textSQL(&s.columns[i])+`)::text COLLATE "C"`)
	}
	for _, share := range p.differing[:p.now()] {
		list = append(list, strconv.Itoa(share))
	}
	groups := append(names, s.keySQL())
	numbers := make([]string, len(groups))
	for i := range groups {
		numbers[i] = strconv.Itoa(i + 1)
	}
	where := ""
	if len(list) < shares {
		where = " WHERE " + s.shareSQL() + " IN (" + strings.Join(list, ",") + ")"
	}
	return "SELECT " + strings.Join(groups, ", ") + ", count(*), sum(" + s.rowSQL() + ")" + sumsSQL(columns) +
		" FROM " + s.table.SQL() + where + " GROUP BY " + strings.Join(numbers, ", ")
}

// parseTenant reads a row of tenantsSQL.
func (s *selection) parseTenant(values [][]byte, columns int) (e *tenant, key int64, err error) {
	n := len(s.key)
	e = &tenant{names: make([]*string, n), columns: make([]tally, columns)}
	for i, v := range values[:n] {
		if v != nil {
			name := strings.ToValidUTF8(string(v), "�")
			e.names[i] = &name
		}
	}
	if key, err = strconv.ParseInt(string(values[n]), 10, 64); err != nil {
		return nil, 0, fmt.Errorf("the server's hash: %w", err)
	}
	if e.rows.rows, e.rows.sum, err = parseTally(values[n+1:]); err != nil {
		return nil, 0, err
	}
	for i := range e.columns {
		if e.columns[i].rows, e.columns[i].sum, err = parseTally(values[n+3+2*i:]); err != nil {
			return nil, 0, err
		}
	}
	return e, key, nil
}

// tenantQuery returns the query of a tenant's rows.
func (s *selection) tenantQuery(key []*string) string {
	if len(s.key) == 0 {
		return ""
	}
	var where []string
	for i, k := range s.key {
		c := pgx.Identifier{s.columns[k].Name}.Sanitize()
		if key[i] == nil {
			where = append(where, server.IsNull(c))
		} else {
			where = append(where, c+" = "+strings.TrimSpace(server.Literal(*key[i])))
		}
	}
	return "SELECT * FROM " + s.table.SQL() + " WHERE " + strings.Join(where, " AND ")
}

// recordsSQL returns the query of the rows of tenants: key, hash and number.
func (s *selection) recordsSQL(want map[int64]*TenantDifference) string {
	var keys []string
	for _, t := range want {
		keys = append(keys, strings.TrimSpace(server.Literal(*t.Key[0])))
	}
	slices.Sort(keys)
	return "SELECT " + s.keySQL() + ", " + s.rowSQL() + ", count(*) FROM " + s.table.SQL() +
		" WHERE " + pgx.Identifier{s.columns[s.key[0]].Name}.Sanitize() + " IN (" + strings.Join(keys, ", ") + ") GROUP BY 1, 2"
}
