package loader

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sync/errgroup"

	"shardload/internal/pgtest"
	"shardload/schema"
)

// setUp makes a load of the file, as Load does, up to where its first chunk is to
// be decoded. The lanes stop the decoders when every stream has that many batches
// to go on with.
func setUp(b *testing.B, l *Loader, path string, route Route, ahead int) (ld *load, first *chunk) {
	b.Helper()
	ctx := b.Context()
	ld = &load{l: l, name: path, log: l.cfg.Log, begin: l.session.begin(), counts: &counts{}}
	var err error
	if ld.feed, err = File(path).open(ctx, l.cfg.MaxRecord); err != nil {
		b.Fatal(err)
	}
	if first, err = l.first(ctx, ld, Input{}); err != nil {
		b.Fatal(err)
	}
	ld.lanes = newLanes(ld.lay.router.lanes, l.cfg.Memory, l.cfg.Batch, len(l.nodes), ahead)
	ld.lanes.sorted = len(ld.lay.sortBy) > 0
	if ld.dispatch, err = l.newDispatch(ctx, ld, route); err != nil {
		b.Fatal(err)
	}
	ld.lanes.begin()
	return ld, first
}

// decodeAll takes all chunks through one decoder.
func decodeAll(ctx context.Context, ld *load, first *chunk, deliver bool) error {
	d := newDecoder(ld.lay, nil, ld.name)
	for c := first; ; {
		if err := d.decode(ctx, c); err != nil {
			return err
		}
		if deliver {
			if err := d.deliver(ctx, c, ld.lanes); err != nil {
				return err
			}
		}
		next, err := ld.feed.next(ctx, c.data)
		if errors.Is(err, io.EOF) {
			ld.lanes.end()
			return ld.feed.close()
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
		if err := l.runStreams(b.Context(), ld); err != nil {
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
				g.Go(func() error { return swallow(ctx, ld.lanes, stage.read) })
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
func swallow(ctx context.Context, l *lanes, read bool) error {
	var s sorter
	buf := make([]byte, maxPage)
	for {
		batch, err := l.next(ctx, 0)
		if err != nil || batch == nil {
			return err
		}
		for i := range batch.parts {
			if p := &batch.parts[i]; read {
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, newPartReader(p, s.sort(p)), buf); err != nil {
					return err
				}
			}
		}
		l.done(batch)
	}
}
