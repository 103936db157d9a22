package loader_test

import (
	"context"
	"os"
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
