package lane

import (
	"shardload/internal/ledger"
	"shardload/internal/pgcsv"
)

// A Notation is how a row is written for COPY: as its record is, or in binary.
type Notation byte

const (
	// NotationRecord is that of the input, whatever its format: its records as they are.
	NotationRecord Notation = iota
	NotationBinary
	// NotationRejected is that of records which a decoder has found to be none: they
	// are kept aside, and not sent.
	NotationRejected
)

// A Section is a run of rows of a batch which one COPY carries.
type Section struct {
	Notation Notation
	Rows     int64
	Data     buffer
	// lines has for each row the number of lines between its start and that of
	// the row before it, as a uvarint. It is read only to say where an error is.
	// Where records may be rejected other numbers follow: see note.
	lines      buffer
	lastLine   int64
	turns      []turn // where rows of another part begin, in their order
	origins    bool   // whether they do
	sorted     bool   // its rows have keys
	Dialect    pgcsv.Dialect
	lastOffset int64
	// keys has for each row its sort key and its length. It is empty if rows are
	// not sorted.
	keys buffer
	// records has the bytes of each row's record, where rows keep them.
	records buffer
}

// keySize is the size of a row's entry in keys: two numbers of 8 bytes. No entry
// lies on two pages.
const keySize = 16

// A Reach is between which marks a batch lies.
type Reach struct {
	From, To ledger.Mark
	Place    ledger.Place // of To's chunk
	Within   uint64       // hash of To's records of its chunk
}

// A Batch is the rows that one transaction stores: consecutive rows of one lane.
// There are none in a batch that only moves its lane's mark.
type Batch struct {
	Reach
	Tries    int  // how often its shard was not where it was sent
	Sending  bool // its transaction was begun when it was last tried
	Losses   int  // how often the connection was lost then
	direct   bool // as its lane was when it was sent
	pending  int  // groups of rows that are not written yet
	Lane     int
	Sections []Section
	Aside    Section // what the decoders have rejected, wherever it stood
	Rows     int64   // those that are rejected included
	Bytes    int64

	Refused []Refusal // by the server, when it was last tried
	Unclear int       // of them, for what may not have been theirs
	Merged  ledger.Merged

	Again
}

// Again is what an earlier try to store a batch has found out.
type Again struct {
	Anew     bool // it was begun anew on another connection, for an error without a known cause
	Deferred bool // its COMMIT was refused
	Bad      bool // it has rows that the server cannot evaluate, or does not take then
}

// section returns the section to which a row in that notation can be appended, or nil. Records
// that are rejected have one of their own: each would else end a run of rows.
func (b *Batch) section(as Notation) *Section {
	if as == NotationRejected {
		return &b.Aside
	}
	if n := len(b.Sections); n > 0 && b.Sections[n-1].Notation == as {
		return &b.Sections[n-1]
	}
	return nil
}

// append appends a row, of that part of a set, for which there is room.
func (b *Batch) append(as Notation, row []byte, at *Origin, key uint64, source string) {
	p := b.section(as)
	sent := len(row)
	if as == NotationRecord {
		sent++
	}
	var w writer
	p.Data.take(sent, &w)
	w.write(row)
	if as == NotationRecord {
		w.write(Newline)
	}
	if p.sorted {
		p.keys.take(keySize, &w)
		w.writePair(key, uint64(len(row)))
	}
	p.turnTo(source)
	p.lines.appendUvarint(uint64(at.Line - p.lastLine))
	p.lastLine = at.Line
	if p.origins {
		p.note(at, sent)
	}
	p.Rows++
	b.Rows++
	b.Bytes += int64(len(row) + len(at.Record))
}

// trim ends the buffers of b: all of its rows are written.
func (b *Batch) trim() {
	for i := range b.Sections {
		b.Sections[i].trim()
	}
	b.Aside.trim()
}

func (p *Section) trim() {
	for _, of := range []*buffer{&p.Data, &p.lines, &p.keys, &p.records} {
		of.trim()
	}
}

// Rejects returns how many rows of b are kept aside.
func (b *Batch) Rejects() int64 { return b.Aside.Rows + int64(len(b.Refused)) }

// Stored returns how many rows of b enter the table.
func (b *Batch) Stored() int64 { return b.Rows - b.Rejects() - b.Merged.Filtered }

// Span returns between which records of the input those of b lie, as far as they are sent.
func (b *Batch) Span() (span Span) {
	for i := range b.Sections {
		of := b.Sections[i].Span()
		switch {
		case i == 0:
			span = of
			continue
		case of.First.Source == span.First.Source && of.First.Line < span.First.Line:
			span.First = of.First
		}
		if of.Last.Source != span.Last.Source || of.Last.Line > span.Last.Line {
			span.Last = of.Last
		}
	}
	return span
}

// Barren reports whether nothing of b was taken, for something unclear: it may be of
// the connection.
func (b *Batch) Barren() bool {
	return !b.Anew && b.Unclear > 0 && b.Stored()+b.Merged.Filtered == 0
}
