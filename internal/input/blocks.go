package input

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sync/atomic"

	"shardload/internal/ledger"
	"shardload/internal/pgcsv"
)

// A BlockSource makes its input itself, block by block. A block is whole CSV
// records in PostgreSQL's default dialect, each ended by a newline, and always the
// same bytes. Blocks may be asked for in any order and by several goroutines at
// once; they should be of about 1 MiB or less.
type BlockSource interface {
	// Header returns the names of the columns. Blocks do not repeat them.
	Header() []string
	// Len returns the number of blocks.
	Len() int64
	// AppendBlock appends block i to dst and returns the result.
	AppendBlock(dst []byte, i int64) []byte
}

// A blockFeed gives the blocks of a BlockSource as chunks.
type blockFeed struct {
	source BlockSource
	number atomic.Int64 // of the next block
}

// NewBlocks returns the feed of b.
func NewBlocks(b BlockSource, how Reading) (Feed, error) {
	if err := how.Made(); err != nil {
		return nil, err
	}
	return &blockFeed{source: b}, nil
}

func (f *blockFeed) Header() []string { return f.source.Header() }

func (f *blockFeed) Next(_ context.Context, buf []byte) (*Chunk, error) {
	n := f.number.Load()
	if n >= f.source.Len() {
		return nil, io.EOF
	}
	f.number.Store(n + 1)
	c := &Chunk{Number: n, Line: 1, Data: buf[:0], EOL: pgcsv.LF, madeOf: madeOf{block: f.source}}
	if n == 0 {
		_, err := c.Fill(nil)
		return c, err
	}
	return c, nil
}

func (f *blockFeed) SkipTo(_ context.Context, number int64, _ ledger.Place, _ func(*Chunk)) error {
	f.number.Store(number)
	return nil
}

// Fingerprint trusts that blocks are a function of the first and the last one,
// and of their number.
func (f *blockFeed) Fingerprint(first *Chunk) (ledger.Fingerprint, error) {
	last := f.source.AppendBlock(nil, f.source.Len()-1)
	return ledger.Fingerprint{Size: f.source.Len(), Unit: ledger.Blocks, Head: hashOf(fmt.Appendf(first.Data[:len(first.Data):len(first.Data)], "%q", f.source.Header())), Tail: hashOf(last)}, nil
}

func (f *blockFeed) Far() (done, total int64) { return f.number.Load(), f.source.Len() }

func (f *blockFeed) Close() error { return nil }

// hashOf returns a hash of b as text.
func hashOf(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:16])
}
