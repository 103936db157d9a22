package loader

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"shardload/internal/ledger"
)

// A refusal is a row of a batch that the server does not take.
type refusal struct {
	part  int // of the batch
	row   rowRef
	cause cause
}

// A cause says why a record is rejected.
type cause struct {
	column   string // "" if the whole record is at fault
	sqlState string
	reason   string
}

// badRecord is the SQLSTATE of what is no record: bad_copy_file_format.
const badRecord = "22P04"

// causeOf returns why err rejects a record.
func causeOf(err *RowError) cause {
	c := cause{column: err.Column, sqlState: badRecord, reason: err.Err.Error()}
	if refused, ok := errors.AsType[*RefusedError](err.Err); ok {
		c.sqlState, c.reason = refused.SQLState, refused.Message
	}
	return c
}

// maxReason is the longest reason that is kept of a record, in bytes: it may quote
// a value.
const maxReason = 1000

// append appends c and a record, for decodeRejected to read.
func (c cause) append(dst, record []byte) []byte {
	for _, s := range []string{c.column, c.sqlState, c.reason} {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	return append(dst, record...)
}

// decodeRejected returns what append has written.
func decodeRejected(b []byte) (c cause, record []byte) {
	for _, s := range []*string{&c.column, &c.sqlState, &c.reason} {
		n, k := binary.Uvarint(b)
		*s = string(b[k : k+int(n)])
		b = b[k+int(n):]
	}
	return c, b
}

// A Reason is why records of a job were rejected, and how often.
type Reason struct {
	SQLState string `json:"sqlstate"`
	Column   string `json:"column,omitempty"` // "" if whole records are at fault
	Records  int64  `json:"records"`
	Line     int64  `json:"line"`    // of the first of them
	Example  string `json:"example"` // why that one was rejected
}

// A keeper keeps the rejected records of a load aside. A nil *keeper keeps none.
// Its methods may be called from several goroutines.
type keeper struct {
	limit ErrorLimit
	ld    *load
	log   *rejectLog
	read  atomic.Int64 // records that were read, those of earlier runs included
	found atomic.Int64 // of them, bad ones: in batches that are not stored yet, too
	// before is how many records earlier runs have stored or rejected.
	before int64

	mu      sync.Mutex
	reasons map[[3]string]*Reason
}

// newKeeper returns the keeper of a load, the job of which is open. It drops what
// earlier runs have kept of batches that were not stored in the end.
func (l *Loader) newKeeper(ctx context.Context, ld *load) (*keeper, error) {
	var read, rejected int64
	if ld.job != nil {
		read = records(ld.job.lanes)
		stored, _ := ld.job.before()
		rejected = read - stored
	}
	if l.cfg.MaxErrors.none() {
		if rejected > 0 {
			return nil, &JobError{ld.name, fmt.Sprintf("an earlier run has rejected %s of it", plural(rejected, "record")), "allow as many with --max-errors to go on"}
		}
		return nil, nil
	}
	k := &keeper{limit: l.cfg.MaxErrors, ld: ld, before: read, reasons: map[[3]string]*Reason{}}
	k.read.Store(read)
	k.found.Store(rejected)
	ld.rejected.Store(rejected)
	k.log = &rejectLog{dir: l.cfg.RejectsDir, table: l.table.Name, input: ld.name, pending: map[*batch]span{}}
	if ld.job == nil {
		k.log.job = ledger.NewID()
		return k, nil
	}
	k.log.job = ld.job.ID
	k.log.note = func(path string) error { return k.setPath(ctx, path) }
	if ld.whole && k.log.own() != "" {
		if err := ld.settle(ctx); err != nil {
			return nil, err
		}
	}
	return k, k.log.goOn(ld.job, rejected, k.count)
}

// setPath notes in the ledger where the rejected records are.
func (k *keeper) setPath(ctx context.Context, path string) error {
	if k.ld.whole {
		return nil // the job's row, which is stored with its rows, has it
	}
	return k.ld.l.onControl(ctx, func(conn *pgx.Conn) error {
		return ledger.SetRejects(ctx, conn, k.ld.job.target, k.ld.job.Job, path)
	})
}

// reject counts a record as rejected. It returns an error if those are too many.
func (k *keeper) reject(err *RowError) error {
	if n := k.found.Add(1); k.limit.exceeded(n, k.read.Load(), false) {
		return k.tooMany(n, err)
	}
	return nil
}

func (k *keeper) tooMany(n int64, last *RowError) error {
	file := k.log.file()
	if k.ld.whole {
		file = "" // nothing of it is stored, and so nothing is kept
	}
	return &TooManyError{Limit: k.limit, Rejected: n, Read: max(k.read.Load(), n), Last: *last, File: file}
}

// judge judges the records that were rejected when all are read.
func (k *keeper) judge() error {
	if n := k.found.Load(); k.limit.exceeded(n, k.read.Load(), true) {
		return k.tooMany(n, &RowError{})
	}
	return nil
}

// finish judges what was rejected, and writes the original records beside the log.
func (k *keeper) finish() error {
	if err := k.judge(); err != nil {
		return err
	}
	return k.log.writeCSV(k.ld.header, k.ld.eol)
}

// count counts a record that is rejected for good.
func (k *keeper) count(c cause, line int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := [3]string{c.sqlState, c.column}
	// Of a shard's constraint the coordinator says XX000.
	if strings.HasPrefix(c.sqlState, "23") || c.sqlState == "XX000" && strings.Contains(c.reason, " violates ") {
		key[2] = c.reason // it names the constraint, and no value
	}
	r := k.reasons[key]
	if r == nil {
		r = &Reason{SQLState: c.sqlState, Column: c.column, Line: line, Example: c.reason}
		k.reasons[key] = r
	}
	r.Records++
	if line < r.Line {
		r.Line, r.Example = line, c.reason
	}
}

// summary returns the reasons, the most frequent first.
func (k *keeper) summary() []Reason {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []Reason
	for _, r := range k.reasons {
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(b.Records, a.Records), cmp.Compare(a.Line, b.Line), cmp.Compare(a.SQLState, b.SQLState))
	})
	return list
}

// refuse keeps a row of b aside that the server has refused.
func (k *keeper) refuse(b *batch, r refusal) error {
	b.refused = append(b.refused, r)
	return k.reject(&RowError{File: k.ld.name, Line: r.row.line, Column: r.cause.column,
		Err: &RefusedError{SQLState: r.cause.sqlState, Message: r.cause.reason}})
}

// takeBack forgets what an earlier attempt to store b has refused.
func (k *keeper) takeBack(b *batch) {
	k.found.Add(-int64(len(b.refused)))
	b.refused = b.refused[:0]
}

// each calls fn for each record of b that is rejected.
func (k *keeper) each(b *batch, fn func(c cause, at origin, record []byte) error) error {
	var buf []byte
	for _, row := range b.aside.refs() {
		buf = b.aside.appendRow(buf[:0], row)
		c, record := decodeRejected(buf)
		if err := fn(c, row.origin, record); err != nil {
			return err
		}
	}
	for _, r := range b.refused {
		record, err := k.original(&b.parts[r.part], r.row, buf[:0])
		if err != nil {
			return err
		}
		if err := fn(r.cause, r.row.origin, record); err != nil {
			return err
		}
		buf = record
	}
	return nil
}

// original returns the bytes of the record that became a row of p, in buf if it is
// large enough. A row that goes as CSV is its record; of others the input is read
// again.
func (k *keeper) original(p *part, row rowRef, buf []byte) ([]byte, error) {
	if p.format == formatCSV {
		record := p.appendRow(buf, row)
		return record[:len(record)-1], nil
	}
	record := slices.Grow(buf, row.size)[:row.size]
	feed, ok := k.ld.feed.(*csvFeed)
	if !ok {
		return nil, errors.New("the input cannot be read again")
	}
	if _, err := feed.src.ReadAt(record, row.offset); err != nil {
		return nil, fmt.Errorf("read the record on line %d once more: %w", row.line, err)
	}
	return record, nil
}

// stored counts what of b was rejected, now that b is stored.
func (k *keeper) stored(b *batch) {
	if b.rejects() == 0 {
		return
	}
	k.log.settle(b)
	var buf []byte
	for _, row := range b.aside.refs() {
		buf = b.aside.appendRow(buf[:0], row)
		c, _ := decodeRejected(buf)
		k.count(c, row.line)
	}
	for _, r := range b.refused {
		k.count(r.cause, r.row.line)
	}
}

// rejects returns how many rows of b are kept aside.
func (b *batch) rejects() int64 { return b.aside.rows + int64(len(b.refused)) }

// stored returns how many rows of b enter the table.
func (b *batch) stored() int64 { return b.rows - b.rejects() }

// close ends the keeper, and tells the load's counts what it has kept.
func (k *keeper) close() error {
	err := k.log.close()
	k.ld.rejects, k.ld.reasons = k.log.file(), k.summary()
	return err
}
