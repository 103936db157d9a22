package loader

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

// A question is a value of which only the server knows the hash.
type question struct {
	record int // index in the decoder's records
	key    int // index in the router's keys
	value  string
	line   int64
}

// settle asks the server for the hashes of d.unsure and finds the lanes of their
// records. If the server refuses a value the error names it.
func (d *decoder) settle(ctx context.Context, c *chunk) error {
	keys := d.lay.router.keys
	answers := make([]int32, len(d.unsure))
	for i := range keys {
		var values []string
		var at []int
		for j, q := range d.unsure {
			if q.key == i {
				values = append(values, q.value)
				at = append(at, j)
			}
		}
		hashes, refused, err := d.ask.hashes(ctx, keys[i].ask, values)
		if err != nil {
			if refused < 0 {
				return err
			}
			q := d.unsure[at[refused]]
			return &RowError{File: d.name, Line: q.line, Column: keys[i].column, Err: err, Keepable: true}
		}
		for n, j := range at {
			answers[j] = hashes[n]
		}
	}
	for j := 0; j < len(d.unsure); {
		j = d.place(c, j, answers)
	}
	return nil
}

// place finds the lane of the record of which d.unsure[j] is the first question.
// It returns the index of the next record's first one.
func (d *decoder) place(c *chunk, j int, answers []int32) int {
	r := &d.records[d.unsure[j].record]
	raw := c.data[r.start:r.end]
	d.fields = d.lay.split(d.fields[:0], raw)
	d.scratch = d.scratch[:0]
	index := d.unsure[j].record
	for i := range d.lay.router.keys {
		k := &d.lay.router.keys[i]
		d.hashes[i] = 0
		if j < len(d.unsure) && d.unsure[j].record == index && d.unsure[j].key == i {
			d.hashes[i] = answers[j]
			j++
		} else if f := d.fields[k.field]; !f.IsNull(raw, d.lay.null) {
			var v []byte
			v, d.scratch = f.Value(raw, d.scratch)
			d.hashes[i], _ = k.hash(v) // it was sure of it before
		}
	}
	r.lane = d.lay.router.lane(d.hashes, c.number)
	if r.binEnd == r.binStart {
		d.csv[r.lane] = true
	}
	return j
}

// An asker asks the server for hashes, on a connection of its own that it makes
// when it is first needed. It may be used by several goroutines.
type asker struct {
	l        *Loader
	encoding string // of the values

	mu   sync.Mutex
	conn *pgconn.PgConn
}

// hashes returns the hash of each value by the SQL expression expr over v. If the
// server refuses one of them, refused is the index of the first and err says why;
// for any other error refused is -1.
func (a *asker) hashes(ctx context.Context, expr string, values []string) (hashes []int32, refused int, err error) {
	if len(values) == 0 {
		return nil, -1, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	err = a.l.persist(ctx, func() (err error) {
		hashes, refused, err = a.try(ctx, expr, values)
		return err
	})
	return hashes, refused, err
}

// connect makes the connection, if need be.
func (a *asker) connect(ctx context.Context) error {
	if a.conn != nil && !a.conn.IsClosed() {
		return nil
	}
	conn, err := a.l.nodes[0].connect(ctx)
	if err == nil {
		a.conn = conn
	}
	return err
}

// try does what hashes does, once.
func (a *asker) try(ctx context.Context, expr string, values []string) (hashes []int32, refused int, err error) {
	if err := a.connect(ctx); err != nil {
		return nil, -1, err
	}
	hashes, err = a.query(ctx, expr, values)
	if !isPgError(err) || transient(err) {
		return hashes, -1, err
	}
	// Halve until the first value that is refused stands alone.
	low, high := 0, len(values)
	for high-low > 1 {
		middle := (low + high) / 2
		_, halfErr := a.query(ctx, expr, values[low:middle])
		switch {
		case isPgError(halfErr):
			err, high = halfErr, middle
		case halfErr != nil:
			return nil, -1, halfErr
		default:
			low = middle
		}
	}
	if _, oneErr := a.query(ctx, expr, values[low:high]); oneErr != nil {
		err = oneErr
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return nil, low, errors.New(pgErr.Message)
	}
	return nil, -1, err
}

func isPgError(err error) bool {
	_, ok := errors.AsType[*pgconn.PgError](err)
	return ok
}

// query runs one query in a transaction of its own, the settings of which hold
// behind a connection pooler too.
func (a *asker) query(ctx context.Context, expr string, values []string) (hashes []int32, err error) {
	begin := "BEGIN READ ONLY; SET LOCAL statement_timeout = 0; " + a.l.session.set(a.encoding)
	if err := exec(ctx, a.conn, begin); err != nil {
		return nil, fmt.Errorf("ask the server for hashes: %w", err)
	}
	defer func() {
		if rollbackErr := exec(ctx, a.conn, "ROLLBACK"); err == nil && rollbackErr != nil {
			err = fmt.Errorf("ask the server for hashes: %w", rollbackErr)
		}
	}()
	sql := "SELECT " + expr + " FROM unnest($1::text[]) WITH ORDINALITY AS u(v, n) ORDER BY n"
	result := a.conn.ExecParams(ctx, sql, [][]byte{arrayLiteral(values)}, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, result.Err
	}
	if len(result.Rows) != len(values) {
		return nil, fmt.Errorf("asked the server for %d hashes, got %d", len(values), len(result.Rows))
	}
	hashes = make([]int32, len(values))
	for i, row := range result.Rows {
		h, err := strconv.ParseInt(string(row[0]), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("the server's hash: %w", err)
		}
		hashes[i] = int32(h)
	}
	return hashes, nil
}

// exec runs statements that return nothing.
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

func (a *asker) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn != nil {
		closeSoon(a.conn)
	}
}
