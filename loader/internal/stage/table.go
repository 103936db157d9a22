package stage

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/catalog"
	"shardload/internal/selection"
	"shardload/internal/server"
)

// A Table is a staging table on a node, and what becomes of its rows. COPY fills it; its rows
// lie in it in the order in which they came, so ctid numbers them: see CreateSQL. It does not
// change once it is made.
type Table struct {
	// Name is the table's, without its schema, pg_temp. Tables of other columns have others.
	Name string
	// Columns are those that COPY fills, in its order.
	Columns []Column
	// Loaded are the columns of the target that get values, in the order of the INSERT.
	Loaded []*catalog.Column

	plan    *selection.Plan
	table   *catalog.Table
	file    string          // the input, as errors call it
	keys    []string        // columns of Loaded that are compared before they are stored
	decides *catalog.Column // nil for none
}

// A Column is a column of a staging table: of a name of its own, or, if its values are one of
// the target's as they stand, of that one's name.
type Column struct {
	catalog.Column
	// From is the index in Plan.Staging of what it holds; Decides for the value that
	// decides a row's shard, which is known before the row is sent.
	From int
}

// Decides is a Column's From for the value that decides a row's shard.
const Decides = -1

// Options are what a Table is told of a load.
type Options struct {
	File string // the input, as errors call it
	// Keys are the columns by which rows are compared with each other before they are
	// stored.
	Keys []string
	// Decides is the column that decides a row's shard, if its values are computed and
	// rows are sent to their shards: each comes with its row then. Else nil.
	Decides *catalog.Column
	// Encoding is the server's.
	Encoding string
}

// New returns the staging table of a load by plan, which must be staged, into table.
func New(plan *selection.Plan, table *catalog.Table, opt Options) (*Table, error) {
	t := &Table{plan: plan, table: table, file: opt.File, keys: opt.Keys, decides: opt.Decides}
	if text := plan.List + plan.Where; !server.IsUTF8(opt.Encoding) && !isASCII(text) {
		return nil, fmt.Errorf("the list or the condition has characters beyond ASCII, which are not sure in a database of encoding %s", opt.Encoding)
	}
	for _, item := range plan.Items {
		c := table.Column(item.Column)
		if c == nil {
			return nil, fmt.Errorf("column %q: is not in table %s", item.Column, table)
		}
		t.Loaded = append(t.Loaded, c)
	}
	for i := range plan.Staging {
		if s := &plan.Staging[i]; s.Used && !t.isFile(i) {
			t.Columns = append(t.Columns, t.column(i, s))
		}
	}
	if len(t.Columns) == 0 { // a row needs one, and here nobody asks for any
		t.Columns = append(t.Columns, t.column(0, &plan.Staging[0]))
	}
	if t.decides != nil {
		t.Columns = append(t.Columns, Column{Column: *t.decides, From: Decides})
	}
	t.Name = t.name()
	return t, nil
}

// column returns the column for s, which is plan.Staging[i].
func (t *Table) column(i int, s *selection.StagingColumn) Column {
	if s.Target != nil {
		return Column{Column: *s.Target, From: i}
	}
	c := Column{From: i}
	c.TypMod = -1
	switch s.Name {
	case selection.Line:
		c.Type, c.BaseOID = "bigint", pgtype.Int8OID
	case selection.Record:
		c.Type, c.BaseOID = "jsonb", pgtype.JSONBOID
	default:
		c.Type, c.BaseOID = "text", pgtype.TextOID
	}
	c.BareType, c.TypeOID = c.Type, c.BaseOID
	c.Name = fmt.Sprintf("field %d", i+1)
	for t.table.Column(c.Name) != nil {
		c.Name += "_"
	}
	return c
}

// name returns a name for the table that tells its columns.
func (t *Table) name() string {
	sum := sha256.Sum256([]byte(t.defs()))
	return "shardload_rows_" + hex.EncodeToString(sum[:8])
}

func (t *Table) defs() string {
	defs := make([]string, len(t.Columns))
	for i := range t.Columns {
		defs[i] = quote(t.Columns[i].Name) + " " + t.Columns[i].TypeSQL()
	}
	return strings.Join(defs, ", ")
}

// SQL returns the table's name as a statement has it.
func (t *Table) SQL() string { return "pg_temp." + t.Name }

// CreateSQL returns the statements that make the table where it is not there yet, and empty it.
// It is made once a session; or in each transaction, and gone after it, where a connection
// pooler may give every one another session. A table that was emptied in the transaction is
// filled from its beginning to its end; else COPY would look for room in its pages, and find
// some that an earlier transaction has left when it was undone.
func (t *Table) CreateSQL(pooled bool) string {
	end := "DELETE ROWS"
	if pooled {
		end = "DROP"
	}
	return "CREATE TEMPORARY TABLE IF NOT EXISTS " + t.Name + " (" + t.defs() + ") USING heap ON COMMIT " + end + "; TRUNCATE " + t.SQL() + "; "
}

// Decides returns the column the values of which decide a row's shard and come with it, nil for
// none.
func (t *Table) Decides() *catalog.Column { return t.decides }

// Filters reports whether a condition leaves out rows.
func (t *Table) Filters() bool { return t.plan.Where != "" }

// FieldName returns what people call the column of that name: as the target has it, or the
// input.
func (t *Table) FieldName(name string) string {
	i := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
	if i < 0 || t.Columns[i].From < 0 || t.plan.Staging[t.Columns[i].From].Target != nil {
		return name
	}
	return t.plan.Staging[t.Columns[i].From].Name
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
