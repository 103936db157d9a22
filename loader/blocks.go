package loader

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

// Blocks returns the input that b makes. Errors call it name, and count its lines
// from 1 in the first block. Blocks are made by the goroutines that decode them.
func Blocks(name string, b BlockSource) Input {
	return Input{name: name, repeats: true, open: func(context.Context, int) (feed, error) {
		return &blockFeed{name: name, source: b}, nil
	}}
}

// A blockFeed gives the blocks of a BlockSource as chunks.
type blockFeed struct {
	name   string
	source BlockSource
	number atomic.Int64 // of the next block
}

func (f *blockFeed) header() []string { return f.source.Header() }

func (f *blockFeed) next(_ context.Context, buf []byte) (*chunk, error) {
	n := f.number.Load()
	if n >= f.source.Len() {
		return nil, io.EOF
	}
	f.number.Store(n + 1)
	c := &chunk{number: n, line: 1, data: buf[:0], eol: pgcsv.LF, block: f.source}
	if n == 0 {
		c.fill()
	}
	return c, nil
}

func (f *blockFeed) skipTo(_ context.Context, number int64, _ ledger.Place) error {
	f.number.Store(number)
	return nil
}

// fingerprint trusts that blocks are a function of the first and the last one,
// and of their number.
func (f *blockFeed) fingerprint(first *chunk) (ledger.Fingerprint, error) {
	last := f.source.AppendBlock(nil, f.source.Len()-1)
	return ledger.Fingerprint{Size: f.source.Len(), Unit: ledger.Blocks, Head: hashOf(fmt.Appendf(first.data[:len(first.data):len(first.data)], "%q", f.source.Header())), Tail: hashOf(last)}, nil
}

func (f *blockFeed) far() (done, total int64) { return f.number.Load(), f.source.Len() }

func (f *blockFeed) close() error { return nil }

// hashOf returns a hash of b as text.
func hashOf(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:16])
}
