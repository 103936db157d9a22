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
	Data   []byte
	EOL    pgcsv.EOL
	block  BlockSource // what makes data, nil if they are there
	Open   bool        // the last record ends inside quotes

	// The length of the whole chunk, a header included.
	Size, Lines int64
	Sum         uint64 // hash of data, 0 if nobody wants it

	Before <-chan struct{} // closed when the chunk before it is in the lanes
	After  chan struct{}   // closed when this one is
}

// Fill makes the data of a block, and reports whether it is one.
func (c *Chunk) Fill() bool {
	if c.block == nil {
		return false
	}
	c.Data = c.block.AppendBlock(c.Data, c.Number)
	c.Size, c.Lines = int64(len(c.Data)), pgcsv.Lines(c.Data, c.EOL)
	c.block = nil
	return true
}

// Behind takes the first n bytes, a header, off the chunk's records.
func (c *Chunk) Behind(n int) {
	c.Line += pgcsv.Lines(c.Data[:n], c.EOL)
	c.Offset += int64(n)
	c.Data = c.Data[n:]
}

// PlaceAt says where in the input a block stands. It returns err with the line of
// the input, which had that of the block.
func (c *Chunk) PlaceAt(place ledger.Place, err error) error {
	before := place.Line - 1
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
	s.Reset(c.Data, c.EOL, c.Line)
	return s
}
