package loader_test

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestInputChangesMeanwhile holds that a file which grows or shrinks while it is read is
// no complete input.
func TestInputChangesMeanwhile(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	makeFlowing(t, dsn)
	for name, change := range map[string]func(f *os.File, size int64) error{
		"grows": func(f *os.File, size int64) error {
			_, err := f.WriteAt([]byte("9,9,more,9,2020-01-01\n"), size)
			return err
		},
		"shrinks": func(f *os.File, size int64) error { return f.Truncate(size - 300) },
	} {
		t.Run(name, func(t *testing.T) {
			path, _ := flowFile(t, 40_000)
			cfg := pieces(t, dsn)
			cfg.Job = name
			var once sync.Once
			cfg.Observe = func(loader.StoredBatch) {
				once.Do(func() {
					f, err := os.OpenFile(path, os.O_RDWR, 0)
					if err != nil {
						t.Error(err)
						return
					}
					defer f.Close()
					if err := change(f, int64(len(read(t, path)))); err != nil {
						t.Error(err)
					}
				})
			}
			_, err := open(t, cfg).Load(context.Background(), loader.File(path))
			if err == nil || !strings.Contains(err.Error(), "changed while it was read") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestTwoAtOnce holds that a second process is refused while one works on a job.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		r := start(t, pieces(t, dsn), newFlow(0))
		_, err := open(t, pieces(t, dsn)).Load(context.Background(), loader.Reader("flow", strings.NewReader("id,tenant,name,n,at\n1,1,a,1,2024-01-01\n")))
		if err == nil || !strings.Contains(err.Error(), "another process is loading this input") {
			t.Errorf("error %v", err)
		}
		if _, err := r.finish(); err != nil {
			t.Fatal(err)
		}
		sameRows(t, conn, "flowing", r.flow.rows)
	})
}

// TestBounds holds that inputs out of all proportion are clear errors, and that little
// memory is taken before they are.
func TestBounds(t *testing.T) {
	dsn := pgtest.Plain(t)
	exec(t, pgtest.Connect(t, dsn), "CREATE TABLE wide (id int, what text)")
	dir := t.TempDir()
	fields := strings.Repeat("1,", 9_999) + "1\n"
	for _, tt := range []struct {
		name string
		in   loader.Input
		want string
	}{
		{"a field of 200 MiB", loader.Reader("in", io.MultiReader(strings.NewReader("id,what\n1,\""), io.LimitReader(endlessLine{}, 200<<20), strings.NewReader("\"\n"))), "in:2: the record is longer than Config.MaxRecord"},
		{"a line without end", loader.Reader("in", endlessLine{}), "in:1: the record is longer than Config.MaxRecord"},
		{"10,000 fields", loader.Reader("in", strings.NewReader("id,what\n"+fields)), "in:2: 10,000 fields, want 2"},
		{"a header of 10,000 columns", loader.Reader("in", strings.NewReader("id,"+fields)), "and 9997 more unknown columns"},
		{"NUL bytes", loader.Reader("in", strings.NewReader("id,what\n1,a\x00b\n")), "in:2: "},
		{"a directory", loader.File(dir), dir + ": is a directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			l := open(t, loader.Config{Conn: parse(t, dsn), Table: "wide"})
			runtime.ReadMemStats(&before)
			_, err := l.Load(context.Background(), tt.in)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 1000 {
				t.Errorf("error %.1000v\nwant  %s", err, tt.want)
			}
			// A record is given up at 16 MiB, in a buffer that has grown by doubling.
			if took := after.TotalAlloc - before.TotalAlloc; took > 80<<20 {
				t.Errorf("%d MiB were allocated", took>>20)
			}
		})
	}
}

// An endlessLine has neither a line break nor an end.
type endlessLine struct{}

func (endlessLine) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// TestBadRecordsAlone holds that an input of bad records alone, all of which are allowed,
// is kept aside in bounded memory, and that one of which few are allowed is given up
// early. The long form is of a million records, and of fewer where the server refuses
// each by itself, which takes it half a millisecond.
func TestBadRecordsAlone(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, tested)
	most := sized(pgtest.Sized(1000, 4000), 100_000)
	for _, tt := range []struct {
		name, record string
		records      int
	}{
		{"no record", "x,1,a\n", sized(20_000, 1_000_000)},
		{"wrong type", "x,1,a,1,\n", most},
		{"wrong key", "1,x,a,1,\n", most},
		{"refused", "1,1,a,13,\n", most},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := writeInput(t, []byte("id,tenant,name,n,at\n"+strings.Repeat(tt.record, tt.records)))
			cfg := loader.Config{Conn: parse(t, dsn), Table: "tested", Memory: 16 << 20, MaxRecord: 1 << 20, MaxErrors: loader.ErrorLimit{Records: 10}, RejectsDir: t.TempDir()}
			res, err := open(t, cfg).Load(context.Background(), loader.File(path))
			if many, ok := errors.AsType[*loader.TooManyError](err); !ok || many.Rejected > 20 || res.Bytes > 8<<20 {
				t.Errorf("10 allowed: %d bytes read, error %v", res.Bytes, err)
			}
			cfg.MaxErrors = loader.ErrorLimit{Percent: 100}
			began := time.Now()
			peak := peakHeap(func() { res, err = open(t, cfg).Load(context.Background(), loader.File(path)) })
			t.Logf("%d rejected in %s with %d MiB", res.Rejected, time.Since(began).Round(time.Millisecond), peak>>20)
			if err != nil || res.Rejected != int64(tt.records) || res.Rows != 0 {
				t.Errorf("all allowed: %d rejected, %d rows, error %v", res.Rejected, res.Rows, err)
			}
			// The reasons of a chunk's 170,000 records at worst, for each decoder, and 16 bytes
			// for each rejected record when the file to mend is written.
			if peak > 250<<20 {
				t.Errorf("%d MiB were in use", peak>>20)
			}
		})
	}
}

// peakHeap returns how much memory objects took at most, those that are garbage
// included, while fn ran.
func peakHeap(fn func()) (most uint64) {
	runtime.GC()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	for {
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		most = max(most, now.HeapAlloc)
		select {
		case <-done:
			return most
		case <-time.After(20 * time.Millisecond):
		}
	}
}
