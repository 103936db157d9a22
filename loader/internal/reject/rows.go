package reject

import (
	"bytes"
	"cmp"
	"encoding/json"
	"unicode/utf8"

	"shardload/internal/ledger"
	"shardload/loader/internal/lane"
)

// Rows says that rejected records are rows beside the marks, as those of a set's run are: any process
// on any host may go on with it, and end it. Then a keeper writes no file.
type Rows struct {
	// Part returns the number of a part in the run, by the name that errors call it.
	Part func(source string) int32
	// Others returns how many records the other runs of the set have rejected, and read, as far
	// as they have said.
	Others func() (rejected, read int64)
	// Earlier calls fn with what the run has kept already.
	Earlier func(fn func(entry []byte) error) error
}

// goOn counts what the run has kept already.
func (r *Rows) goOn(count func(lane.Cause, int64)) error {
	return r.Earlier(func(entry []byte) error {
		var e rejectEntry
		if err := json.Unmarshal(entry, &e); err != nil {
			return err
		}
		count(e.cause(), e.Line)
		return nil
	})
}

func (e *rejectEntry) cause() lane.Cause {
	return lane.Cause{Column: e.Column, SQLState: e.SQLState, Reason: e.Reason, Detail: e.Detail}
}

// EachRow calls fn with each rejected record of b, as a row beside the marks: with Options.Rows, where
// Write is not to be called. number is that of the lane in the job.
func (k *Keeper) EachRow(b *lane.Batch, number int32, fn func(ledger.Reject) error) error {
	return k.each(b, func(c lane.Cause, at lane.Origin, record []byte) error {
		e := newEntry(b, number, c, at, record)
		e.Job, e.Input = k.Job.Of, cmp.Or(at.Source, k.Input)
		line, err := e.line()
		if err != nil {
			return err
		}
		return fn(ledger.Reject{Seq: k.Rows.Part(at.Source), Line: at.Line, Place: at.Offset, Entry: line})
	})
}

// newEntry returns the entry of a record, without its job and input.
func newEntry(b *lane.Batch, number int32, c lane.Cause, at lane.Origin, record []byte) *rejectEntry {
	e := &rejectEntry{
		Lane: number, Mark: [2]int64{b.To.Chunk, b.To.Records}, Line: at.Line, Offset: at.Offset,
		Column: c.Column, SQLState: c.SQLState, Reason: c.Reason, Detail: c.Detail,
	}
	if text := string(record); utf8.ValidString(text) {
		e.Record = &text
	} else {
		e.Base64 = record
	}
	return e
}

// line returns the entry as a line of the file, without its line break.
func (e *rejectEntry) line() ([]byte, error) {
	var line bytes.Buffer
	out := json.NewEncoder(&line)
	out.SetEscapeHTML(false)
	err := out.Encode(e)
	return bytes.TrimSuffix(line.Bytes(), []byte("\n")), err
}
