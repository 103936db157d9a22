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
	rowKey  []int    // indexes in columns of the primary key, which names a row of a tenant, nil if nothing does
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
			s.rowKey = s.findRowKey(dist.Column)
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

// findRowKey returns where the columns of the primary key are, nil if they are not all compared
// or the distribution column alone is it.
func (s *selection) findRowKey(distribution string) (key []int) {
	for _, name := range s.table.PrimaryKey {
		i := s.index(name)
		if i < 0 {
			return nil
		}
		key = append(key, i)
	}
	if len(key) == 1 && s.columns[key[0]].Name == distribution {
		return nil
	}
	return key
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
	return hashOfSome(r, s.key)
}

// hashOfSome returns the hash of the row's values of some columns.
func hashOfSome(r *row, columns []int) (hash int64) {
	for _, i := range columns {
		hash = checksum.Row(hash, r.hash(i))
	}
	return hash
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
	return s.someSQL(s.key)
}

// someSQL returns the SQL of the hash of a row's values of some columns.
func (s *selection) someSQL(columns []int) string {
	var hashes []string
	for _, i := range columns {
		hashes = append(hashes, hashSQL(&s.columns[i]))
	}
	return checksum.SQLRow(hashes)
}

// namesSQL returns the SQL of some columns' values as people read them.
func (s *selection) namesSQL(columns []int) (list []string) {
	for _, i := range columns {
		list = append(list, `(`+textSQL(&s.columns[i])+`)::text COLLATE "C"`)
	}
	return list
}

// shareSQL returns the SQL of which part a row belongs to.
func (s *selection) shareSQL() string { return fmt.Sprintf("(%s & %d)::int", s.keySQL(), shares-1) }

// tenantsSQL returns the query of the tenants in the parts that are looked at:
// their key's values and hash, rows, and checksums.
func (s *selection) tenantsSQL(p *parts, columns []column) string {
	names, list := s.namesSQL(s.key), []string{}
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
	readNames(e.names, values[:n])
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

// readNames puts what the server has sent of values into names.
func readNames(names []*string, values [][]byte) {
	for i, v := range values {
		if v != nil {
			name := strings.ToValidUTF8(string(v), "�")
			names[i] = &name
		}
	}
}

// rowsQuery returns the query of the rows with those values of columns, "" without columns.
func (s *selection) rowsQuery(columns []int, key []*string) string {
	if len(columns) == 0 {
		return ""
	}
	var where []string
	for i, k := range columns {
		c := pgx.Identifier{s.columns[k].Name}.Sanitize()
		if key[i] == nil {
			where = append(where, server.IsNull(c))
		} else {
			where = append(where, c+" = "+strings.TrimSpace(server.Literal(*key[i])))
		}
	}
	return "SELECT * FROM " + s.table.SQL() + " WHERE " + strings.Join(where, " AND ")
}

// recordsSQL returns the query of the rows of tenants: key, hash and number; and the primary
// key's hash and values, which belong to one row.
func (s *selection) recordsSQL(want map[int64]*TenantDifference) string {
	var keys []string
	for _, t := range want {
		keys = append(keys, strings.TrimSpace(server.Literal(*t.Key[0])))
	}
	slices.Sort(keys)
	named := ""
	if s.rowKey != nil {
		named = ", min(" + s.someSQL(s.rowKey) + "), min(" + strings.Join(s.namesSQL(s.rowKey), "), min(") + ")"
	}
	return "SELECT " + s.keySQL() + ", " + s.rowSQL() + ", count(*)" + named + " FROM " + s.table.SQL() +
		" WHERE " + pgx.Identifier{s.columns[s.key[0]].Name}.Sanitize() + " IN (" + strings.Join(keys, ", ") + ") GROUP BY 1, 2"
}
