package decode

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/fault"
	"shardload/internal/input"
	"shardload/internal/server"
	"shardload/loader/failure"
	"shardload/loader/internal/target"
)

// A question is a value of which only the server knows the hash.
type question struct {
	record int // index in the decoder's records
	key    int // index in the router's keys
	value  string
	line   int64
}

// askUnsure asks the server for the hashes of d.unsure and finds the lanes of their
// records. If the server refuses a value the error names it.
func (d *decoder) askUnsure(ctx context.Context, c *input.Chunk) error {
	keys := d.lay.Router.Keys
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
			return &failure.RowError{File: d.name, Line: q.line, Column: keys[i].column, Err: err, Keepable: true}
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
func (d *decoder) place(c *input.Chunk, j int, answers []int32) int {
	index := d.unsure[j].record
	r := &d.records[index]
	of := d.subject(c, index, r)
	for i := range d.lay.Router.Keys {
		k := &d.lay.Router.Keys[i]
		d.hashes[i] = 0
		if j < len(d.unsure) && d.unsure[j].record == index && d.unsure[j].key == i {
			d.hashes[i] = answers[j]
			j++
		} else if v, null := d.value(of, k.field); !null {
			if h, sure := k.Hash(v); sure {
				d.hashes[i] = h // it was sure of it before
			} else {
				d.hashes[i], _, _ = k.hashMoment(v) // likewise
			}
		}
	}
	r.lane = d.lay.Router.lane(d.hashes, c.Number)
	if r.binEnd == r.binStart {
		d.csv[r.lane] = true
	}
	return j
}

// An Asker asks the server for hashes, on a connection of its own that it makes
// when it is first needed. It may be used by several goroutines.
type Asker struct {
	target   *target.Target
	open     func(context.Context) (*pgconn.PgConn, error) // makes the connection
	encoding string                                        // of the values

	mu     sync.Mutex
	conn   *pgconn.PgConn
	proven string // the expression that the server takes
}

// NewAsker returns an asker that connects by open. encoding is that of the values.
func NewAsker(t *target.Target, open func(context.Context) (*pgconn.PgConn, error), encoding string) *Asker {
	return &Asker{target: t, open: open, encoding: encoding}
}

// hashes returns the hash of each value by the SQL expression expr over v. If the
// server refuses one of them, refused is the index of the first and err says why;
// for any other error refused is -1.
func (a *Asker) hashes(ctx context.Context, expr string, values []string) (hashes []int32, refused int, err error) {
	if len(values) == 0 {
		return nil, -1, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	err = a.target.Persist(ctx, func() (err error) {
		hashes, refused, err = a.try(ctx, expr, values)
		return err
	})
	return hashes, refused, err
}

// connect makes the connection, if need be.
func (a *Asker) connect(ctx context.Context) error {
	if a.conn != nil && !a.conn.IsClosed() {
		return nil
	}
	conn, err := a.open(ctx)
	if err == nil {
		a.conn = conn
	}
	return err
}

// try does what hashes does, once.
func (a *Asker) try(ctx context.Context, expr string, values []string) (hashes []int32, at int, err error) {
	if err := a.connect(ctx); err != nil {
		return nil, -1, err
	}
	hashes, err = a.query(ctx, expr, values)
	if !fault.MayBeRow(err) {
		return hashes, -1, err
	}
	if err := a.ofValues(ctx, expr, err); err != nil {
		return nil, -1, err
	}
	low, err := a.firstRefused(ctx, expr, values)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && fault.MayBeRow(err) {
		told := failure.Refused(pgErr)
		told.Detail = ""
		return nil, low, told
	}
	return nil, -1, err
}

// errPassed says that what the server refused a moment ago it takes now.
var errPassed = &fault.PassingError{Err: errors.New("the server refuses values together that it takes alone")}

// firstRefused halves values until the first that the server refuses stands alone,
// and is refused once more. It returns the error, which may be another one.
func (a *Asker) firstRefused(ctx context.Context, expr string, values []string) (int, error) {
	low, high := 0, len(values)
	for high-low > 1 {
		middle := (low + high) / 2
		_, err := a.query(ctx, expr, values[low:middle])
		switch {
		case err == nil:
			low = middle
		case fault.MayBeRow(err):
			high = middle
		default:
			return -1, err
		}
	}
	var err error
	for range fault.BlameTries {
		if _, err = a.query(ctx, expr, values[low:high]); err == nil {
			return -1, errPassed
		}
	}
	return low, err
}

// ofValues returns why not if err is about no value: if it comes without any, too.
func (a *Asker) ofValues(ctx context.Context, expr string, err error) error {
	if fault.Of(err) == fault.Row || a.proven == expr {
		return nil
	}
	if _, err := a.query(ctx, expr, nil); err != nil {
		return &fault.StatementError{Err: fmt.Errorf("ask the server for hashes: %w", err)}
	}
	a.proven = expr
	return nil
}

// query runs one query in a transaction of its own.
func (a *Asker) query(ctx context.Context, expr string, values []string) (hashes []int32, err error) {
	answers, err := a.target.Session.Column(ctx, a.conn, a.encoding, a.target.Session.TimeZone, expr, values)
	if err != nil {
		return nil, err
	}
	hashes = make([]int32, len(values))
	for i, answer := range answers {
		h, err := strconv.ParseInt(answer, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("the server's hash: %w", err)
		}
		hashes[i] = int32(h)
	}
	return hashes, nil
}

func (a *Asker) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn != nil {
		server.CloseSoon(a.conn)
	}
}
