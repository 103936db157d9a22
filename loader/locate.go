package loader

import (
	"encoding/binary"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/catalog"
	"shardload/internal/pgcsv"
)

// copyContext is the line that COPY adds to an error's context. Its words depend
// on the server's language, its form hardly.
var copyContext = regexp.MustCompile(`(?m)^COPY ([^,\n]+), \S+ (\d+)(?:, \S+ ([^:\n]+))?`)

// locate turns the server's refusal of a part into the record's place in the
// input called name, as exactly as the server lets it be known. relation is what
// COPY was told to fill, without its schema; order is that of the rows, nil for the
// input's.
func locate(err *pgconn.PgError, name, relation string, table *catalog.Table, p *part, order *order) error {
	row := &RowError{File: name, Line: p.firstLine(), LastLine: p.lastLine, Column: err.ColumnName, Err: refused(err), Keepable: true}
	m := copyContext.FindStringSubmatch(err.Where)
	switch {
	case m == nil, m[1] != relation:
		return row // of a shard that Citus filled: it counts the shard's rows
	case strings.Contains(err.Where, "while executing command on"):
		return row // the line that was being routed just then, innocent
	}
	n, convErr := strconv.ParseInt(m[2], 10, 64)
	if convErr != nil {
		return row
	}
	if index, ok := p.recordAt(n); ok {
		if order != nil {
			index = int64(order.rows[index].index)
		}
		row.Line, row.LastLine = p.lineOf(index), 0
	}
	if row.Column == "" && table.Column(m[3]) != nil {
		row.Column = m[3]
	}
	return row
}

// batchError is an error of a whole batch: of a constraint that is checked when
// it is committed.
func batchError(err *pgconn.PgError, name string, b *batch) *RowError {
	row := &RowError{File: name, Column: err.ColumnName, Err: refused(err)}
	row.Line, row.LastLine = b.lines()
	return row
}

// lines returns the first and the last line on which records of b start.
func (b *batch) lines() (first, last int64) {
	for i := range b.parts {
		p := &b.parts[i]
		if line := p.firstLine(); first == 0 || line < first {
			first = line
		}
		last = max(last, p.lastLine)
	}
	return first, last
}

// blamesRow reports whether err may be about the content of a row. The classes
// that never are tell of connections, rights, conflicts, resources, locks,
// operators, the system, and of what is wrong with the statement or the table.
func blamesRow(err *pgconn.PgError) bool {
	switch err.Code[:min(2, len(err.Code))] {
	case "08", "0A", "25", "26", "28", "40", "42", "53", "55", "57", "58", "F0":
		return false
	}
	return true
}

// shardSuffix is what a shard's name, and those of its constraints, add to the
// table's.
var shardSuffix = regexp.MustCompile(`_\d{6,}"`)

// refused keeps of err what may be shown: the detail is row data. The names of a
// shard's constraints become those of the table's.
func refused(err *pgconn.PgError) *RefusedError {
	e := &RefusedError{SQLState: err.Code, Message: err.Message}
	if err.ConstraintName != "" || err.ColumnName != "" || strings.Contains(err.Message, `constraint "`) {
		e.Message = shardSuffix.ReplaceAllString(e.Message, `"`)
	}
	if isDuplicate(err) {
		e.Hint = "--on-conflict skip keeps the row that is there, --on-conflict update the new one"
	}
	switch err.Code {
	case "22021":
		e.Hint = "name the input's encoding with --encoding, or convert the input"
	case "53100":
		e.Hint = "free space on the server"
	case "42501":
		e.Hint = "grant the right, or connect as the table's owner"
	}
	return e
}

const uniqueViolation = "23505"

// isDuplicate reports whether err says that a key is there already. Behind the
// coordinator of a cluster only its words tell.
func isDuplicate(err *pgconn.PgError) bool {
	return err.Code == uniqueViolation || strings.HasPrefix(err.Message, "duplicate key value")
}

// recordAt returns the index of the record that COPY calls line n: the n-th in
// binary, and in CSV the one whose last physical line it is.
func (p *part) recordAt(n int64) (index int64, ok bool) {
	if p.format == formatBinary {
		return n - 1, n >= 1 && n <= p.rows
	}
	var s pgcsv.Scanner
	line := int64(0)
	for s.Reset(p.data.bytes(), pgcsv.LF, 1); s.Next(); index++ {
		// Until it has seen the first record end, COPY takes carriage returns
		// for line breaks inside quotes.
		inside := pgcsv.LF
		if index == 0 {
			inside = pgcsv.CR
		}
		if line += 1 + pgcsv.Lines(s.Record(), inside); line >= n {
			return index, true
		}
	}
	return 0, false
}

// lineOf returns the line of the input on which the part's record of that index
// starts.
func (p *part) lineOf(index int64) int64 {
	deltas := p.lines.bytes()
	line := int64(0)
	for i := int64(0); i <= index && len(deltas) > 0; i++ {
		d, n := binary.Uvarint(deltas)
		line += int64(d)
		deltas = deltas[max(n, 1):]
		for range p.otherNumbers() {
			_, n = binary.Uvarint(deltas)
			deltas = deltas[max(n, 1):]
		}
	}
	return line
}

// firstLine returns the line on which the part's first record starts.
func (p *part) firstLine() int64 { return p.lineOf(0) }
