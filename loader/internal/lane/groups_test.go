package lane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"shardload/internal/ledger"
)

// A testRow is a row of a chunk.
type testRow struct {
	lane int
	as   Notation
	data []byte
	at   Origin // counted from the chunk's beginning
	key  uint64
}

// A testChunk is a chunk of them, which begins at base.
type testChunk struct {
	base          Origin
	rows          []testRow
	before, after chan struct{}
}

// randomChunks returns chunks of rows of random lanes and sizes: the rows of one lane in a chunk
// are in one notation, now and then one is rejected, and some chunks have rows of one lane alone.
func randomChunks(r *rand.Rand, chunks, lanes, maxRow int) []*testChunk {
	var list []*testChunk
	base := Origin{Line: 1}
	before := make(chan struct{})
	close(before)
	for n := range chunks {
		c := &testChunk{base: base, before: before, after: make(chan struct{})}
		before = c.after
		notations := make([]Notation, lanes)
		for i := range notations {
			notations[i] = Notation(r.IntN(2))
		}
		hot, line, offset := -1, int64(0), int64(0)
		if r.IntN(5) == 0 {
			hot = r.IntN(lanes)
		}
		for range r.IntN(60) {
			row := testRow{lane: r.IntN(lanes), key: r.Uint64()}
			if hot >= 0 {
				row.lane = hot
			}
			if row.as = notations[row.lane]; r.IntN(20) == 0 {
				row.lane, row.as = 0, NotationRejected
			}
			size := r.IntN(maxRow)
			row.data = bytes.Repeat([]byte{byte('a' + n%26)}, size)
			row.at = Origin{Line: line, Offset: offset, Size: size, Record: bytes.Repeat([]byte{'#'}, size)}
			line += int64(1 + r.IntN(300))
			offset += int64(size + 1)
			c.rows = append(c.rows, row)
		}
		base.Line, base.Offset = base.Line+line, base.Offset+offset
		list = append(list, c)
	}
	return list
}

// deliver does with c what a decoder does. It reports whether its rows entered at once.
func deliver(ctx context.Context, g *Groups, c *testChunk) (atOnce bool, err error) {
	g.Reset()
	for i := range c.rows {
		r := &c.rows[i]
		g.Count(r.lane, r.as, len(r.data), r.at.Line, &r.at)
	}
	<-c.before
	if atOnce = g.AtOnce(); atOnce {
		err = g.Reserve(ctx, c.base)
	} else {
		g.Reset()
		err = addRows(ctx, g.lanes, c)
	}
	if err != nil {
		return atOnce, err
	}
	g.lanes.Finish(ledger.Place{})
	close(c.after)
	if atOnce {
		for i := range c.rows {
			r := &c.rows[i]
			g.Put(r.lane, r.as, r.data, r.at.Line, &r.at, r.key)
		}
	}
	return atOnce, g.Copied()
}

func addRows(ctx context.Context, l *Lanes, c *testChunk) error {
	for i := range c.rows {
		r := &c.rows[i]
		at := r.at
		at.Line, at.Offset = at.Line+c.base.Line, at.Offset+c.base.Offset
		if err := l.Add(ctx, r.lane, r.as, r.data, &at, r.key); err != nil {
			return err
		}
	}
	return nil
}

// content describes what a stream gets of the batches of each lane, however they are cut.
type content struct {
	mu    sync.Mutex
	rows  [][]string // by lane, those that are rejected after all lanes
	marks [][]end
	from  []ledger.Mark
	wrong []string
}

func newContent(lanes int) *content {
	return &content{rows: make([][]string, lanes+1), marks: make([][]end, lanes), from: make([]ledger.Mark, lanes)}
}

func (c *content) keep(b *Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.From != c.from[b.Lane] {
		c.wrong = append(c.wrong, fmt.Sprintf("lane %d: a batch from %v comes after one up to %v", b.Lane, b.From, c.from[b.Lane]))
	}
	c.from[b.Lane] = b.To
	c.marks[b.Lane] = append(c.marks[b.Lane], end{b.Rows, b.To})
	for i := range b.Sections {
		c.rows[b.Lane] = append(c.rows[b.Lane], describe(&b.Sections[i])...)
	}
	c.rows[len(c.rows)-1] = append(c.rows[len(c.rows)-1], describe(&b.Aside)...)
}

func describe(p *Section) (rows []string) {
	refs := p.Refs()
	if int64(len(refs)) != p.Rows {
		return []string{fmt.Sprintf("%d rows, %d of them known", p.Rows, len(refs))}
	}
	keys := slices.Concat(p.keys.pages...)
	for i, ref := range refs {
		record, _ := p.AppendRecord(nil, ref)
		key := []byte(nil)
		if p.Notation == NotationBinary {
			key = keys[i*keySize : (i+1)*keySize]
		}
		rows = append(rows, fmt.Sprintf("%d %s %v %d+%d %s %x", p.Notation, p.AppendRow(nil, ref), ref.Line, ref.Offset, ref.Size, record, key))
	}
	return rows
}

// TestGroupsAreRows holds that rows which several decoders move into the lanes a chunk at a time
// come out as rows do that one adds one by one: whole, once, in their order, each with its place,
// and with marks between which they lie; whatever the memory, the batch and the lanes are.
func TestGroupsAreRows(t *testing.T) {
	t.Parallel()
	for seed, tt := range []struct {
		lanes, batch, maxRow int
		memory               int64
	}{
		{1, 16 << 10, 300, 256 << 10},
		{8, 2 << 10, 300, 1 << 20}, // more of some chunks go to a lane than a batch is to have
		{8, 64 << 10, 3000, 1 << 20},
		{40, 1 << 20, 200, 1 << 20}, // batches are sealed for want of pages
		{40, 1 << 20, 9000, 2 << 20},
		{200, 1 << 20, 30, 4 << 20}, // chunks of many lanes need half of the memory
	} {
		t.Run(fmt.Sprintf("%d lanes, batch %d, memory %d", tt.lanes, tt.batch, tt.memory), func(t *testing.T) {
			t.Parallel()
			chunks := randomChunks(rand.New(rand.NewPCG(7, uint64(seed))), 80, tt.lanes, tt.maxRow)
			opt := Options{Lanes: tt.lanes, Memory: tt.memory, Batch: tt.batch, Nodes: 1, Streams: 2, Sorted: true, Origins: true}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			got, want := newContent(tt.lanes), newContent(tt.lanes)
			atOnce := throughLanes(ctx, t, New(opt), chunks, got)
			l := New(Options{Lanes: tt.lanes, Memory: 1 << 30, Batch: 1 << 30, Nodes: 1, Streams: 1, Sorted: true, Origins: true})
			for _, c := range chunks {
				if err := addRows(ctx, l, c); err != nil {
					t.Fatal(err)
				}
			}
			l.End()
			if err := drain(ctx, l, 1, want.keep); err != nil {
				t.Fatal(err)
			}
			for i := range want.rows[:tt.lanes] {
				if !slices.Equal(got.rows[i], want.rows[i]) {
					t.Errorf("lane %d: %d rows came out, %d went in, or others", i, len(got.rows[i]), len(want.rows[i]))
				}
				sameMarks(t, i, beginnings(chunks, i), got.marks[i])
			}
			if !slices.Equal(got.rows[tt.lanes], want.rows[tt.lanes]) {
				t.Errorf("%d rejected rows came out, %d went in, or others", len(got.rows[tt.lanes]), len(want.rows[tt.lanes]))
			}
			for _, wrong := range got.wrong {
				t.Error(wrong)
			}
			if atOnce == 0 || atOnce == len(chunks) && tt.batch == 2<<10 {
				t.Errorf("%d of %d chunks entered at once", atOnce, len(chunks))
			}
		})
	}
}

// throughLanes moves chunks through l by several decoders and streams, and returns how many
// entered at once.
func throughLanes(ctx context.Context, t *testing.T, l *Lanes, chunks []*testChunk, keep *content) (atOnce int) {
	t.Helper()
	defer l.Watch(ctx)()
	l.Begin()
	work := make(chan *testChunk)
	decoders, decoding := errgroup.WithContext(ctx)
	defer l.Watch(decoding)()
	var mu sync.Mutex
	for range 4 {
		decoders.Go(func() error {
			g := NewGroups(l)
			for c := range work {
				once, err := deliver(decoding, g, c)
				if err != nil {
					return err
				}
				if once {
					mu.Lock()
					atOnce++
					mu.Unlock()
				}
			}
			return nil
		})
	}
	var streams errgroup.Group
	streams.Go(func() error { return drain(ctx, l, 3, keep.keep) })
	for _, c := range chunks {
		work <- c
	}
	close(work)
	if err := decoders.Wait(); err != nil {
		t.Fatal(err)
	}
	l.End()
	if err := streams.Wait(); err != nil {
		t.Fatal(err)
	}
	if back := len(l.pool.free) + l.pool.unmade; back != l.pool.total {
		t.Errorf("%d of %d pages came back", back, l.pool.total)
	}
	return atOnce
}

// beginnings returns where the rows of a lane begin, those that are rejected in the first one.
func beginnings(chunks []*testChunk, lane int) (marks []ledger.Mark) {
	for n, c := range chunks {
		for i := range c.rows {
			if c.rows[i].lane == lane {
				marks = append(marks, ledger.Mark{Chunk: int64(n), Records: int64(i)})
			}
		}
	}
	return marks
}

// TestGroupsPassStoredRows holds that a chunk's rows are passed over for each lane that has them,
// and that one within which a mark stands is added row by row.
func TestGroupsPassStoredRows(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 9))
	chunks := randomChunks(r, 40, 4, 100)
	l := New(Options{Lanes: 4, Memory: 8 << 20, Batch: 1 << 20, Nodes: 1, Streams: 1, Sorted: true, Origins: true})
	within := slices.DeleteFunc(beginnings(chunks, 2), func(at ledger.Mark) bool { return at.Records == 0 })
	marks := []ledger.Lane{{Mark: ledger.Mark{}}, {Mark: ledger.Mark{Chunk: 20}}, {Mark: within[len(within)/2]}, {Mark: ledger.Mark{Chunk: 40}}}
	l.Resume(marks, false)
	got := newContent(4)
	for i := range marks {
		got.from[i] = marks[i].Mark
	}
	if atOnce := throughLanes(t.Context(), t, l, chunks, got); atOnce != len(chunks)-1 {
		t.Errorf("%d of %d chunks entered at once, want all but one", atOnce, len(chunks))
	}
	added := int64(0)
	for i := range marks {
		want := int64(0)
		for _, at := range beginnings(chunks, i) {
			if !at.Before(marks[i].Mark) {
				want++
			}
		}
		added += want
		stored := int64(0)
		for _, end := range got.marks[i] {
			stored += end.rows
		}
		if stored != want {
			t.Errorf("lane %d: %d rows came out, want %d", i, stored, want)
		}
	}
	if l.Front().Added() != added {
		t.Errorf("%d rows were added, want %d", l.Front().Added(), added)
	}
}

// TestMiscountedRowsAreNotStored holds that a batch with rows which are not as long as they were
// counted is never ready.
func TestMiscountedRowsAreNotStored(t *testing.T) {
	t.Parallel()
	for name, put := range map[string][]byte{"shorter": []byte("ro"), "longer": []byte("rows"), "much longer": make([]byte, 1<<20)} {
		l := New(Options{Lanes: 1, Memory: 8 << 20, Batch: 1 << 20, Nodes: 1, Streams: 1})
		g := NewGroups(l)
		g.Count(0, NotationBinary, 3, 0, nil)
		if err := g.Reserve(t.Context(), Origin{Line: 1}); err != nil {
			t.Fatal(err)
		}
		g.Put(0, NotationBinary, put, 0, nil, 0)
		if err := g.Copied(); !errors.Is(err, errMiscounted) {
			t.Errorf("%s: error %v", name, err)
		}
		l.End()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if b, err := l.Next(ended, 0); err == nil {
			t.Errorf("%s: a batch of %d rows", name, b.Rows)
		}
	}
}
