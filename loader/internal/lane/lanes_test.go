package lane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"shardload/internal/ledger"
)

// drain runs streams that keep what they get, until the lanes end.
func drain(ctx context.Context, l *Lanes, streams int, keep func(*Batch)) error {
	g, ctx := errgroup.WithContext(ctx)
	for range streams {
		g.Go(func() error {
			for {
				b, err := l.Next(ctx, 0)
				if err != nil || b == nil {
					return err
				}
				keep(b)
				l.Done(b)
			}
		})
	}
	return g.Wait()
}

// TestLanesKeepOrder sends rows of random sizes and formats through few pages, and
// holds that each lane's rows come out whole, once, and in their order, that each
// batch's mark stands behind its last row and before the next, and that never two
// batches of a lane are in flight.
func TestLanesKeepOrder(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		lanes, streams, rows, maxRow, batch int
		memory                              int64
	}{
		{1, 1, 2000, 100, 1 << 10, 64 << 10},
		{16, 3, 20000, 300, 16 << 10, 1 << 20},
		{64, 4, 20000, 5000, 1 << 20, 2 << 20}, // batches are sealed for want of pages
		{200, 2, 5000, 20, 1 << 20, 2 << 20},
	} {
		t.Run(fmt.Sprintf("%d lanes, %d streams", tt.lanes, tt.streams), func(t *testing.T) {
			l := New(Options{Lanes: tt.lanes, Memory: tt.memory, Batch: tt.batch, Nodes: 1, Streams: tt.streams})
			pages := l.pool.unmade
			var mu sync.Mutex
			got := make([]bytes.Buffer, tt.lanes)
			flying := make([]bool, tt.lanes)
			ends := make([][]end, tt.lanes)
			keep := func(b *Batch) {
				mu.Lock()
				twice := flying[b.Lane]
				flying[b.Lane] = true
				ends[b.Lane] = append(ends[b.Lane], end{b.Rows, b.To})
				mu.Unlock()
				if twice {
					t.Error("two batches of a lane are in flight")
				}
				for i := range b.Sections {
					got[b.Lane].Write(b.Sections[i].Data.Bytes())
				}
				mu.Lock()
				flying[b.Lane] = false
				mu.Unlock()
			}
			done := make(chan error, 1)
			go func() { done <- drain(context.Background(), l, tt.streams, keep) }()
			r := rand.New(rand.NewPCG(1, 2))
			want := make([]bytes.Buffer, tt.lanes)
			rows := make([][]ledger.Mark, tt.lanes) // where each of them begins
			for line := range tt.rows {
				i := r.IntN(tt.lanes)
				rows[i] = append(rows[i], ledger.Mark{Chunk: int64(line / 50), Records: int64(line % 50)})
				row := bytes.Repeat([]byte{byte('a' + line%26)}, r.IntN(tt.maxRow))
				as := Notation(r.IntN(20) / 19)
				if err := l.Add(context.Background(), i, as, row, &Origin{Line: int64(line)}, 0); err != nil {
					t.Fatal(err)
				}
				want[i].Write(row)
				if as == NotationRecord {
					want[i].WriteByte('\n')
				}
				if line%50 == 49 {
					l.Finish(ledger.Place{})
				}
			}
			l.End()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if !bytes.Equal(want[i].Bytes(), got[i].Bytes()) {
					t.Errorf("lane %d: %d bytes went in, others (%d) came out", i, want[i].Len(), got[i].Len())
				}
				sameMarks(t, i, rows[i], ends[i])
			}
			if back := len(l.pool.free) + l.pool.unmade; back != pages {
				t.Errorf("%d of %d pages came back", back, pages)
			}
		})
	}
}

// An end is how many rows a batch has, and up to where it moves its lane's mark.
type end struct {
	rows int64
	to   ledger.Mark
}

// sameMarks holds that the mark of each of a lane's batches is behind the rows that
// are stored with it, and not behind the next one.
func sameMarks(t *testing.T, lane int, rows []ledger.Mark, ends []end) {
	t.Helper()
	stored := int64(0)
	for _, e := range ends {
		stored += e.rows
		if last := rows[stored-1]; !last.Before(e.to) {
			t.Errorf("lane %d: the mark %v is before row %v, which is stored", lane, e.to, last)
		}
		if stored < int64(len(rows)) && rows[stored].Before(e.to) {
			t.Errorf("lane %d: the mark %v is behind row %v, which is not stored", lane, e.to, rows[stored])
		}
	}
}

// TestLanesWait holds that a full memory makes the decoder wait, that the end of
// the context frees it, and that it goes on when a batch is done.
func TestLanesWait(t *testing.T) {
	t.Parallel()
	row := make([]byte, 1000)
	l := New(Options{Lanes: 2, Memory: 1 << 20, Batch: 4 << 20, Nodes: 1, Streams: 1})
	ctx, cancel := context.WithCancelCause(context.Background())
	defer l.Watch(ctx)()
	stopped := errors.New("stopped")
	filled := make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			if err := l.Add(ctx, i%2, NotationRecord, row, &Origin{Line: int64(i)}, 0); err != nil {
				filled <- err
				return
			}
		}
	}()
	b, err := l.Next(ctx, 0) // sealed for want of pages, below the batch's size
	if err != nil || b.Bytes >= 4<<20 {
		t.Fatalf("batch of %d bytes, %v", b.Bytes, err)
	}
	l.Done(b)
	if _, err = l.Next(ctx, 0); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-filled:
		t.Fatalf("the decoder did not wait: %v", err)
	case <-time.After(10 * time.Millisecond):
	}
	cancel(stopped)
	if err := <-filled; !errors.Is(err, stopped) {
		t.Errorf("error %v", err)
	}
	if _, err := l.Next(ctx, 0); err != nil && !errors.Is(err, stopped) {
		t.Errorf("error %v", err)
	}
}

// TestHotLane holds that a lane which gets nearly all rows, and of which a batch is in
// flight, does not keep the other streams from the rows of other lanes.
func TestHotLane(t *testing.T) {
	t.Parallel()
	l := New(Options{Lanes: 8, Memory: 4 << 20, Batch: 256 << 10, Nodes: 1, Streams: 2})
	l.Begin()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	defer l.Watch(ctx)()
	row := make([]byte, 1000)
	added := make(chan error, 1)
	go func() {
		for i := range 100_000 {
			lane := 0
			if i%20 == 19 {
				lane = 1 + i/20%7
			}
			if err := l.Add(ctx, lane, NotationRecord, row, &Origin{Line: int64(i)}, 0); err != nil {
				added <- err
				return
			}
		}
		l.End()
		added <- nil
	}()
	var hot *Batch
	others := 0
	for { // the stream that has a batch of the hot lane does not come back
		b, err := l.Next(ctx, 0)
		if err != nil {
			t.Fatalf("%d batches of other lanes; the other stream gets no more: %v", others, err)
		}
		if b.Lane == 0 {
			hot = b
			continue
		}
		l.Done(b)
		if others++; others == 10 {
			break
		}
	}
	if hot == nil {
		t.Error("no batch of the hot lane")
	} else {
		l.Done(hot)
	}
	if err := drain(ctx, l, 2, func(*Batch) {}); err != nil {
		t.Error(err)
	}
	if err := <-added; err != nil {
		t.Error(err)
	}
}

// TestLanesTooSmall holds that a row that cannot fit is an error, not a wait for
// ever.
func TestLanesTooSmall(t *testing.T) {
	t.Parallel()
	l := New(Options{Lanes: 1, Memory: 64 << 10, Batch: 4 << 20, Nodes: 1, Streams: 1})
	if err := l.Add(context.Background(), 0, NotationRecord, make([]byte, 80<<10), &Origin{Line: 1}, 0); !errors.Is(err, errNoPages) {
		t.Errorf("error %v", err)
	}
}

func BenchmarkLanes(b *testing.B) {
	l := New(Options{Lanes: 32, Memory: 256 << 20, Batch: 4 << 20, Nodes: 1, Streams: 1})
	done := make(chan error, 1)
	go func() { done <- drain(context.Background(), l, 1, func(*Batch) {}) }()
	row := make([]byte, 170)
	b.SetBytes(int64(len(row)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := l.Add(context.Background(), i%32, NotationBinary, row, &Origin{Line: int64(i)}, 0); err != nil {
			b.Fatal(err)
		}
	}
	l.End()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
