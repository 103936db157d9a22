package loader

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sync/errgroup"

	"shardload/internal/input"
	"shardload/internal/pgtest"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/job"
	"shardload/loader/internal/lane"
	"shardload/loader/internal/route"
	"shardload/loader/internal/store"
	"shardload/schema"
)

// setUp makes a load of the file, as Load does, up to where its first chunk is to
// be decoded. The lanes stop the decoders when every stream has that many batches
// to go on with.
func setUp(b *testing.B, l *Loader, path string, by Route, ahead int) (ld *load, first *input.Chunk) {
	b.Helper()
	ctx := b.Context()
	ld = l.newLoad(Input{name: path}, &store.Counts{})
	var err error
	if ld.feed, err = File(path).open(ctx, l.cfg.reading()); err != nil {
		b.Fatal(err)
	}
	if first, err = ld.first(ctx, Input{}); err != nil {
		b.Fatal(err)
	}
	ld.Lanes = lane.New(lane.Options{
		Lanes: ld.Layout.Router.Lanes, Memory: l.cfg.Memory, Batch: l.cfg.Batch, Nodes: l.nodes.Len(), Streams: ahead, Sorted: len(ld.Layout.SortBy) > 0,
	})
	ld.Job = job.None(nil)
	if ld.Dispatch, err = route.NewDispatch(ctx, l.target, l.nodes, route.Options{Columns: ld.Layout.Columns, Lanes: ld.Lanes, Job: ld.Job, Way: by.way()}); err != nil {
		b.Fatal(err)
	}
	ld.Lanes.Begin()
	return ld, first
}

// decodeAll takes all chunks through one decoder.
func decodeAll(ctx context.Context, ld *load, first *input.Chunk, deliver bool) error {
	d := decode.New(ld.Layout, nil, ld.Input)
	d.Sums = true
	to := d.To(ld.Lanes)
	for c := first; ; {
		if err := d.Decode(ctx, c); err != nil {
			return err
		}
		if deliver {
			if err := errors.Join(to.Group(c), to.Deliver(ctx, c), to.Copy(c)); err != nil {
				return err
			}
		}
		next, err := ld.feed.Next(ctx, c.Data)
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

// wireLimit returns a load by the streams alone: all batches are ready.
func wireLimit(b *testing.B, dsn, path string, route Route) func(*testing.B) {
	b.Helper()
	l := openAds(b, dsn, 4<<30, route)
	ld, first := setUp(b, l, path, route, 1<<20) // never far enough ahead
	if err := decodeAll(b.Context(), ld, first, true); err != nil {
		b.Fatal(err)
	}
	return func(b *testing.B) {
		if err := ld.runStreams(b.Context()); err != nil {
			b.Fatal(err)
		}
		closeLoader(b, l)
	}
}

// BenchmarkClient is what the client costs without a server: decoding alone, with
// the way through the lanes, and with the reading of batches in sorted order.
func BenchmarkClient(b *testing.B) {
	ads := adsTable(b)
	path, rows := adsFile(b, ads), ads.Rows()
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	dsn := pgtest.Plain(b)
	s := &benchServer{conn: pgtest.Connect(b, dsn)}
	s.run(b, schema.Lookup("ads").CreateSQL())
	s.run(b, schema.Lookup("ads").PrimaryKeySQL())
	l := openAds(b, dsn, 0, RouteAuto)
	for _, stage := range []struct {
		name          string
		deliver, read bool
	}{{"decode", false, false}, {"lanes", true, false}, {"read", true, true}} {
		b.Run("to="+stage.name, func(b *testing.B) {
			b.SetBytes(info.Size())
			b.ReportAllocs()
			for b.Loop() {
				ld, first := setUp(b, l, path, RouteCoordinator, 1)
				g, ctx := errgroup.WithContext(b.Context())
				g.Go(func() error { return swallow(ctx, ld.Lanes, stage.read) })
				if err := errors.Join(decodeAll(ctx, ld, first, stage.deliver), g.Wait()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
	closeLoader(b, l)
}

// swallow is a stream without a server.
func swallow(ctx context.Context, l *lane.Lanes, read bool) error {
	var s lane.Sorter
	buf := make([]byte, lane.MaxPage)
	for {
		batch, err := l.Next(ctx, 0)
		if err != nil || batch == nil {
			return err
		}
		for i := range batch.Sections {
			if p := &batch.Sections[i]; read {
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, lane.NewReader(p, s.Sort(p)), buf); err != nil {
					return err
				}
			}
		}
		l.Done(batch)
	}
}
