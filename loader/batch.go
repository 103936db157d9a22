package loader

import "shardload/internal/ledger"

// A format is how a row is written for COPY.
type format byte

const (
	formatCSV format = iota
	formatBinary
	// formatRejected is that of records which a decoder has found to be none: they
	// are kept aside, and not sent.
	formatRejected
)

// A part is a run of rows of a batch which one COPY carries.
type part struct {
	format format
	rows   int64
	data   buffer
	// lines has for each row the number of lines between its start and that of
	// the row before it, as a uvarint. It is read only to say where an error is.
	// Where records may be rejected other numbers follow: see note.
	lines      buffer
	lastLine   int64
	origins    bool // whether they do
	lastOffset int64
	// keys has for each row its sort key and its length. It is empty if rows are
	// not sorted.
	keys buffer
}

// keySize is the size of a row's entry in keys: two numbers of 8 bytes. No entry
// lies on two pages.
const keySize = 16

// A batch is the rows that one transaction stores: consecutive rows of one lane.
// There are none in a batch that only moves its lane's mark.
type batch struct {
	from, to ledger.Mark
	place    ledger.Place // of to's chunk
	tries    int          // how often its shard was not where it was sent
	direct   bool         // as its lane was when it was sent
	lane     int
	parts    []part
	aside    part  // what the decoders have rejected, wherever it stood
	rows     int64 // those that are rejected included
	bytes    int64

	refused []refusal // by the server, when it was last tried
	merged  ledger.Merged
}

// part returns the part to which a row of format f can be appended, or nil. Records
// that are rejected have one of their own: each would else end a run of rows.
func (b *batch) part(f format) *part {
	if f == formatRejected {
		return &b.aside
	}
	if n := len(b.parts); n > 0 && b.parts[n-1].format == f {
		return &b.parts[n-1]
	}
	return nil
}
