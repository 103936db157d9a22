package loader

import (
	"errors"
	"io"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"shardload/internal/input"
	"shardload/internal/pgtest"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/lane"
	"shardload/schema"
)

// BenchmarkTurn says what of the client's work one goroutine at a time does, in a pipeline that
// is warm: no page is touched for the first time. turn is what a decoder does while it is its turn, next the
// cutting of the input into chunks, which goes on beside that; each in nanoseconds of a CPU a
// row. serial is the share of turn in all of it, in percent, and ceiling how many rows a second
// the slower of the two lets through, however many CPUs decode.
func BenchmarkTurn(b *testing.B) {
	ads := adsTable(b)
	path, rows := adsFile(b, ads), ads.Rows()
	dsn := pgtest.Plain(b)
	s := &benchServer{conn: pgtest.Connect(b, dsn)}
	s.run(b, schema.Lookup("ads").CreateSQL())
	s.run(b, schema.Lookup("ads").PrimaryKeySQL())
	l := openAds(b, dsn, 0, RouteAuto)
	pages := make([][]byte, l.cfg.Memory/lane.MaxPage/2)
	for i := range pages {
		pages[i] = make([]byte, lane.MaxPage)
		clear(pages[i])
		pages[i] = pages[i][:0]
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var spent stages
	for b.Loop() {
		ld, first := setUp(b, l, path, RouteCoordinator, 1)
		opt := ld.Lanes.Options
		ld.Lanes = lane.NewOn(opt, pages)
		ld.Lanes.Begin()
		g, ctx := errgroup.WithContext(b.Context())
		g.Go(func() error { return swallow(ctx, ld.Lanes, false) })
		if err := errors.Join(spent.takeAll(b, ld, first), g.Wait()); err != nil {
			b.Fatal(err)
		}
	}
	all := time.Duration(0)
	for i, name := range []string{"next", "decode", "group", "turn", "copy"} {
		all += spent[i]
		b.ReportMetric(float64(spent[i].Nanoseconds())/float64(rows)/float64(b.N), name+"-ns/row")
	}
	b.ReportMetric(100*spent[turning].Seconds()/all.Seconds(), "serial-%")
	b.ReportMetric(float64(rows)*float64(b.N)/max(spent[turning], spent[reading]).Seconds(), "ceiling-rows/s")
	b.ReportMetric(0, "ns/op")
	closeLoader(b, l)
}

// stages are what the steps of the client's work take of a CPU.
type stages [5]time.Duration

const (
	reading = iota
	decoding
	grouping
	turning
	copying
)

// takeAll takes all chunks through one decoder.
func (s *stages) takeAll(b *testing.B, ld *load, first *input.Chunk) error {
	d := decode.New(ld.Layout, nil, ld.Input)
	d.Sums = true
	to := d.To(ld.Lanes)
	at := threadCPU(b)
	lap := func(stage int) {
		now := threadCPU(b)
		s[stage] += now - at
		at = now
	}
	for c := first; ; {
		err := d.Decode(b.Context(), c)
		lap(decoding)
		err = errors.Join(err, to.Group(c))
		lap(grouping)
		err = errors.Join(err, to.Deliver(b.Context(), c))
		lap(turning)
		err = errors.Join(err, to.Copy(c))
		lap(copying)
		if err != nil {
			return err
		}
		next, err := ld.feed.Next(b.Context(), c.Data)
		lap(reading)
		if errors.Is(err, io.EOF) {
			ld.Lanes.End()
			return ld.feed.Close()
		}
		if err != nil {
			return err
		}
		c = next
	}
}

// threadCPU returns the time that this thread spent on a CPU.
func threadCPU(b *testing.B) time.Duration {
	b.Helper()
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &at); err != nil {
		b.Fatal(err)
	}
	return time.Duration(at.Nano())
}
