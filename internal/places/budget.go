package places

import (
	"sync"
	"sync/atomic"
)

// How memory is cut, in bytes.
const (
	// mostBlock is how much one request asks for that is read ahead: enough for a request to
	// cost little beside what it brings.
	mostBlock = 8 << 20
	// leastBlock is what is worth to be asked for alone.
	leastBlock = 256 << 10
	// aheadBlocks is how many requests are under way at once for one object.
	aheadBlocks = 8
	// smallObject is up to what length an object is read at once and kept while it is open.
	smallObject = 1 << 20
)

// A budget is the memory for what is read ahead, or read at any place.
type budget struct {
	block int64        // length of what is read ahead by one request, 0 if nothing is
	left  atomic.Int64 // bytes that nobody has
	free  sync.Pool    // of *[]byte: blocks
}

func newBudget(memory int64) *budget {
	block := min(memory/aheadBlocks, mostBlock)
	if block < leastBlock {
		return &budget{}
	}
	b := &budget{block: block}
	b.left.Store(memory)
	return b
}

// take takes n bytes, if there are as many.
func (b *budget) take(n int64) bool {
	if b.left.Add(-n) >= 0 {
		return true
	}
	b.left.Add(n)
	return false
}

// give returns n bytes that were taken.
func (b *budget) give(n int64) { b.left.Add(n) }

// takeBlock returns a block, nil if there is no memory for it.
func (b *budget) takeBlock() []byte {
	if !b.take(b.block) {
		return nil
	}
	if block, ok := b.free.Get().(*[]byte); ok {
		return *block
	}
	return make([]byte, b.block)
}

// giveBlock returns a block that was taken.
func (b *budget) giveBlock(block []byte) {
	b.free.Put(&block)
	b.give(b.block)
}
