package loader_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestChangedStream holds that a stopped load of an input that can only be read from its
// beginning goes on if it is the same, and is refused if what is stored was changed.
func TestChangedStream(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := makeFlowing(t, dsn)
	path, rows := flowFile(t, 6000)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Clone(data)
	other[bytes.IndexByte(other[2000:], 'x')+2000] = 'y'
	packed := filepath.Join(t.TempDir(), "flow.csv.gz")
	for name, in := range map[string]func([]byte) loader.Input{
		"compressed": func(data []byte) loader.Input {
			var b bytes.Buffer
			w := gzip.NewWriter(&b)
			_, err := w.Write(data)
			if err := errors.Join(err, w.Close()); err != nil {
				t.Fatal(err)
			}
			overwrite(t, packed, b.Bytes(), 0)
			return loader.File(packed)
		},
		"piped": func(data []byte) loader.Input { return loader.Reader("-", bytes.NewReader(data)) },
	} {
		t.Run(name, func(t *testing.T) {
			exec(t, conn, "TRUNCATE flowing")
			cfg := pieces(t, dsn)
			cfg.Job = name
			if _, err := run(t, cfg, in(data), 20); !errors.Is(err, context.Canceled) {
				t.Fatalf("the load was to be stopped: %v", err)
			}
			_, err := run(t, cfg, in(other), 0)
			isChanged(t, "changed", err, loader.ChangedBegun)
			if _, err := run(t, cfg, in(data[:1500]), 0); err == nil {
				t.Error("cut off: no error")
			}
			if _, err := run(t, cfg, in(data), 0); err != nil {
				t.Fatal(err)
			}
			sameRows(t, conn, "flowing", rows)
			if _, err := run(t, cfg, in(other), 0); err == nil {
				t.Error("changed when it was complete: no error")
			}
		})
	}
}

// A meddler changes a file as soon as a load locks its next job, after it has read the
// first chunk.
type meddler struct {
	change atomic.Pointer[func() error]
	t      *testing.T
}

func (m *meddler) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	return &meddled{conn, m}, err
}

// A meddled is a connection of the load.
type meddled struct {
	net.Conn
	by *meddler
}

func (c *meddled) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("pg_try_advisory_xact_lock")) {
		if f := c.by.change.Swap(nil); f != nil {
			if err := (*f)(); err != nil {
				c.by.t.Error(err)
			}
		}
	}
	return c.Conn.Write(b)
}

// appendTo lets the file at path be longer.
func appendTo(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// replaceIn writes over a byte of the first record, which is read to find the header.
func replaceIn(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("y"), 60)
	return errors.Join(err, f.Close())
}

// TestChangedMeanwhile holds that a file which is changed, appended to or cut off while
// it is loaded is not called complete.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := makeFlowing(t, dsn)
	path, rows := flowFile(t, 10_000)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changes := map[string]func() error{
		"changed":     func() error { return replaceIn(path) },
		"appended to": func() error { return appendTo(path, lastRecord(data, rows)) },
		"cut off":     func() error { return os.Truncate(path, int64(bytes.LastIndexByte(data[:len(data)/2], '\n')+1)) },
	}
	for name, memory := range map[string]int64{"whole": 0, "pieces": 8 << 20} {
		cfg := loader.Config{Conn: parse(t, dsn), Table: "flowing", Memory: memory, MaxRecord: 1 << 20, Job: name}
		m := &meddler{t: t}
		cfg.Conn.DialFunc = m.dial
		for how, change := range changes {
			overwrite(t, path, data, time.Hour)
			exec(t, conn, "TRUNCATE flowing")
			l := open(t, cfg)
			m.change.Store(&change)
			_, err = l.Load(t.Context(), loader.File(path))
			if err == nil || !strings.Contains(err.Error(), "changed while it was ") {
				t.Errorf("%s, %s: error %v", name, how, err)
			}
			if got := query(t, conn, "SELECT count(*) FROM shardload_jobs WHERE finished IS NOT NULL"); got[0] != "0" {
				t.Errorf("%s, %s: %s complete jobs", name, how, got[0])
			}
			exec(t, conn, "DELETE FROM shardload_jobs")
		}
		exec(t, conn, "TRUNCATE flowing")
		overwrite(t, path, data, time.Hour)
		touch := func() error { overwrite(t, path, data, time.Minute); return nil }
		l := open(t, cfg)
		m.change.Store(&touch)
		if _, err = l.Load(t.Context(), loader.File(path)); err != nil {
			t.Errorf("%s: written once more, the same: %v", name, err)
		}
		sameRows(t, conn, "flowing", rows)
		exec(t, conn, "DELETE FROM shardload_jobs")
	}
}
