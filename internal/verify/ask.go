package verify

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/checksum"
	"shardload/internal/fault"
	"shardload/internal/server"
)

const (
	// maxKnown and maxKnownBytes bound the answers that are kept for a column.
	maxKnown      = 1 << 15
	maxKnownBytes = 1 << 20
	// maxRefused is how many values the server may refuse before it is plain that
	// this is another table's input.
	maxRefused = 10_000
)

// questions are the values of one column that the server is to be asked about,
// each once.
type questions struct {
	values []string
	index  map[string]int // in values
	rows   []int          // which wait for an answer: indexes in the decoder's waiting
	at     []int          // by rows: index in values

	known      map[string]int64 // answers of earlier chunks
	knownBytes int
}

// add notes that a row waits for the hash of v.
func (q *questions) add(row int, v []byte) {
	at, ok := q.index[string(v)]
	if !ok {
		if q.index == nil {
			q.index = map[string]int{}
		}
		at = len(q.values)
		q.values = append(q.values, string(v))
		q.index[q.values[at]] = at
	}
	q.rows = append(q.rows, row)
	q.at = append(q.at, at)
}

// learn keeps the answers for later chunks and forgets the questions.
func (q *questions) learn(hashes []int64, refused map[int]error) {
	if q.known == nil || len(q.known) > maxKnown || q.knownBytes > maxKnownBytes {
		q.known, q.knownBytes = map[string]int64{}, 0
	}
	for i, v := range q.values {
		if len(q.known) <= maxKnown && q.knownBytes <= maxKnownBytes && refused[i] == nil {
			q.known[v] = hashes[i]
			q.knownBytes += len(v)
		}
	}
	clear(q.index)
	q.values, q.rows, q.at = q.values[:0], q.rows[:0], q.at[:0]
}

// An asked is what is asked about: the value that the text v is, as SQL.
type asked struct {
	value string
	base  uint32 // its type, below all domains
}

// An asker asks the server for the hashes of values that nobody else knows, on a
// connection of its own that it makes when it is first needed. It stays with one
// goroutine.
type asker struct {
	cfg     *pgx.ConnConfig
	session session
	conn    *pgx.Conn
	refused int // so far
}

// hashes returns the hash of the text form of each value, and why the server refuses those that it does, by index.
func (a *asker) hashes(ctx context.Context, of asked, values []string) (hashes []int64, refused map[int]error, err error) {
	if a.conn == nil {
		if a.conn, err = server.Open(ctx, a.cfg); err != nil {
			return nil, nil, err
		}
	}
	hashes, refused = make([]int64, len(values)), map[int]error{}
	return hashes, refused, a.halve(ctx, of, values, hashes, refused, 0)
}

// halve fills in the hashes of values, the first of which is number base. Where
// the server refuses one, it asks again about each half.
func (a *asker) halve(ctx context.Context, of asked, values []string, hashes []int64, refused map[int]error, base int) error {
	err := a.query(ctx, of, values, hashes)
	if fault.MayBeRow(err) && len(values) == 1 {
		err = a.query(ctx, of, values, hashes) // no value is refused for what passes
	}
	reason, ok := refusal(err)
	switch {
	case !ok:
		return err
	case len(values) > 1:
		middle := len(values) / 2
		if err := a.halve(ctx, of, values[:middle], hashes[:middle], refused, base); err != nil {
			return err
		}
		return a.halve(ctx, of, values[middle:], hashes[middle:], refused, base+middle)
	}
	if fault.Of(err) == fault.Unclear {
		// It may be the statement's: it comes without any value then.
		if err := a.query(ctx, of, nil, nil); err != nil {
			return err
		}
	}
	refused[base] = reason
	if a.refused++; a.refused > maxRefused {
		return fmt.Errorf("the server refuses more than %d values, this one with: %w; is this the table's input?", maxRefused, reason)
	}
	return nil
}

// refusal tells an error that is about a value from others, and returns what the
// server says.
func refusal(err error) (reason error, ok bool) {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return nil, false
	}
	if fault.MayBeRow(err) {
		return errors.New(pgErr.Message), true
	}
	return nil, false
}

// nameTypes are the types whose values stand for what has a name: they are read under the
// role's search path, and written under ours, as the table's are.
var nameTypes = map[uint32]string{
	24: "regproc", 2202: "regprocedure", 2203: "regoper", 2204: "regoperator", 2205: "regclass", 2206: "regtype",
	3734: "regconfig", 3769: "regdictionary", 4191: "regcollation",
}

// query asks for the hashes of values. Where times are not in UTC, the values are
// first written with the offset that they have in the server's time zone.
func (a *asker) query(ctx context.Context, of asked, values []string, hashes []int64) error {
	value, base := of.value, of.base
	if !a.session.isUTC() {
		texts, err := a.column(ctx, a.session.TimeZone, "("+value+")::pg_catalog.text", values)
		if err != nil {
			return err
		}
		values = texts
	}
	session := a.session.Session
	if reg, named := nameTypes[base]; named {
		numbers, err := a.column(ctx, "UTC", "("+value+")::pg_catalog.oid::pg_catalog.text", values)
		if err != nil {
			return err
		}
		values, value, session = numbers, "v::pg_catalog.oid::pg_catalog."+reg, session.OwnPath()
	}
	answers, err := session.Column(ctx, a.conn.PgConn(), a.session.encoding, "UTC", checksum.SQLText(value), values)
	if err != nil {
		return err
	}
	for i, answer := range answers {
		if hashes[i], err = strconv.ParseInt(answer, 10, 64); err != nil {
			return fmt.Errorf("the server's hash: %w", err)
		}
	}
	return nil
}

// column returns the texts of an SQL expression over v for each value.
func (a *asker) column(ctx context.Context, timeZone, expr string, values []string) ([]string, error) {
	return a.session.Column(ctx, a.conn.PgConn(), a.session.encoding, timeZone, expr, values)
}

func (a *asker) close() {
	if a.conn != nil {
		server.CloseSoon(a.conn.PgConn())
	}
}
