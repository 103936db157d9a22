package loader

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
)

// A Conflict says what becomes of a record whose key a row has already: one of the
// table, or one of an earlier record.
type Conflict string

// What may become of it.
const (
	// ConflictError stops the load there, or rejects the record: the zero value.
	ConflictError Conflict = "error"
	// ConflictSkip keeps the row that is there: of the input the first record.
	ConflictSkip Conflict = "skip"
	// ConflictUpdate puts the record's values in the row's place, so that the last
	// record of the input wins. Columns that the input does not have keep theirs.
	ConflictUpdate Conflict = "update"
)

// validateConflict reports the mistakes in what is said of conflicts.
func (c Config) validateConflict() error {
	switch c.OnConflict {
	case ConflictError, ConflictSkip, ConflictUpdate:
	default:
		return fmt.Errorf("conflict %q is unknown; want error, skip or update", c.OnConflict)
	}
	if c.OnConflict == ConflictError && len(c.ConflictKey) > 0 {
		return errors.New("a key for conflicts is of use only where they are skipped or updated")
	}
	return nil
}

// chooseKey finds the key by which records conflict.
func (l *Loader) chooseKey(rights catalog.Rights) error {
	if l.cfg.OnConflict == ConflictError {
		return nil
	}
	name := l.table.SQL()
	switch {
	case !rights.Temporary:
		return &PreflightError{fmt.Sprintf("role %s may not create temporary tables, through which rows with conflicts go", rights.Role),
			"GRANT TEMPORARY ON DATABASE … TO " + rights.Role + ", on a cluster on every node"}
	case !rights.Select || l.cfg.OnConflict == ConflictUpdate && !rights.Update:
		return &PreflightError{fmt.Sprintf("role %s needs the rights to SELECT and UPDATE %s for conflicts", rights.Role, name),
			fmt.Sprintf("its owner can allow it: GRANT SELECT, UPDATE ON %s TO %s", name, rights.Role)}
	}
	keys := l.table.Keys
	if want := l.cfg.ConflictKey; len(want) > 0 {
		keys = slices.DeleteFunc(slices.Clone(keys), func(k catalog.Key) bool { return !sameNames(k.Columns, want) })
		if len(keys) == 0 {
			return &PreflightError{fmt.Sprintf("%s has no primary key or unique constraint of (%s)", name, strings.Join(want, ", ")), l.keyChoice()}
		}
	}
	if len(keys) == 0 {
		return &PreflightError{name + " has no primary key or unique constraint that tells when rows conflict (those that are deferrable, partial or of expressions do not)",
			l.keyChoice()}
	}
	if len(keys) > 1 && !keys[0].Primary && len(l.cfg.ConflictKey) == 0 {
		return &PreflightError{name + " has several unique constraints and no primary key", l.keyChoice()}
	}
	l.key = &keys[0]
	l.plan.OnConflict, l.plan.Key = l.cfg.OnConflict, l.key.Columns
	return nil
}

// keyChoice says which keys may be named.
func (l *Loader) keyChoice() string {
	var choice []string
	for _, k := range l.table.Keys {
		choice = append(choice, "("+strings.Join(k.Columns, ", ")+")")
	}
	if choice == nil {
		return "add one, or load without --on-conflict"
	}
	return "name one of " + strings.Join(choice, ", ") + " with --conflict-key"
}

// sameNames reports whether a and b have the same names, in any order.
func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// orderKey returns the columns the records of which are stored in the order of the
// input where they are alike.
func (l *Loader) orderKey() []string {
	if l.key != nil {
		return l.key.Columns
	}
	return l.table.PrimaryKey
}

// The table through which rows pass that may conflict. It is made in each batch's
// transaction and ends with it, so that it leaves nothing behind a connection pooler.
const (
	staging      = "shardload_batch"
	stagingTable = "pg_temp." + staging
)

// A merge is the statements by which rows get from the staging table into another
// one.
type merge struct {
	create string // makes the staging table
	skips  bool   // conflicting rows are left out
	counts bool   // the server can tell in one statement which rows it has added

	columns string // of the INSERT, and how it treats identities
	values  string // the rows to insert
	nothing string // ON CONFLICT clauses
	update  string
	each    string // counts the rows that values gives
}

// newMerge returns the merge of records with these columns.
func (l *Loader) newMerge(columns []*catalog.Column) (*merge, error) {
	if l.key == nil {
		return nil, nil
	}
	var names, sets []string
	identity := false
	for _, c := range columns {
		name := pgx.Identifier{c.Name}.Sanitize()
		names = append(names, name)
		identity = identity || c.Identity != 0
		if c.Identity != 'a' && !slices.Contains(l.key.Columns, c.Name) {
			sets = append(sets, name+" = EXCLUDED."+name)
		}
	}
	key, distinct, err := l.keySQL(columns)
	if err != nil {
		return nil, err
	}
	list := strings.Join(names, ", ")
	m := &merge{
		create:  "CREATE TEMPORARY TABLE " + staging + " (" + strings.Join(l.stagingColumns(columns), ", ") + ") USING heap ON COMMIT DROP; ",
		skips:   l.cfg.OnConflict == ConflictSkip || len(sets) == 0,
		counts:  l.table.Kind != 'p', // the xmax of a row in a partition cannot be asked for
		columns: " (" + list + ") ",
		values:  "SELECT " + list + " FROM " + stagingTable,
		nothing: " ON CONFLICT (" + key + ") DO NOTHING",
	}
	if identity {
		m.columns += "OVERRIDING SYSTEM VALUE " // as COPY does
	}
	if !m.skips {
		// Rows lie in the staging table in the order in which they came: it is
		// filled from empty in the transaction that made it, which always takes
		// the last page or a new one.
		m.values = fmt.Sprintf("SELECT %s FROM (SELECT DISTINCT ON (%s) * FROM %s ORDER BY %s, ctid DESC) AS newest", list, distinct, stagingTable, distinct)
		m.update = " ON CONFLICT (" + key + ") DO UPDATE SET " + strings.Join(sets, ", ")
		m.each = fmt.Sprintf("SELECT count(*) FROM (SELECT DISTINCT %s FROM %s) AS each", distinct, stagingTable)
	}
	return m, nil
}

// stagingColumns returns what the staging table consists of. It checks rows as the
// table itself does, so that COPY names the one that is bad, and one that a later
// record replaces is checked, too. Where triggers may mend rows it does not.
func (l *Loader) stagingColumns(columns []*catalog.Column) (defs []string) {
	given := map[string]bool{}
	for _, c := range columns {
		given[c.Name] = true
		def := pgx.Identifier{c.Name}.Sanitize() + " " + c.Type
		if c.Collation != "" {
			def += " COLLATE " + c.Collation
		}
		if c.NotNull && !l.table.BeforeInsert {
			def += " NOT NULL"
		}
		defs = append(defs, def)
	}
	for _, c := range l.table.Checks {
		if !l.table.BeforeInsert && !slices.ContainsFunc(c.Columns, func(name string) bool { return !given[name] }) {
			defs = append(defs, "CONSTRAINT "+pgx.Identifier{c.Name}.Sanitize()+" "+c.SQL)
		}
	}
	return defs
}

// keySQL returns the key as ON CONFLICT names it, and the expressions that are alike
// in rows that conflict.
func (l *Loader) keySQL(columns []*catalog.Column) (key, distinct string, err error) {
	var names, nulls []string
	for _, name := range l.key.Columns {
		i := slices.IndexFunc(columns, func(c *catalog.Column) bool { return c.Name == name })
		if i < 0 {
			return "", "", fmt.Errorf("column %q: is missing from the header, and belongs to the key by which rows conflict", name)
		}
		quoted := pgx.Identifier{name}.Sanitize()
		names = append(names, quoted)
		if !columns[i].NotNull && l.key.NullsDistinct {
			nulls = append(nulls, quoted+" IS NULL")
		}
	}
	key = strings.Join(names, ", ")
	if nulls == nil {
		return key, key, nil
	}
	// A row with a NULL in its key conflicts with no other.
	return key, key + ", (CASE WHEN " + strings.Join(nulls, " OR ") + " THEN ctid END)", nil
}

// sql returns the statements that insert the staged rows into table. Each of them
// gives a row of numbers, which merge reads: the tag of an INSERT counts otherwise behind
// the coordinator of a cluster.
func (m *merge) sql(table string) string {
	insert := "INSERT INTO " + table + m.columns + m.values
	added := "WITH stored AS (" + insert + m.nothing + " RETURNING 1) SELECT count(*) FROM stored"
	switch {
	case m.skips:
		return added
	case m.counts:
		return "WITH stored AS (" + insert + m.update + " RETURNING (xmax = 0) AS added) " +
			"SELECT count(*) FILTER (WHERE added), count(*), (" + m.each + ") FROM stored"
	}
	return added + "; WITH stored AS (" + insert + m.update + " RETURNING 1) SELECT count(*), (" + m.each + ") FROM stored"
}
