package places

import (
	"context"
	"errors"
	"io"
	"sync"
)

// Pages of an object, by which it is read at any place.
const (
	pageLen = 256 << 10 // of one, in bytes
	// runPages is how many are asked for at once by who reads them one after the other, and
	// ownPages how many an object may have without asking for memory.
	runPages = 4
	ownPages = 2 * runPages
)

// A pager reads an object at any place, a run of pages at a time, and keeps those that were
// used last.
type pager struct {
	o *object

	mu    sync.Mutex
	most  int             // pages that may be kept
	pages map[int64]*page // by number
	clock int64
}

// A page is some of the bytes of an object. Its fields but used are set before done is closed.
type page struct {
	done  chan struct{}
	bytes []byte
	err   error
	used  int64
}

func newPager(o *object) *pager { return &pager{o: o, most: ownPages, pages: map[int64]*page{}} }

// close gives back the memory.
func (p *pager) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.o.budget.give(int64(p.most-ownPages) * pageLen)
	p.most, p.pages = ownPages, map[int64]*page{}
}

// readAt is ReadAt of the object.
func (p *pager) readAt(ctx context.Context, b []byte, offset int64) (n int, err error) {
	size := p.o.version.size
	for n < len(b) {
		at := offset + int64(n)
		if at >= size {
			return n, io.EOF
		}
		bytes, err := p.page(ctx, at/pageLen, min(offset+int64(len(b)), size))
		if err != nil {
			return n, err
		}
		n += copy(b[n:], bytes[at%pageLen:])
	}
	return n, nil
}

// page returns the page of that number. end is where the last byte is that is asked for, too.
func (p *pager) page(ctx context.Context, number, end int64) ([]byte, error) {
	for {
		p.mu.Lock()
		of := p.pages[number]
		if of == nil {
			run := p.missing(number, end)
			p.mu.Unlock()
			p.fetch(ctx, number, run)
			of = run[0]
		} else {
			p.clock++
			of.used = p.clock
			p.mu.Unlock()
		}
		select {
		case <-of.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if errors.Is(of.err, context.Canceled) && ctx.Err() == nil {
			continue // of who asked for it, and did not wait
		}
		return of.bytes, of.err
	}
}

// missing makes the page of that number, and those after it that are asked for or are likely to
// be, as far as they are not there. p.mu is held.
func (p *pager) missing(number, end int64) (run []*page) {
	last := (end - 1) / pageLen
	if p.pages[number-1] != nil {
		last = max(last, number+runPages-1)
	}
	last = min(last, (p.o.version.size-1)/pageLen, number+int64(p.most)/2)
	for i := number; i <= last && p.pages[i] == nil; i++ {
		p.clock++
		p.makeRoom()
		p.pages[i] = &page{done: make(chan struct{}), used: p.clock}
		run = append(run, p.pages[i])
	}
	return run
}

// makeRoom makes room for a page. p.mu is held.
func (p *pager) makeRoom() {
	if len(p.pages) >= p.most && p.o.budget.take(pageLen) {
		p.most++
	}
	for len(p.pages) >= p.most {
		oldest := int64(-1)
		for number, of := range p.pages {
			select {
			case <-of.done:
				if oldest < 0 || of.used < p.pages[oldest].used {
					oldest = number
				}
			default:
			}
		}
		if oldest < 0 {
			return // all of them are being read
		}
		delete(p.pages, oldest)
	}
}

// fetch reads a run of pages, the first of which has that number.
func (p *pager) fetch(ctx context.Context, number int64, run []*page) {
	at := number * pageLen
	from := &segment{o: p.o, ctx: ctx, at: at, end: min(at+int64(len(run))*pageLen, p.o.version.size)}
	defer from.close()
	for i, of := range run {
		of.bytes = make([]byte, min(pageLen, from.end-at-int64(i)*pageLen))
		if _, of.err = io.ReadFull(from, of.bytes); of.err == nil {
			close(of.done)
			continue
		}
		err := of.err
		p.mu.Lock()
		for j, failed := range run[i:] {
			failed.err = err
			delete(p.pages, number+int64(i+j))
			close(failed.done)
		}
		p.mu.Unlock()
		return
	}
}
