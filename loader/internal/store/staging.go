package store

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/catalog"
	"shardload/internal/fault"
	"shardload/internal/selection"
	"shardload/internal/server"
	"shardload/loader/internal/stage"
	"shardload/loader/internal/target"
)

// The table through which rows pass that may conflict. It is made in each batch's
// transaction and ends with it, so that it leaves nothing behind a connection pooler.
const (
	staging      = "shardload_batch"
	stagingTable = "pg_temp." + staging
)

// A merge is the statements by which rows get from the staging table into another
// one.
type merge struct {
	table  stagingDef
	stage  *stage.Table // nil if staged rows are those to be stored, as they are
	plain  bool         // all rows are to be stored: no row is expected to be in their way
	skips  bool         // conflicting rows are left out
	counts bool         // the server can tell in one statement which rows it has added

	columns  string // of the INSERT, and how it treats identities
	list     string // the columns' names
	distinct string // expressions that are alike in rows that conflict
	nothing  string // ON CONFLICT clauses
	update   string
	free     string // a condition of staged rows that conflict with none, "" if there are none
}

// NewMerge returns the merge of records with these columns, nil if conflicts are errors, and
// they are stored as they are. With skip the row that is there stays, else the record takes
// its place. st is the staging table in which records wait to be evaluated, nil for none.
func NewMerge(t *target.Target, columns []*catalog.Column, skip bool, st *stage.Table) (*merge, error) {
	switch {
	case t.Key == nil && st == nil:
		return nil, nil
	case t.Key == nil:
		m := plainMerge(t.Table, columns)
		m.stage = st
		return m, nil
	}
	var names, sets []string
	identity := false
	for _, c := range columns {
		name := pgx.Identifier{c.Name}.Sanitize()
		names = append(names, name)
		identity = identity || c.Identity != 0
		if c.Identity != 'a' && !slices.Contains(t.Key.Columns, c.Name) {
			sets = append(sets, name+" = EXCLUDED."+name)
		}
	}
	key, distinct, free, err := keySQL(t.Table, t.Key, columns)
	if err != nil {
		return nil, err
	}
	list := strings.Join(names, ", ")
	m := &merge{
		table:    newStagingDef(t.Table, columns),
		stage:    st,
		skips:    skip || len(sets) == 0,
		counts:   t.Table.Kind != 'p', // the xmax of a row in a partition cannot be asked for
		columns:  " (" + list + ") ",
		list:     list,
		distinct: distinct,
		nothing:  " ON CONFLICT (" + key + ") DO NOTHING",
		free:     free,
	}
	if identity {
		m.columns += "OVERRIDING SYSTEM VALUE " // as COPY does
	}
	if !m.skips {
		m.update = " ON CONFLICT (" + key + ") DO UPDATE SET " + strings.Join(sets, ", ")
	}
	return m, nil
}

// name returns the name of the staging table.
func (m *merge) name() string {
	if m.stage != nil {
		return m.stage.Name
	}
	return staging
}

// createSQL returns the statement that makes the staging table on conn.
func (m *merge) createSQL(conn *pgconn.PgConn, pooled bool) string {
	if m.stage != nil {
		return m.stage.CreateSQL(pooled) + selection.SettingsSQL + "; "
	}
	return m.table.createSQL(conn)
}

// from returns what stands after FROM for the staged rows of r, as they are to be stored. A
// staging table in which they are already has no ranges.
func (m *merge) from(r stage.Range) string {
	if m.stage != nil {
		return m.stage.Source(r)
	}
	return stagingTable
}

// values returns the query for the rows to insert among those of from.
func (m *merge) values(from string) string {
	if m.skips {
		return "SELECT " + m.list + " FROM " + from + " AS staged"
	}
	// Rows lie in the staging table in the order in which they came: it is
	// filled from empty in the transaction that made it, which always takes
	// the last page or a new one.
	return fmt.Sprintf("SELECT %s FROM (SELECT DISTINCT ON (%s) * FROM %s AS staged ORDER BY %s, ctid DESC) AS newest", m.list, m.distinct, from, m.distinct)
}

// each returns the query for how many rows values gives.
func (m *merge) each(from string) string {
	return fmt.Sprintf("SELECT pg_catalog.count(*) FROM (SELECT DISTINCT %s FROM %s AS staged) AS each", m.distinct, from)
}

// A stagingDef is what the staging table consists of.
type stagingDef struct {
	columns []string
	checks  []string
}

// createSQL returns the statement that makes the table on conn. A check with a backslash
// would be another one where conn reads backslashes in strings: the target alone then
// checks it.
func (d stagingDef) createSQL(conn *pgconn.PgConn) string {
	defs := slices.Clone(d.columns)
	standard := conn.ParameterStatus("standard_conforming_strings") == "on"
	for _, check := range d.checks {
		if standard || !strings.Contains(check, `\`) {
			defs = append(defs, check)
		}
	}
	return "CREATE TEMPORARY TABLE " + staging + " (" + strings.Join(defs, ", ") + ") USING heap ON COMMIT DROP; "
}

// newStagingDef returns what the staging table consists of. It checks rows as the
// table itself does, so that COPY names the one that is bad, and one that a later
// record replaces is checked, too. Where triggers may mend rows it does not.
func newStagingDef(t *catalog.Table, columns []*catalog.Column) (d stagingDef) {
	given := map[string]bool{}
	for _, c := range columns {
		given[c.Name] = true
		def := pgx.Identifier{c.Name}.Sanitize() + " " + c.TypeSQL()
		if c.Collation != "" {
			def += " COLLATE " + c.Collation
		}
		if c.NotNull && !t.BeforeInsert {
			def += " NOT NULL"
		}
		d.columns = append(d.columns, def)
	}
	for _, c := range t.Checks {
		if !t.BeforeInsert && !slices.ContainsFunc(c.Columns, func(name string) bool { return !given[name] }) {
			d.checks = append(d.checks, "CONSTRAINT "+pgx.Identifier{c.Name}.Sanitize()+" "+c.SQL)
		}
	}
	return d
}

// keySQL returns the key as ON CONFLICT names it, the expressions that are alike
// in rows that conflict, and the condition of rows that conflict with none, "" for none.
func keySQL(t *catalog.Table, of *catalog.Key, columns []*catalog.Column) (key, distinct, free string, err error) {
	var names, nulls []string
	for _, name := range of.Columns {
		i := slices.IndexFunc(columns, func(c *catalog.Column) bool { return c.Name == name })
		if c := t.Column(name); i < 0 && c != nil && c.Generated {
			return "", "", "", fault.Advise(fmt.Errorf("column %q: is computed by the server when a row is stored, so that records cannot be compared by it before", name), "name another key in Config.ConflictKey")
		}
		if i < 0 {
			return "", "", "", fmt.Errorf("column %q: is missing from the header, and belongs to the key by which rows conflict", name)
		}
		quoted := pgx.Identifier{name}.Sanitize()
		names = append(names, quoted)
		if !columns[i].NotNull && of.NullsDistinct {
			nulls = append(nulls, server.IsNull(quoted))
		}
	}
	key = strings.Join(names, ", ")
	if nulls == nil {
		return key, key, "", nil
	}
	// A row with a NULL in its key conflicts with no other.
	free = strings.Join(nulls, " OR ")
	return key, key + ", (CASE WHEN " + free + " THEN ctid END)", free, nil
}

// insertSQL returns the statement that inserts the rows of from into table.
func (m *merge) insertSQL(table, from string) string {
	return "INSERT INTO " + table + m.columns + m.values(from)
}

// sql returns the statements that insert the rows of from for which the condition where
// holds, "" for all, into table. Each of them
// gives a row of numbers, which merge reads: the tag of an INSERT counts otherwise behind
// the coordinator of a cluster. They run under the role's search path, as COPY does, and
// look up nothing in it themselves.
func (m *merge) sql(table, from, where string) string {
	insert := m.insertSQL(table, from)
	if where != "" {
		insert += " WHERE " + where
	}
	added := "WITH stored AS (" + insert + m.nothing + " RETURNING 1) SELECT pg_catalog.count(*) FROM stored"
	switch {
	case m.skips:
		return added
	case m.counts:
		return "WITH stored AS (" + insert + m.update + " RETURNING (xmax OPERATOR(pg_catalog.=) 0) AS added) " +
			"SELECT pg_catalog.count(*) FILTER (WHERE added), pg_catalog.count(*), (" + m.each(from) + ") FROM stored"
	}
	return added + "; WITH stored AS (" + insert + m.update + " RETURNING 1) SELECT pg_catalog.count(*), (" + m.each(from) + ") FROM stored"
}
