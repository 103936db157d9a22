package loader_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"shardload/internal/pgtest"
	"shardload/loader"
	"shardload/loader/failure"
)

// A webSite serves one object at all of its paths, and fails now and then.
type webSite struct {
	content atomic.Pointer[[]byte]
	etag    atomic.Pointer[string]
	ranges  bool
	fails   atomic.Bool
	asked   atomic.Int64
	breaks  func() // is called as the first answer is broken off
}

func newWebSite(t *testing.T, content []byte) (s *webSite, url string) {
	t.Helper()
	s = &webSite{ranges: true}
	s.set(content, `"one"`)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

func (s *webSite) set(content []byte, etag string) {
	s.content.Store(&content)
	s.etag.Store(&etag)
}

func (s *webSite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.asked.Add(1)
	if s.fails.Load() {
		switch n % 5 {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case 3:
			w = &brokenWriter{w, 1 + rand.IntN(300_000)}
		}
	}
	if n == 1 && s.breaks != nil {
		defer s.breaks()
		w = &brokenWriter{w, 2 << 20}
	}
	content := *s.content.Load()
	w.Header().Set("ETag", *s.etag.Load())
	if s.ranges {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content)
}

// A brokenWriter breaks the connection after so many bytes.
type brokenWriter struct {
	http.ResponseWriter
	left int
}

func (w *brokenWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p[:min(len(p), w.left)])
	if w.left -= n; w.left == 0 && err == nil {
		w.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// What lies at a URL is loaded as the same file is, however often the load is stopped, and the
// server fails: each row once.
func TestURL(t *testing.T) {
	t.Parallel()
	path, rows := flowFile(t, pgtest.Sized(4000, 12_000))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(data)
	_ = z.Close()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		type site struct {
			name    string
			content []byte
			ranges  bool
		}
		for _, test := range pgtest.Some(2, []site{
			{"plain", data, true},
			{"gzip without ranges", packed.Bytes(), false},
			{"gzip", packed.Bytes(), true},
			{"plain without ranges", data, false},
		}) {
			t.Run(test.name, func(t *testing.T) {
				exec(t, conn, "TRUNCATE flowing")
				s, url := newWebSite(t, test.content)
				s.ranges = test.ranges
				s.fails.Store(true)
				cfg := pieces(t, dsn)
				cfg.Job = ""
				in := func() loader.Input { return loader.URL(url+"/flow.csv?token=s3cr3t", nil) }
				err := context.Canceled
				runs := 0
				for ; errors.Is(err, context.Canceled); runs++ {
					_, err = run(t, cfg, in(), 1+rand.Int64N(pgtest.Sized[int64](30, 80)))
				}
				if err != nil || runs < 3 {
					t.Fatalf("after %d runs: %v", runs, err)
				}
				exec(t, conn, "DELETE FROM shardload_jobs WHERE name <> '"+url+"/flow.csv'")
				complete(t, conn, cfg, in(), rows)
				if got := query(t, conn, "SELECT j::text FROM shardload_jobs j")[0]; strings.Contains(got, "s3cr3t") {
					t.Errorf("the job has the secret: %s", got)
				}
			})
		}
	})
}

// An object that is another one than it was is refused: in the middle of a load, between two runs,
// and after it was loaded.
func TestChangedURL(t *testing.T) {
	t.Parallel()
	path, rows := flowFile(t, 12_000)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Clone(data)
	middle := len(other)/2 + bytes.IndexByte(other[len(other)/2:], ',') - 1
	other[middle]++ // of the same length
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		s, url := newWebSite(t, data)
		cfg := pieces(t, dsn)
		cfg.Job = ""
		in := func() loader.Input { return loader.URL(url, nil) }

		// In the middle: the server breaks off, and has another one then.
		s.breaks = func() {
			for query(t, conn, "SELECT count(*) FROM flowing")[0] == "0" {
				time.Sleep(time.Millisecond)
			}
			s.set(other, `"two"`)
		}
		_, err := run(t, cfg, in(), 0)
		if err == nil || !strings.Contains(err.Error(), "was changed while it was read") {
			t.Errorf("changed in the middle: %v", err)
		}
		s.breaks = nil

		// Between two runs.
		_, err = run(t, cfg, in(), 0)
		if _, ok := errors.AsType[*failure.ChangedInputError](err); !ok {
			t.Errorf("changed since then: %v", err)
		}
		// The old one again, by another tag.
		s.set(data, `"three"`)
		if _, err := run(t, cfg, in(), 0); err != nil {
			t.Fatal(err)
		}
		complete(t, conn, cfg, in(), rows)

		// Afterwards.
		s.set(other, `"two"`)
		_, err = run(t, cfg, in(), 0)
		if _, ok := errors.AsType[*failure.ChangedInputError](err); !ok {
			t.Errorf("changed after it was loaded: %v", err)
		}
		sameRows(t, conn, "flowing", rows)
	})
}

// Records that are rejected are read once more where they lie.
func TestRejectsOfURL(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		f := newFlow(0)
		var data []byte
		for f.rows < 20_000 {
			data = append(data, f.more()...)
			data = append(data, "bad\n"...)
		}
		_, url := newWebSite(t, append([]byte("id,tenant,name,n,at\n"), data...))
		cfg := pieces(t, dsn)
		cfg.Job, cfg.RejectsDir, cfg.MaxErrors = "", t.TempDir(), loader.ErrorLimit{Records: 100_000}
		res, err := run(t, cfg, loader.URL(url, nil), 0)
		if err != nil {
			t.Fatal(err)
		}
		sameRows(t, conn, "flowing", int(res.Rows))
		if want := bytes.Count(data, []byte("bad\n")); res.Rejected != int64(want) {
			t.Errorf("%d rejected, want %d", res.Rejected, want)
		}
	})
}
