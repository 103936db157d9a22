package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/server"
)

// A found is a table with a name of ours.
type found struct {
	schema, name string
	oid          uint32
	owner        string
	role         string // the current one
	readable     bool
	why          string // not to use it, apart from whom it belongs to; "" for nothing
	// asOwner says that its shards are to be read as its owner: on the workers somebody
	// may have put something else in their place, which a role that owns neither must
	// not run.
	asOwner bool
	trusted bool // belongs to the role or a superuser
	filters bool // it has a column for filtered records
	citus   bool // the server has Citus
	// listed says that it is read for a list of what all roles have.
	listed bool
	// left is how many bytes may still be read out of all listed tables of its owner, nil
	// for maxTable.
	left *int64
}

func (t *found) sql() string { return server.Shown(t.schema, t.name) }

// grant returns the statements by which the role may read the table.
func (t *found) grant() string {
	role := server.Name(t.role)
	return fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s; GRANT SELECT ON %s TO %s", server.Name(t.schema), role, t.sql(), role)
}

// An allFound has all tables of ours that there are.
type allFound struct {
	jobs     []*found
	progress map[string]map[string]*found // by schema and name
}

// marksOf returns the progress table of a job, nil if it is not there.
func (a *allFound) marksOf(e *Entry) *found {
	name, err := e.progressName()
	if err != nil {
		return nil
	}
	return a.progress[e.Target.Table.Schema][name]
}

// A table of ours of more bytes on disk is not read, nor are more bytes than that out of it:
// what is compressed may be a hundred times as long. In a list that counts for all tables of
// one owner, and less for owners that are not to be trusted as such. A thousand jobs take half
// a megabyte.
const (
	maxTable   = 256 << 20
	maxStrange = 16 << 20
)

// strange reports whether it is read because it is there, and not because its owner is to be
// trusted: who has such a table locked is not waited for longer than fault.ListLock.
func (t *found) strange() bool { return t.listed && !t.trusted }

// most is how many bytes of the table's owner are read.
func (t *found) most() int64 {
	if t.strange() {
		return maxStrange
	}
	return maxTable
}

// tooLarge is why a table is left alone that holds more.
func (t *found) tooLarge() error {
	return &UntrustedError{Table: t.sql(), Reason: "is larger than shardload makes it"}
}

// findTables looks for tables with names of ours, for a list of them: whoever has one locked
// does not hold it up.
func findTables(ctx context.Context, conn *pgx.Conn) (all *allFound, err error) {
	err = server.Tx(ctx, conn, server.Read, func() error {
		all, err = readTables(ctx, conn, "true")
		return err
	})
	if err != nil {
		return nil, err
	}
	left := map[string]*int64{} // by owner
	list := func(t *found) {
		t.listed = true
		if left[t.owner] == nil {
			left[t.owner] = new(t.most())
		}
		t.left = left[t.owner]
	}
	for _, t := range all.jobs {
		list(t)
	}
	for _, of := range all.progress {
		for _, t := range of {
			list(t)
		}
	}
	return all, nil
}

// readTables looks for those of them for which the condition where holds.
//
// Whether the role may read what is dropped at this moment is NULL. It counts as readable:
// whoever reads it then is told that it is gone.
func readTables(ctx context.Context, conn *pgx.Conn, where string, args ...any) (*allFound, error) {
	version, err := citus.Version(ctx, conn)
	if err != nil {
		return nil, err
	}
	distributed := "false"
	if version != "" {
		distributed = "EXISTS (SELECT FROM pg_catalog.pg_dist_partition p WHERE p.logicalrelid = c.oid)"
	}
	rows, err := conn.Query(ctx, fmt.Sprintf(`SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text, c.oid, o.rolname::pg_catalog.text, current_user::pg_catalog.text,
		coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'), true),
		coalesce(CASE WHEN c.relname = %[1]s THEN %[2]s WHEN pg_catalog.starts_with(c.relname::pg_catalog.text, %[7]s) THEN %[8]s ELSE %[3]s END, ''),
		%[4]s AND NOT (o.rolsuper OR o.rolname = current_user), o.rolsuper OR o.rolname = current_user,
		EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'filtered' AND NOT a.attisdropped)
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
		WHERE (c.relname = %[1]s OR c.relname ~ %[5]s) AND c.relkind IN ('r', 'v', 'm', 'f', 'p') AND c.relpersistence <> 't' AND %[6]s ORDER BY 1, 2`,
		server.Literal(jobsTable), jobsShape.strangeSQL(anyType), progressShape.strangeSQL(anyType), distributed,
		server.Literal("^("+progressPrefix+"|"+sharedPrefix+")[a-z2-7]{16}$"), where, server.Literal(sharedPrefix), sharedShape.strangeSQL(anyType)), args...)
	if err != nil {
		return nil, err
	}
	all := &allFound{progress: map[string]map[string]*found{}}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (t found, err error) {
		err = row.Scan(&t.schema, &t.name, &t.oid, &t.owner, &t.role, &t.readable, &t.why, &t.asOwner, &t.trusted, &t.filters)
		if t.name == jobsTable {
			all.jobs = append(all.jobs, &t)
		} else if _, ok := isOurs(t.name); ok {
			if all.progress[t.schema] == nil {
				all.progress[t.schema] = map[string]*found{}
			}
			all.progress[t.schema][t.name] = &t
		}
		return t, err
	})
	return all, err
}

// errRow says that a row is none of ours.
var errRow = errors.New("it has a row that shardload did not write")

// copyOut gives the rows of the table's columns to row. NULL is "".
//
// COPY reads ordinary tables and nothing else: what stands in the table's place by now
// runs no code either.
func (t *found) copyOut(ctx context.Context, conn *pgx.Conn, columns string, row func([]string) error) error {
	first := &pgx.Batch{}
	if t.strange() {
		first.Queue(fmt.Sprintf("SET LOCAL lock_timeout = %d", fault.ListLock.Milliseconds()))
	}
	if t.asOwner {
		first.Queue("SET LOCAL ROLE " + pgx.Identifier{t.owner}.Sanitize())
	}
	var size int64
	first.Queue("SELECT coalesce(pg_catalog.pg_total_relation_size($1::pg_catalog.oid), 0)", t.oid).QueryRow(func(row pgx.Row) error { return row.Scan(&size) })
	return server.TxFrom(ctx, conn, server.Read, first, func() error {
		if size > t.most() {
			return t.tooLarge()
		}
		w := &copyReader{row: row, left: cmp.Or(t.left, new(t.most())), tooLong: t.tooLarge()}
		_, err := conn.PgConn().CopyTo(ctx, w, "COPY "+t.sql()+" ("+columns+") TO STDOUT")
		return cmp.Or(err, w.err)
	})
}

// A copyReader splits COPY's text into rows. After an error it drops what comes.
type copyReader struct {
	row     func([]string) error
	left    *int64 // bytes that may still come
	tooLong error  // where more do
	rest    strings.Builder
	err     error
}

var copyEscapes = strings.NewReplacer(`\b`, "\b", `\f`, "\f", `\n`, "\n", `\r`, "\r", `\t`, "\t", `\v`, "\v", `\\`, `\`)

func (r *copyReader) Write(p []byte) (int, error) {
	if *r.left -= int64(len(p)); *r.left < 0 {
		r.err = cmp.Or(r.err, r.tooLong)
	}
	if r.err == nil {
		r.rest.Write(p)
	}
	for r.err == nil {
		line, rest, whole := strings.Cut(r.rest.String(), "\n")
		if !whole {
			break
		}
		r.rest.Reset()
		r.rest.WriteString(rest)
		fields := strings.Split(line, "\t")
		for i, f := range fields {
			if f == `\N` {
				f = ""
			}
			fields[i] = copyEscapes.Replace(f)
		}
		r.err = r.row(fields)
	}
	if r.err != nil {
		r.rest.Reset()
	}
	return len(p), nil
}

// A fieldReader reads the fields of a row one after the other.
type fieldReader struct {
	fields []string
	err    error
}

// text returns the next field, which is to have at most that many bytes.
func (r *fieldReader) text(most int) string {
	if len(r.fields) == 0 {
		r.err = errRow
		return ""
	}
	field := r.fields[0]
	r.fields = r.fields[1:]
	if len(field) > most {
		r.err = errRow
		return ""
	}
	return field
}

func (r *fieldReader) number(bits int) int64 {
	n, err := strconv.ParseInt(r.text(20), 10, bits)
	if err != nil || n < 0 {
		r.err = errRow
	}
	return n
}

// time returns the next field, zero if it is NULL. A node may write it as it likes.
func (r *fieldReader) time() time.Time {
	t, _ := time.Parse("2006-01-02 15:04:05.999999999Z07", r.text(64))
	return t
}

// The longest values of a table of jobs.
const (
	maxID     = 64
	maxShort  = 1 << 10
	maxText   = 64 << 10
	maxRecord = 8 << 20 // with the files of a table of very many shards
)

// entries reads a table of jobs.
func (t *found) entries(ctx context.Context, conn *pgx.Conn) (list []*Entry, err error) {
	err = t.copyOut(ctx, conn, "id, target, target_oid, file_node, kind, name, fingerprint, progress, rejects, begun, finished, rows, rejected, updated, skipped, bytes", func(fields []string) error {
		e, err := t.entry(&fieldReader{fields: fields})
		if err == nil {
			list = append(list, e)
		}
		return err
	})
	return list, err
}

func (t *found) entry(r *fieldReader) (*Entry, error) {
	j := &Job{}
	j.ID = r.text(maxID)
	target := r.text(maxShort)
	j.TableOID, j.FileNode = uint32(r.number(33)), uint32(r.number(33))
	j.Kind, j.Name = citus.Kind(r.text(maxShort)), r.text(maxText)
	fingerprint, progress := r.text(maxRecord), r.text(maxText)
	j.Rejects, j.Begun, j.Finished = r.text(maxText), r.time(), r.time()
	j.Rows, j.Rejected, j.Updated, j.Skipped, j.Bytes = r.number(64), r.number(64), r.number(64), r.number(64), r.number(64)
	if r.err != nil {
		return nil, r.err
	}
	err := j.understand(t.schema, fingerprint, progress != "")
	later, isLater := errors.AsType[*VersionError](err)
	if err != nil && !isLater {
		return nil, errRow
	}
	e := newEntry(j, t.schema, target, t.oid)
	if isLater {
		e.Problem = later.Error()
	}
	return e, nil
}

// readMarks adds up the marks of an unfinished job, t being its progress table. If a lane
// has n rows before its mark at p it has about n * size / p in all: that is where the
// mean comes from.
func (e *Entry) readMarks(ctx context.Context, conn *pgx.Conn, t *found) error {
	switch {
	case t == nil:
		return gone()
	case t.why != "":
		return &UntrustedError{Table: t.sql(), Reason: t.why}
	case !t.readable:
		return errors.New("permission denied for table " + t.sql())
	}
	var lanes int
	var seen, whole float64
	columns := "place, chunk, rows, rejected, updated, skipped, advanced"
	if t.filters {
		columns += ", filtered"
	}
	if e.Shared {
		columns += ", run"
	}
	err := t.copyOut(ctx, conn, columns, func(fields []string) error {
		r := &fieldReader{fields: fields}
		mark, chunk := r.number(64), r.number(64)
		if e.Fingerprint.Unit == Blocks {
			mark = chunk
		}
		rows, rejected, updated, skipped, advanced := r.number(64), r.number(64), r.number(64), r.number(64), r.time()
		filtered := int64(0)
		if t.filters {
			filtered = r.number(64)
		}
		if e.Shared && r.text(maxID) != e.ID {
			return r.err
		}
		lanes++
		e.Filtered += filtered
		e.Rows, e.Rejected, e.Updated, e.Skipped = e.Rows+rows, e.Rejected+rejected, e.Updated+updated, e.Skipped+skipped
		if mark > 0 {
			seen += float64(rows + rejected + filtered)
			whole += float64(rows+rejected+filtered) / float64(mark)
		}
		if advanced.After(e.Advanced) {
			e.Advanced = advanced
		}
		return r.err
	})
	if err != nil {
		return err
	}
	if whole > 0 {
		e.far = seen / whole
	}
	if lanes == 0 {
		e.Problem = "its progress table is empty: a crash empties unlogged tables"
	}
	return nil
}
