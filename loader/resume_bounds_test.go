package loader_test

import (
	"context"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestInputChangesMeanwhile holds that a file which grows or shrinks while it is read is
// no complete input.
func TestInputChangesMeanwhile(t *testing.T) {
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
	dsn := pgtest.Plain(t)
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
		{"a field of 200 MiB", loader.Reader("in", io.MultiReader(strings.NewReader("id,what\n1,\""), io.LimitReader(endlessLine{}, 200<<20), strings.NewReader("\"\n"))), "in:2: the record is longer than --max-record"},
		{"a line without end", loader.Reader("in", endlessLine{}), "in:1: the record is longer than --max-record"},
		{"10,000 fields", loader.Reader("in", strings.NewReader("id,what\n"+fields)), "in:2: 10000 fields, want 2"},
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
