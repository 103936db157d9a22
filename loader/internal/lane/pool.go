package lane

// MaxPage is the usual size of a page. Tables of so many lanes that each would
// get only a few of them have smaller ones.
const (
	MaxPage = 64 << 10
	minPage = 4 << 10
)

// slabSize is how much memory for pages is asked for at once.
const slabSize = 16 << 20

// A pool has the pages that nobody uses.
type pool struct {
	size   int      // of a page
	total  int      // pages, in use or not
	free   [][]byte // last in, first out: the page used last is warm
	unmade int      // pages that have never been needed
	slab   []byte   // memory of the next of them
}

// newPool returns the pool of that many bytes, for that many lanes.
func newPool(lanes int, memory int64) pool {
	page := MaxPage
	for page > minPage && int64(page)*int64(lanes)*16 > memory {
		page /= 2
	}
	pages := int(memory / int64(page))
	return pool{size: page, total: pages, unmade: pages}
}

// left returns how many pages are free.
func (p *pool) left() int { return len(p.free) + p.unmade }

// extend moves n free pages to the end of b.
func (p *pool) extend(b *buffer, n int) {
	for range n {
		if last := len(p.free) - 1; last >= 0 {
			b.extend(p.free[last])
			p.free = p.free[:last]
			continue
		}
		if len(p.slab) == 0 {
			p.slab = newSlab(min(p.unmade, slabSize/p.size) * p.size)
		}
		p.unmade--
		b.extend(p.slab[:0:p.size])
		p.slab = p.slab[p.size:]
	}
}

// extendAll adds free pages to the buffers of p.
func (p *pool) extendAll(of *Section, pages extent) {
	p.extend(&of.Data, pages.data)
	p.extend(&of.lines, pages.lines)
	p.extend(&of.keys, pages.keys)
	p.extend(&of.records, pages.records)
}

// takeBack takes the pages of a section back.
func (p *pool) takeBack(of *Section) {
	for _, pages := range [][][]byte{of.Data.pages, of.lines.pages, of.keys.pages, of.records.pages} {
		for _, page := range pages {
			p.free = append(p.free, page[:0])
		}
	}
}
