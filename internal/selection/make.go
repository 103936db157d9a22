package selection

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/catalog"
	"shardload/internal/fault"
	"shardload/internal/server"
)

// A Request is what Make is asked for.
type Request struct {
	// List and Where are what the user has written. Without a list it is `*`.
	List, Where string

	// Fields are the names of the input's fields, in the order of a record. One without a
	// name is called by its number: _3.
	Fields []string

	// JSON says that there is the whole record, too, called Record.
	JSON bool

	// File is the input's name, as errors call it.
	File string

	// Encoding is that of the input, by PostgreSQL's name.
	Encoding string

	// Table is what is loaded, Session the settings under which its batches are stored.
	Table   *catalog.Table
	Session *server.Session

	// Temporary says how the role gets the right to create temporary tables.
	Temporary string

	// Steady are columns whose value decides in which shard, or lane, a row is stored: it
	// must be the same whenever it is asked for.
	Steady []string

	// Nodes are the other servers on which rows may be stored. They are asked only about
	// what is staged.
	Nodes []Node
}

// A Node is a server on which rows may be stored.
type Node struct {
	Name string
	// Do calls a function with a connection to the node that is in no transaction.
	Do func(ctx context.Context, fn func(*pgconn.PgConn) error) error
}

// The temporary tables of an analysis, which is undone.
const (
	fieldsTable = "pg_temp.shardload_fields"
	listView    = "pg_temp.shardload_list"
	stagedTable = "pg_temp.shardload_staged"
	rowsTable   = "pg_temp.shardload_rows"
)

// An analysis is the work of Make on the first server.
type analysis struct {
	*Request
	conn    *pgconn.PgConn
	source  *source  // of the view of the list
	items   []listed // of the list
	columns []string // of the table of fields: the fields, then those beside them; without the mark
	mark    string   // the name of one more column, which nobody knows
	utf8    bool     // the server's texts are written in the input with the same bytes
	chars   bool     // the server counts characters, and not bytes
}

// Make asks the server behind conn, which is in no transaction, what a list and a condition
// are. What is wrong with them is a *MistakeError, or several joined. Nothing is stored.
func Make(ctx context.Context, conn *pgx.Conn, r Request) (p *Plan, err error) {
	r.List = cmp.Or(r.List, "*")
	if r.Fields, err = fieldNames(r.Fields); err != nil {
		return nil, err
	}
	a := &analysis{Request: &r, conn: conn.PgConn(), mark: "shardload_" + strings.ToLower(rand.Text()), chars: !strings.EqualFold(r.Session.Encoding, "SQL_ASCII")}
	a.utf8 = server.IsUTF8(r.Encoding) && server.IsUTF8(r.Session.Encoding)
	if err := a.checkCharacters(); err != nil {
		return nil, err
	}
	err = a.within(ctx, a.conn, func() (err error) {
		p, err = a.plan(ctx, conn)
		return err
	})
	if err != nil || !p.Staged {
		return p, err
	}
	for _, node := range r.Nodes {
		err := node.Do(ctx, func(conn *pgconn.PgConn) error {
			return a.within(ctx, conn, func() error { return (&trial{a, conn, p, node.Name}).run(ctx) })
		})
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

// fieldNames returns the names of fields, with those that have none called by their number.
func fieldNames(names []string) ([]string, error) {
	names = slices.Clone(names)
	seen := map[string]bool{}
	for i, name := range names {
		switch {
		case name == "":
			names[i] = fmt.Sprintf("_%d", i+1)
		case strings.ContainsRune(name, 0) || !utf8.ValidString(name):
			return nil, fmt.Errorf("field %d is called %q, which is no text in UTF-8: rename it in the input's header", i+1, name)
		}
		if seen[names[i]] {
			return nil, fmt.Errorf("field %q is named twice in the input's header: rename one of them", names[i])
		}
		seen[names[i]] = true
	}
	if len(names) > maxFields {
		return nil, fmt.Errorf("the input has %d fields, and the server can look at %d: leave some out", len(names), maxFields)
	}
	return names, nil
}

// maxFields is how many fields fit into a table beside our own columns.
const maxFields = 1590

// checkCharacters refuses what cannot be sent as it stands: to a server in another encoding
// a statement is sent in that.
func (a *analysis) checkCharacters() error {
	if server.IsUTF8(a.Session.Encoding) {
		return nil
	}
	for i, text := range []string{a.List, a.Where} {
		if at := strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }); at >= 0 {
			return &MistakeError{Condition: i == 1, Text: text, At: at, Message: "the server's encoding is " + a.Session.Encoding + ", and this is no ASCII", Hint: `write it as an escape: U&'\00e9'`}
		}
	}
	return nil
}

// within calls fn in a transaction on conn, with the settings of a batch, which is undone.
func (a *analysis) within(ctx context.Context, conn *pgconn.PgConn, fn func() error) error {
	// What is made here concerns this server alone.
	err := server.Exec(ctx, conn, a.Session.Batch(conn)+SettingsSQL+"; SET LOCAL client_min_messages = error; "+
		"SET LOCAL citus.enable_ddl_propagation = off; "+a.Session.PathSQL())
	if err == nil {
		err = fn()
	}
	if failed := server.Rollback(ctx, conn); err == nil {
		err = failed
	}
	return err
}

// plan makes the plan, in a transaction.
func (a *analysis) plan(ctx context.Context, conn *pgx.Conn) (*Plan, error) {
	if err := a.makeFields(ctx); err != nil {
		return nil, err
	}
	s, err := a.read(ctx, conn)
	if err != nil {
		return nil, err
	}
	if err := a.match(s.condition); err != nil {
		return nil, err
	}
	if err := a.refuse(s.condition); err != nil {
		return nil, err
	}
	p := &Plan{List: a.List, Where: a.Where, Fields: a.Fields}
	if err := a.fill(ctx, conn, p, s.condition); err != nil {
		return nil, err
	}
	evaluated := func(item Item) bool { return item.Expr }
	first := slices.IndexFunc(p.Items, evaluated)
	if err := (&evaluation{a, p}).all(ctx); err != nil {
		return nil, err
	}
	p.Staged = a.Where != "" || slices.ContainsFunc(p.Items, evaluated)
	if p.Staged {
		if first < 0 && a.Where == "" {
			first = slices.IndexFunc(p.Items, evaluated) // a constant that cannot be written in the input's encoding
		}
		if p.Because, err = a.because(ctx, p, first); err != nil {
			return nil, err
		}
		err = (&trial{a, a.conn, p, ""}).run(ctx)
	}
	return p, err
}

// makeFields makes the table of fields.
func (a *analysis) makeFields(ctx context.Context) error {
	a.columns = slices.Clone(a.Fields)
	var defs []string
	for _, name := range a.Fields {
		defs = append(defs, quoted(name)+" pg_catalog.text")
	}
	extras := []StagingColumn{{Name: File}, {Name: Line}}
	if a.JSON {
		extras = append(extras, StagingColumn{Name: Record})
	}
	for _, c := range extras {
		if !slices.Contains(a.Fields, c.Name) {
			a.columns = append(a.columns, c.Name)
			defs = append(defs, quoted(c.Name)+" "+c.TypeSQL())
		}
	}
	defs = append(defs, quoted(a.mark)+" pg_catalog.text")
	return a.makeTable(ctx, a.conn, fieldsTable, defs)
}

// makeTable makes a temporary table of columns, which ends with the transaction.
func (r *Request) makeTable(ctx context.Context, conn *pgconn.PgConn, name string, columns []string) error {
	sql := "CREATE TEMPORARY TABLE " + strings.TrimPrefix(name, "pg_temp.") + " (" + strings.Join(columns, ", ") + ") USING heap ON COMMIT DROP"
	return r.tempError(server.Exec(ctx, conn, sql))
}

// tempError returns an error of making a temporary table.
func (r *Request) tempError(err error) error {
	if fault.Is(err, fault.InsufficientPrivilege) {
		return fault.Advise(fmt.Errorf("what the server makes of a list is seen in a temporary table: %w", err), r.Temporary)
	}
	if err != nil {
		return fmt.Errorf("a table of the input's fields: %w", err)
	}
	return nil
}

// read returns what the server reads the list and the condition as. The list is read alone
// first, so that what is wrong with it is not taken for a mistake in the condition.
func (a *analysis) read(ctx context.Context, conn *pgx.Conn) (s *shape, err error) {
	conditions := []string{""}
	if a.Where != "" {
		conditions = append(conditions, a.Where)
	}
	for _, where := range conditions {
		a.source = newSource("", "*", a.List, where, "", fieldsTable, nil, a.chars)
		about, err := server.Describe(ctx, a.conn, a.source.sql)
		if err != nil {
			return nil, mistaken(a.source, err, "")
		}
		if len(about.ParamOIDs) > 0 {
			return nil, a.source.mistake(-1, "a parameter such as $1 is not to be had", "write the value itself").inCondition(where)
		}
		var names []string
		var types []uint32
		for _, f := range about.Fields {
			names, types = append(names, f.Name), append(types, f.DataTypeOID)
		}
		if s, err = a.shape(ctx, conn, where, len(names)); err == nil {
			a.items, err = a.list(s, names, types)
		}
		if err != nil {
			if e, ok := errors.AsType[*MistakeError](err); ok && e.At < 0 && where != "" {
				e.Condition, e.Text = true, where
			}
			return nil, err
		}
	}
	return s, nil
}

// shape makes a view of the list, which gives n columns, and returns what its query is.
func (a *analysis) shape(ctx context.Context, conn *pgx.Conn, where string, n int) (*shape, error) {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("c%d", i+1)
	}
	view := strings.TrimPrefix(listView, "pg_temp.")
	begin := "CREATE OR REPLACE TEMPORARY VIEW " + view + " AS "
	a.source = newSource(begin, "*", a.List, where, "", fieldsTable, names, a.chars)
	if n == 0 {
		return nil, a.source.mistake(a.source.listAt, "it has no item", "write fields or expressions, with commas between them")
	}
	if err := run(ctx, a.conn, a.source.sql); fault.Is(err, fault.InvalidColumnReference) { // it gives another number of columns
		return nil, closes(a.source)
	} else if err != nil {
		return nil, mistaken(a.source, err, "")
	}
	var text string
	var fields uint32
	err := conn.QueryRow(ctx, `SELECT ev_action::pg_catalog.text, $2::pg_catalog.text::pg_catalog.regclass::pg_catalog.oid
		FROM pg_catalog.pg_rewrite WHERE ev_class OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.regclass::pg_catalog.oid`,
		listView, fieldsTable).Scan(&text, &fields)
	if err != nil {
		return nil, fmt.Errorf("read what the server makes of a list: %w", err)
	}
	tree, err := parseTree(text)
	if err != nil {
		return nil, a.source.mistake(-1, err.Error(), "")
	}
	return shapeOf(tree, a.source, fields)
}

// run runs one statement, as a prepared one: a second one after it is refused.
func run(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	return conn.ExecParams(ctx, sql, nil, nil, nil, nil).Read().Err
}

// mistaken returns an error of the server about a source, of a node or "" of the first, as
// what is wrong with the list or the condition.
func mistaken(s *source, err error, node string) error {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || fault.Of(err) == fault.Passing {
		return fmt.Errorf("ask what the server makes of a list: %w", err)
	}
	at := s.offset(int(pgErr.Position))
	e := s.mistake(at, s.own(pgErr.Message, at), strings.TrimSuffix(pgErr.Hint, "."))
	e.Node, e.code = node, pgErr.Code
	if pgErr.Detail != "" {
		e.Message += ": " + strings.TrimSuffix(pgErr.Detail, ".")
	}
	return e
}
