package input

import (
	"fmt"

	"shardload/internal/catalog"
	"shardload/internal/parquettext"
	"shardload/internal/pgcopy"
	"shardload/internal/pgcsv"
)

// A Transcript is the records of a chunk of a format that COPY does not know, written in COPY's
// text format: a tab between fields, \N for NULL, a line feed after each record.
type Transcript struct {
	// Data has a record for each of the chunk, also for one at fault: whatever it is.
	Data []byte
	// Origins says where each record stood. It is empty where records are known by their
	// number alone: then the transcript of one is all there is of it.
	Origins []Origin
	// Faults are the records that are none, in the order of their numbers.
	Faults []Fault
}

// An Origin is where a record stood in its chunk.
type Origin struct {
	Line       int64 // from 0, that on which the chunk starts
	Start, End int32 // in the chunk's source, without the line break
}

// A Fault is what is wrong with a record of a transcript.
type Fault struct {
	Record int    // its number in the chunk, from 0
	Column string // "" if the whole record is at fault
	Err    error
}

func (f *Fault) Error() string {
	if f.Column == "" {
		return f.Err.Error()
	}
	return fmt.Sprintf("column %q: %v", f.Column, f.Err)
}

func (f *Fault) Unwrap() error { return f.Err }

// Reset empties t and keeps its memory.
func (t *Transcript) Reset() {
	t.Data, t.Origins, t.Faults = t.Data[:0], t.Origins[:0], t.Faults[:0]
}

// A Transcriber writes the chunks of one input as text. Several goroutines use it at once.
type Transcriber interface {
	// Transcribe appends the records of c, which is not filled yet, to t. An error ends the
	// load: the input cannot be read on. What is wrong with one record alone is a Fault.
	Transcribe(t *Transcript, c *Chunk) error

	// AppendStarts appends where the records of c, which is not filled, begin in its source, as
	// Transcribe says it in Origins. It is asked only of inputs that are a Bytes.
	AppendStarts(dst []int32, c *Chunk) []int32
}

// Transcribed is a feed of a format that COPY does not know.
type Transcribed interface {
	Feed
	// SetFields names the fields of the transcripts, in their order. It is called once, after
	// the first Next, and before any chunk is filled.
	SetFields(names []string) error
}

// Typed is a feed of a format in which a value's text depends on what it is for.
type Typed interface {
	Transcribed
	// SetColumns is SetFields for fields that go into columns of the same names. Of those that
	// text says only an expression reads the value, or nobody; of those that unused says nobody
	// does, and they may be NULL in each record. Both may be nil.
	SetColumns(columns []*catalog.Column, text, unused []bool) error
}

// Binary is a feed of a format of which rows can be made as binary COPY has them, without a
// transcript.
type Binary interface {
	Typed
	// SetEncoding says that it is to do so, after SetColumns.
	SetEncoding(opts pgcopy.Options)
	// AppendRows appends the rows of a chunk, which is not filled, and reports whether it was
	// sure of all values, and no row is longer than max bytes. Several goroutines use it at once.
	AppendRows(rows *Rows, c *Chunk, max int) (sure bool, err error)
}

// Rows are rows as binary COPY has them.
type Rows = parquettext.Rows

// AppendRows appends the rows of c to rows, where its feed can do that.
func (c *Chunk) AppendRows(rows *Rows, max int) (sure bool, err error) {
	if by, ok := c.by.(Binary); ok {
		return by.AppendRows(rows, c, max)
	}
	return false, nil
}

// OffsetOf returns where in the input a record of that origin stands. Records of a chunk that is
// not cut by bytes are taken for equally long.
func (c *Chunk) OffsetOf(at Origin) int64 {
	if c.even {
		return c.Offset + int64(float64(c.Size)*float64(at.Line)/float64(c.Lines))
	}
	return c.Offset + int64(at.Start)
}

// A Typing is a feed that knows more of its fields than their text says.
type Typing interface {
	Transcribed
	// SetNew is SetFields for columns that are made for the fields: what is nested is written
	// as JSON, moments in UTC say so, and fields of these names as bytes. It returns which
	// fields are nested.
	SetNew(names, binary []string) (nested []bool, err error)
}

// What a chunk of such a feed has, beside its data.
type transcribed struct {
	by      Transcriber // what makes the transcript, nil if there is none to be made
	raw     []byte      // what the data are the transcript of, nil if they are of none
	origins []Origin    // of the transcript's records
	faults  []Fault     // of them
	even    bool        // it has so many rows, and no bytes of its own
}

// transcribe makes the text of c in t.
func (c *Chunk) transcribe(t *Transcript) error {
	t.Reset()
	if err := c.by.Transcribe(t, c); err != nil {
		return err
	}
	c.raw, c.Data, c.EOL = c.Data, t.Data, pgcsv.LF
	c.origins, c.faults, c.by = t.Origins, t.Faults, nil
	return nil
}
