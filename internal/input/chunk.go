package input

import (
	"errors"

	"shardload/internal/ledger"
	"shardload/internal/pgcsv"
	"shardload/loader/failure"
)

// A Chunk is a numbered run of whole records of the input.
type Chunk struct {
	Number int64 // from 0
	Line   int64 // on which data starts, from 1; of a block, in the block
	Offset int64 // of data in the input; of a block, in the block
	// Data are the records as COPY reads them. Those of another format are their transcript
	// once the chunk is filled, and the input's own bytes before.
	Data []byte
	EOL  pgcsv.EOL
	// Skipped is how many bytes at the beginning of data are lines before the first record.
	Skipped int
	Open    bool // the last record ends inside quotes

	OfPart
	madeOf
	transcribed

	// The length of the whole chunk, a header included.
	Size, Lines int64
	Sum         uint64 // hash of data, 0 if nobody wants it

	Before <-chan struct{} // closed when the chunk before it is in the lanes
	After  chan struct{}   // closed when this one is
}

// A madeOf says where a chunk's data are from.
type madeOf struct {
	block BlockSource // what makes them, nil if they are there
	whole []byte      // what they were before something was taken off them, nil if nothing was
}

// Fill makes the records of c, where its feed has not: of a block, or in t the transcript of
// another format. late reports that only now the chunk's length is known, and that only the
// chunks before it say where it stands. The records are gone once t is used again.
func (c *Chunk) Fill(t *Transcript) (late bool, err error) {
	switch {
	case c.block != nil:
		c.Data = c.block.AppendBlock(c.Data, c.Number)
		c.block = nil
	case c.by != nil:
		if err := c.transcribe(t); err != nil || c.Size > 0 || c.even {
			return false, err
		}
	default:
		return false, nil
	}
	c.Size, c.Lines = int64(len(c.Data)), pgcsv.Lines(c.Data, c.EOL)
	return true, nil
}

// Raw returns the bytes of the input that c is of: its data, or what they are the transcript of.
func (c *Chunk) Raw() []byte {
	if c.raw != nil {
		return c.raw
	}
	return c.Data
}

// Buffer returns the memory of c for another one, when c is not needed any more.
func (c *Chunk) Buffer() []byte {
	if c.raw == nil && c.whole != nil {
		return c.whole[:0]
	}
	return c.Raw()[:0]
}

// Plain reports whether records stand on the lines of the input on which they do in c's data.
func (c *Chunk) Plain() bool { return len(c.origins) == 0 }

// Origin returns where record i of c, which stands between start and end in its data, and there
// on line, stands in the bytes of the input; line and the result's count from the chunk's first.
func (c *Chunk) Origin(i int, line int64, start, end int32) Origin {
	if i < len(c.origins) {
		return c.origins[i]
	}
	return Origin{Line: line, Start: start, End: end}
}

// Original returns the bytes of a record of that origin.
func (c *Chunk) Original(at Origin) []byte { return c.Raw()[at.Start:at.End] }

// Fault returns what is wrong with record i of c, nil if nothing is known. Records are asked
// for in ascending order.
func (c *Chunk) Fault(i int) *Fault {
	if len(c.faults) == 0 { // as almost always: this much is inlined
		return nil
	}
	return c.fault(i)
}

func (c *Chunk) fault(i int) *Fault {
	for len(c.faults) > 0 && c.faults[0].Record < i {
		c.faults = c.faults[1:]
	}
	if len(c.faults) > 0 && c.faults[0].Record == i {
		return &c.faults[0]
	}
	return nil
}

// AppendStarts appends where the records of c, which is not filled, begin in its bytes.
func (c *Chunk) AppendStarts(dst []int32, d pgcsv.Dialect) []int32 {
	if c.by != nil {
		return c.by.AppendStarts(dst, c)
	}
	offset := int32(0)
	for s := c.Scanner(d); s.Next(); offset += int32(s.Size()) {
		dst = append(dst, offset)
	}
	return dst
}

// Behind takes the first n bytes off the chunk's records: lines before them, and a header.
func (c *Chunk) Behind(n int) {
	c.Skipped = max(c.Skipped-n, 0)
	c.Line += pgcsv.Lines(c.Data[:n], c.EOL)
	c.Offset += int64(n)
	if c.whole == nil {
		c.whole = c.Data
	}
	c.Data = c.Data[n:]
}

// PlaceAt says where in the input a block stands. It returns err with the line of
// the input, which had that of the block, unless the feed knew the line.
func (c *Chunk) PlaceAt(place ledger.Place, err error) error {
	before := place.Line - 1
	if c.Line > 1 {
		before = 0
	}
	c.Line += before
	c.Offset += place.Offset
	if row, ok := errors.AsType[*failure.RowError](err); ok {
		row.Line += before
	}
	return err
}

// Scanner returns a Scanner of the chunk's records.
func (c *Chunk) Scanner(d pgcsv.Dialect) *pgcsv.Scanner {
	s := &pgcsv.Scanner{}
	s.SetDialect(d)
	s.Reset(c.Data[c.Skipped:], c.EOL, c.Line+pgcsv.Lines(c.Data[:c.Skipped], c.EOL))
	return s
}
