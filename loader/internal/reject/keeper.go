package reject

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/internal/pgcsv"
	"shardload/internal/term"
	"shardload/loader/failure"
	"shardload/loader/internal/lane"
)

// CauseOf returns why err rejects a record.
func CauseOf(err *failure.RowError) lane.Cause {
	c := lane.Cause{Column: err.Column, SQLState: fault.BadRecord, Reason: err.Err.Error()}
	if refused, ok := errors.AsType[*failure.RefusedError](err.Err); ok {
		c.SQLState, c.Reason, c.Detail = refused.SQLState, refused.Message, refused.Detail
	}
	return c
}

// told returns the reason of c with its detail.
func told(c lane.Cause) string {
	return (&failure.RefusedError{Message: c.Reason, Detail: c.Detail}).Error()
}

// Options are what a keeper is told of the load whose records it keeps.
type Options struct {
	Limit failure.ErrorLimit
	Dir   string // of the files; "" for where an earlier run has begun them, or the current one
	Table string // after which they are called
	Input string // by which errors call it
	// Extension ends the name of the file of original records. OneLine says that they
	// are JSON, and that each must stand on one line there, as onOneLine writes it.
	Extension string
	OneLine   bool
	// Rewritten says that rows which are sent as text are not their records, and do not tell them.
	Rewritten bool
	Whole     bool  // all is stored in one transaction, or nothing
	Guessed   int64 // the line of the first record if that may be a header, else 0
	Written
	// Again reads bytes of the input at an offset once more. It is nil where nobody can.
	Again func(p []byte, offset int64) error

	Job          *ledger.Job   // nil if no progress is kept
	Lanes        []ledger.Lane // of the job, as they are when the load begins
	AwaitEarlier func() error  // waits until it is known what an earlier run has stored
	Kept
}

// Kept is where rejected records are kept.
type Kept struct {
	Note func(path string) error // keeps with the job where the file is
	Rows *Rows                   // nil for a file
}

// Written is how a record goes back to what it was in the input.
type Written struct {
	// Original appends the record of which a row that is sent is another notation, nil if
	// records are sent as they are.
	Original func(dst, sent []byte) []byte
	// Encode appends a record as it is encoded in the input, nil if that is as it was read.
	Encode func(dst, record []byte) []byte
}

// A Keeper keeps the rejected records of a load aside. A nil *Keeper keeps none.
// Its methods may be called from several goroutines.
type Keeper struct {
	Options
	log   *rejectLog
	read  atomic.Int64 // records that were read, those of earlier runs included
	Found atomic.Int64 // of them, bad ones: in batches that are not stored yet, too
	// before is how many records earlier runs have stored or rejected.
	before int64

	mu      sync.Mutex
	reasons map[[3]string]*failure.Reason
}

// New returns the keeper of a load, nil where none may be rejected. It drops what
// earlier runs have kept of batches that were not stored in the end.
func New(opt Options) (*Keeper, error) {
	var read, rejected int64
	for _, l := range opt.Lanes {
		read += l.Rows + l.Rejected
		rejected += l.Rejected
	}
	if opt.Limit.None() {
		if rejected > 0 {
			return nil, &failure.JobError{Job: opt.Input, Problem: fmt.Sprintf("an earlier run has rejected %s of it", term.Plural(rejected, "record")), Do: "allow as many with Config.MaxErrors to go on"}
		}
		return nil, nil
	}
	k := &Keeper{Options: opt, before: read, reasons: map[[3]string]*failure.Reason{}}
	k.read.Store(read)
	k.Found.Store(rejected)
	if k.Rows != nil {
		return k, k.Rows.goOn(k.count)
	}
	k.log = &rejectLog{names: names{dir: opt.Dir, table: opt.Table, extension: opt.Extension}, oneLine: opt.OneLine, input: opt.Input, pending: map[*lane.Batch]span{}}
	if opt.Job == nil {
		k.log.job = ledger.NewID()
		return k, nil
	}
	k.log.job, k.log.note = opt.Job.ID, opt.Note
	if opt.Whole && k.log.own() != "" {
		if err := opt.AwaitEarlier(); err != nil {
			return nil, err
		}
	}
	return k, k.log.goOn(opt.Job, opt.Lanes, rejected, k.count)
}

// Reject counts a record as rejected. It returns an error if those are too many, or if
// the record may be a header: whoever meant it as one wants no value stored.
func (k *Keeper) Reject(err *failure.RowError) error {
	if k.Guessed > 0 && err.Line == k.Guessed && err.MayBeHeader() {
		return err
	}
	if n, read := k.all(k.Found.Add(1)); k.Limit.Exceeded(n, read, false) {
		return k.tooMany(n, err)
	}
	return nil
}

// all returns how many records are rejected, of those that were read, where so many are in this
// keeper: of a set those of other runs count, too.
func (k *Keeper) all(found int64) (rejected, read int64) {
	rejected, read = found, k.read.Load()
	if k.Rows != nil {
		r, n := k.Rows.Others()
		rejected, read = rejected+r, read+n
	}
	return rejected, read
}

func (k *Keeper) tooMany(n int64, last *failure.RowError) error {
	file := k.File()
	if k.Whole {
		file = "" // nothing of it is stored, and so nothing is kept
	}
	_, read := k.all(0)
	return &failure.TooManyError{Limit: k.Limit, Rejected: n, Read: max(read, n), Last: *last, File: file}
}

// judge judges the records that were rejected when all are read.
func (k *Keeper) judge() error {
	n, read := k.all(k.Found.Load())
	if k.Limit.Exceeded(n, read, k.Rows == nil) { // a set ends when all of its runs have
		return k.tooMany(n, &failure.RowError{})
	}
	return nil
}

// Finish judges what was rejected, and writes the original records beside the log, under
// the header.
func (k *Keeper) Finish(header []byte, eol pgcsv.EOL) error {
	if err := k.judge(); err != nil || k.Rows != nil {
		return err
	}
	return k.log.writeCSV(k.encoded(header), eol)
}

// count counts a record that is rejected for good.
func (k *Keeper) count(c lane.Cause, line int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := [3]string{c.SQLState, c.Column}
	// Of a shard's constraint the coordinator says XX000.
	if strings.HasPrefix(c.SQLState, "23") || c.SQLState == fault.InternalError && strings.Contains(c.Reason, " violates ") {
		key[2] = c.Reason // it names the constraint, and no value
	}
	r := k.reasons[key]
	if r == nil {
		r = &failure.Reason{SQLState: c.SQLState, Column: c.Column, Line: line, Example: told(c)}
		k.reasons[key] = r
	}
	r.Records++
	if line < r.Line {
		r.Line, r.Example = line, told(c)
	}
}

// Summary returns the reasons, the most frequent first.
func (k *Keeper) Summary() []failure.Reason {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []failure.Reason
	for _, r := range k.reasons {
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b failure.Reason) int {
		return cmp.Or(cmp.Compare(b.Records, a.Records), cmp.Compare(a.Line, b.Line), cmp.Compare(a.SQLState, b.SQLState))
	})
	return list
}

// Refuse keeps a row of b aside that the server has refused.
func (k *Keeper) Refuse(b *lane.Batch, r lane.Refusal) error {
	b.Refused = append(b.Refused, r)
	return k.Reject(&failure.RowError{
		File: cmp.Or(r.Row.Source, k.Input), Line: r.Row.Line, Column: r.Cause.Column,
		Err: &failure.RefusedError{SQLState: r.Cause.SQLState, Message: r.Cause.Reason, Detail: r.Cause.Detail},
	})
}

// TakeBack forgets what an earlier try to store b has refused.
func (k *Keeper) TakeBack(b *lane.Batch) {
	k.Found.Add(-int64(len(b.Refused)))
	b.Refused = b.Refused[:0]
}

// each calls fn for each record of b that is rejected.
func (k *Keeper) each(b *lane.Batch, fn func(c lane.Cause, at lane.Origin, record []byte) error) error {
	var buf []byte
	for _, row := range b.Aside.Refs() {
		buf = b.Aside.AppendRow(buf[:0], row)
		c, record := lane.DecodeRejected(buf)
		if err := fn(c, row.Origin, k.encoded(record)); err != nil {
			return err
		}
	}
	for _, r := range b.Refused {
		record, err := k.original(&b.Sections[r.Section], r.Row, buf[:0])
		if err != nil {
			return err
		}
		if err := fn(r.Cause, r.Row.Origin, k.encoded(record)); err != nil {
			return err
		}
		buf = record
	}
	return nil
}

// encoded returns a record as it was encoded in the input.
func (k *Keeper) encoded(record []byte) []byte {
	if k.Encode == nil {
		return record
	}
	return k.Encode(nil, record)
}

// original returns the bytes of the record that became a row of p, in buf if it is
// large enough. A row that is no binary one may have its record in it; of others it was kept,
// or the input is read again.
func (k *Keeper) original(p *lane.Section, row lane.RowRef, buf []byte) ([]byte, error) {
	if record, kept := p.AppendRecord(buf, row); kept {
		return record, nil
	}
	if p.Notation == lane.NotationRecord && !k.Rewritten {
		record := p.AppendRow(buf, row)
		record = record[:len(record)-1]
		if k.Original != nil {
			record = k.Original(nil, record)
		}
		return record, nil
	}
	record := slices.Grow(buf, row.Size)[:row.Size]
	if k.Again == nil {
		return nil, errors.New("the input cannot be read again")
	}
	if err := k.Again(record, row.Offset); err != nil {
		return nil, fmt.Errorf("read the record on line %d once more: %w", row.Line, err)
	}
	return record, nil
}

// Stored counts what of b was rejected, now that b is stored.
func (k *Keeper) Stored(b *lane.Batch) {
	if b.Rejects() == 0 {
		return
	}
	if k.Rows == nil {
		k.log.confirm(b)
	}
	var buf []byte
	for _, row := range b.Aside.Refs() {
		buf = b.Aside.AppendRow(buf[:0], row)
		c, _ := lane.DecodeRejected(buf)
		k.count(c, row.Line)
	}
	for _, r := range b.Refused {
		k.count(r.Cause, r.Row.Line)
	}
}

// File returns the path of the file that has the records, "" if there is none.
func (k *Keeper) File() string {
	if k.Rows != nil {
		return ""
	}
	return k.log.file()
}

// Write writes what of b is rejected to disk. number is that of the lane in the job.
func (k *Keeper) Write(b *lane.Batch, number int32) error {
	return k.log.write(b, number, func(fn func(lane.Cause, lane.Origin, []byte) error) error { return k.each(b, fn) })
}

// Undo takes back what write has written.
func (k *Keeper) Undo(b *lane.Batch) error {
	if k.Rows != nil {
		return nil // the transaction has them
	}
	return k.log.undo(b)
}

// Close ends the keeper.
func (k *Keeper) Close() error {
	if k.Rows != nil {
		return nil
	}
	return k.log.close()
}

// CountRead says how many records have entered the lanes.
func (k *Keeper) CountRead(n int64) { k.read.Store(k.before + n) }

// Enough returns an error if n records of one chunk are too many to be rejected
// already, whatever comes.
func (k *Keeper) Enough(n int, last *failure.RowError) error {
	if k.Limit.Percent == 0 && int64(n) > k.Limit.Records {
		return k.tooMany(int64(n), last)
	}
	return nil
}
