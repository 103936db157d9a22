package store

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/fault"
	"shardload/loader/failure"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/lane"
)

// copyContext is the line that COPY adds to an error's context. Its words depend
// on the server's language, its form hardly.
var copyContext = regexp.MustCompile(`(?m)^COPY ([^,\n]+), \S+ (\d+)(?:, \S+ ([^:\n]+))?`)

// locate turns the server's refusal of a section into the record's place in the
// input called name, as exactly as the server lets it be known. It returns nil if it
// is no record's, as far as one can see. relation is what COPY was told to fill,
// without its schema; order is that of the rows, nil for the input's; columnOf
// returns what people call a column of relation.
func locate(err *pgconn.PgError, name, relation string, lay *decode.Layout, p *lane.Section, order *lane.Order, columnOf func(string) string) error {
	row := &failure.RowError{Column: err.ColumnName, Err: lay.Refused(err), Keepable: true}
	placeAt(row, p.Span(), name)
	n, column, ok := namedRow(err, relation)
	if !ok {
		if !metRows(err) {
			return nil
		}
		narrow(lay, row, p, err) // of a shard that Citus filled: it counts the shard's rows
		return row
	}
	if err.Code == fault.LimitExceeded {
		// COPY collects rows before it stores them, and names the last one for
		// one that is too long.
		return row
	}
	if index, ok := p.RecordAt(n); ok {
		if order != nil {
			index = int64(order.Rows[index].Index)
		}
		at := p.Spot(index)
		placeAt(row, lane.Span{First: at, Last: at}, name)
	}
	if row.Column == "" {
		row.Column = columnOf(column)
	}
	return row
}

// placeAt says that row is one of those of a span of the input called name.
func placeAt(row *failure.RowError, span lane.Span, name string) {
	row.File, row.Line = cmp.Or(span.First.Source, name), span.First.Line
	row.LastFile, row.LastLine = cmp.Or(span.Last.Source, name), span.Last.Line
	if span.First == span.Last {
		row.LastFile, row.LastLine = "", 0
	}
}

// metRows reports whether err, which names no row, may be about rows that were in
// work: not if the statement was still being looked at.
func metRows(err *pgconn.PgError) bool {
	switch fault.Of(err) {
	case fault.Row:
		return true
	case fault.Unclear:
		return err.Code == fault.InternalError || err.Where != "" && !ofNode(err)
	}
	return false
}

// namedRow returns the line of COPY that err names, and the column, if it is one of
// the relation's that the client fills.
func namedRow(err *pgconn.PgError, relation string) (line int64, column string, ok bool) {
	m := copyContext.FindStringSubmatch(err.Where)
	if m == nil || m[1] != relation || ofNode(err) {
		return 0, "", false
	}
	line, convErr := strconv.ParseInt(m[2], 10, 64)
	return line, m[3], convErr == nil
}

// ofNode reports whether err comes from another node by way of the coordinator: the
// line that it names was being routed just then, and is innocent.
func ofNode(err *pgconn.PgError) bool {
	return strings.Contains(err.Where, "while executing command on")
}

// ofStatement reports whether err, which may be a row's by its code, is certainly the
// statement's. Citus opens COPY on a node when the first row for it comes, so that the
// statement is taken without rows. The rights on a shard are looked at then; a function
// that lacks some adds a line to the context, a value that is read adds its column.
func ofStatement(err *pgconn.PgError) bool {
	m := copyContext.FindStringSubmatch(err.Where)
	if m == nil {
		return false
	}
	return ofNode(err) && err.Code != fault.InternalError || err.Code == fault.InsufficientPrivilege && err.Routine == "aclcheck_error" && m[3] == "" && !strings.Contains(err.Where, "\n")
}

// batchError is an error of a whole batch: of a constraint that is checked when
// it is committed.
func batchError(err *pgconn.PgError, name string, lay *decode.Layout, b *lane.Batch) *failure.RowError {
	row := &failure.RowError{Column: err.ColumnName, Err: lay.Refused(err)}
	placeAt(row, b.Span(), name)
	if len(b.Sections) == 1 {
		narrow(lay, row, &b.Sections[0], err)
	}
	return row
}
