package verify

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/checksum"
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

// An asker asks the server for the hashes of values that nobody else knows, on a
// connection of its own that it makes when it is first needed. It stays with one
// goroutine.
type asker struct {
	cfg     *pgx.ConnConfig
	session session
	conn    *pgx.Conn
	refused int // so far
}

// hashes returns the hash of each value's text form as a value of that type, and
// why the server refuses those that it does, by index.
func (a *asker) hashes(ctx context.Context, typ string, values []string) (hashes []int64, refused map[int]error, err error) {
	if a.conn == nil {
		if a.conn, err = pgx.ConnectConfig(ctx, a.cfg); err != nil {
			return nil, nil, err
		}
	}
	hashes, refused = make([]int64, len(values)), map[int]error{}
	return hashes, refused, a.halve(ctx, typ, values, hashes, refused, 0)
}

// halve fills in the hashes of values, the first of which is number base. Where
// the server refuses one, it asks again about each half.
func (a *asker) halve(ctx context.Context, typ string, values []string, hashes []int64, refused map[int]error, base int) error {
	err := a.query(ctx, typ, values, hashes)
	reason, ok := refusal(err)
	switch {
	case !ok:
		return err
	case len(values) > 1:
		middle := len(values) / 2
		if err := a.halve(ctx, typ, values[:middle], hashes[:middle], refused, base); err != nil {
			return err
		}
		return a.halve(ctx, typ, values[middle:], hashes[middle:], refused, base+middle)
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
	switch pgErr.Code[:2] {
	case "22", "23", "0A", "54", "P0": // data, constraint of a domain, not supported, too large, raised by a function
		return errors.New(pgErr.Message), true
	}
	return nil, false
}

// query asks for the hashes of values. Where times are not in UTC, the values are
// first written with the offset that they have in the server's time zone.
func (a *asker) query(ctx context.Context, typ string, values []string, hashes []int64) error {
	value := "v::" + typ
	if !a.session.isUTC() {
		texts, err := a.column(ctx, a.session.timeZone, "("+value+")::text", values)
		if err != nil {
			return err
		}
		values = texts
	}
	answers, err := a.column(ctx, "UTC", checksum.SQLText(value), values)
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

// column returns the texts of an SQL expression over v for each value, in a
// transaction of its own, whose settings hold behind a connection pooler too.
func (a *asker) column(ctx context.Context, timeZone, expr string, values []string) (answers []string, err error) {
	conn := a.conn.PgConn()
	if err := exec(ctx, conn, a.session.ask(timeZone)); err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	defer func() {
		if rollbackErr := exec(ctx, conn, "ROLLBACK"); err == nil && rollbackErr != nil {
			err = fmt.Errorf("ask the server: %w", rollbackErr)
		}
	}()
	sql := "SELECT " + expr + " FROM unnest($1::text[]) WITH ORDINALITY AS u(v, n) ORDER BY n"
	result := conn.ExecParams(ctx, sql, [][]byte{arrayLiteral(values)}, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, result.Err
	}
	if len(result.Rows) != len(values) {
		return nil, fmt.Errorf("asked the server about %d values, got %d answers", len(values), len(result.Rows))
	}
	answers = make([]string, len(values))
	for i, row := range result.Rows {
		answers[i] = string(row[0])
	}
	return answers, nil
}

func exec(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	_, err := conn.Exec(ctx, sql).ReadAll()
	return err
}

// arrayLiteral returns values as the text of a text[].
func arrayLiteral(values []string) []byte {
	var b strings.Builder
	b.WriteByte('{')
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		for j := range len(v) {
			if v[j] == '"' || v[j] == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(v[j])
		}
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return []byte(b.String())
}

func (a *asker) close(ctx context.Context) {
	if a.conn != nil {
		closeSoon(ctx, a.conn)
	}
}
