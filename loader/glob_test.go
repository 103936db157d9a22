package loader_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestGlob holds that files are known by the same names, however a set names them.
func TestGlob(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		paths, rows := flowFiles(t, 10, 2_000)
		dir := filepath.Dir(paths[0])
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(dir, link); err != nil {
			t.Fatal(err)
		}
		cfg := pieces(t, dsn)
		cfg.Job = ""
		half, err := loader.Files(paths[:4]...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := run(t, cfg, half, 0); err != nil {
			t.Fatal(err)
		}
		for i, named := range [][]string{{dir}, {dir + "/*"}, {link + "/**/*.csv*"}, {dir + "/*.csv", dir + "/*.gz", paths[0]}, slices.Concat(paths, paths)} {
			in, err := loader.Glob(named...)
			if err != nil {
				t.Fatal(err)
			}
			res, err := run(t, cfg, in, 0)
			if done, complete := errors.AsType[*loader.CompleteError](err); complete == (i == 0) || complete && done.Parts != len(paths) {
				t.Errorf("%v: %v", named, err)
			}
			if i == 0 && (res.Parts == nil || res.Parts.All != len(paths) || res.Parts.Before != 4) {
				t.Errorf("%v: %+v", named, res.Parts)
			}
			sameRows(t, conn, "flowing", rows)
		}
	})
}

// TestGlobSingle holds that what is one input is loaded as one, and that names of nothing are errors.
func TestGlobSingle(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a[1].csv")
	if err := os.WriteFile(path, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for named, want := range map[string]string{path: path, dir: dir, dir + "/*": dir, "https://u:p@h/x.csv?token=1": "https://h/x.csv", "s3://bucket/a/": "s3://bucket/a/", "s3://bucket/a": "s3://bucket/a", "s3://bucket/a/**/b.csv": "s3://bucket/a/"} {
		in, err := loader.Glob(named)
		if err != nil || in.Name() != want {
			t.Errorf("%s: %s, %v; want %s", named, in.Name(), err, want)
		}
	}
	for _, named := range [][]string{{}, {dir, "https://h/x.csv"}, {filepath.Join(dir, "none.csv"), dir}, {"[.csv"}} {
		if in, err := loader.Glob(named...); err == nil {
			t.Errorf("%v: %s", named, in.Name())
		}
	}
}

// TestURLsChanged holds that of objects that are a set one that was changed is named, and the others
// are loaded.
func TestURLsChanged(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := makeFlowing(t, dsn)
	tags := map[string]string{"/in/a.csv": `"1"`, "/in/b.csv": `"1"`}
	bodies := map[string]string{}
	f := newFlow(0)
	for _, name := range []string{"/in/a.csv", "/in/b.csv", "/in/c.csv"} {
		bodies[name] = "id,tenant,name,n,at\n" + string(f.more())
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", tags[r.URL.Path])
		http.ServeContent(w, r, "", time.Unix(1_700_000_000, 0), strings.NewReader(bodies[r.URL.Path]))
	}))
	t.Cleanup(server.Close)
	cfg := pieces(t, dsn)
	cfg.Job = ""
	urls := func(names ...string) loader.Input {
		for i, name := range names {
			names[i] = server.URL + name
		}
		in, err := loader.URLs(nil, names...)
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	if _, err := run(t, cfg, urls("/in/a.csv", "/in/b.csv"), 0); err != nil {
		t.Fatal(err)
	}
	tags["/in/b.csv"] = `"2"`
	tags["/in/c.csv"] = `"1"`
	_, err := run(t, cfg, urls("/in/a.csv", "/in/b.csv", "/in/c.csv"), 0)
	of, ok := errors.AsType[*loader.SetError](err)
	if !ok || len(of.Failed) != 1 || !strings.HasSuffix(of.Failed[0].Part, "/in/b.csv") {
		t.Errorf("with another ETag: %v", err)
	}
	sameRows(t, conn, "flowing", f.rows)
}

// TestProgressOfSet holds that progress is of all parts, and tells what was loaded before from the rest.
func TestProgressOfSet(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := makeFlowing(t, dsn)
	paths, rows := flowFiles(t, 10, 4_000)
	cfg := pieces(t, dsn)
	cfg.Job = ""
	first, err := loader.Files(paths[:6]...)
	if err != nil {
		t.Fatal(err)
	}
	done, err := run(t, cfg, first, 0)
	if err != nil {
		t.Fatal(err)
	}
	var before, total int64
	for i, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if total += info.Size(); i < 6 {
			before += info.Size()
		}
	}
	var l *loader.Loader
	var mu sync.Mutex
	var seen []loader.Progress
	cfg.Observe = func(loader.StoredBatch) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, l.Progress())
	}
	if l, err = loader.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	all, err := loader.Glob(filepath.Dir(paths[0]))
	if err != nil {
		t.Fatal(err)
	}
	res, err := l.Load(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range seen {
		if p.BytesTotal != total || p.BytesPassed < before || p.BytesRead < p.BytesPassed || p.BytesRead > total || p.Before != done.Rows || p.Rows < p.Before || p.Rows > int64(rows) {
			t.Errorf("%d bytes, %d before, %d rows before: %+v", total, before, done.Rows, p)
		}
	}
	if n := len(seen); n == 0 || seen[n-1].BytesRead <= before {
		t.Errorf("%d looks", n)
	}
	if sum := res.Times.Opening + res.Times.Copying + res.Times.Ending; res.Times.Opening <= 0 || res.Times.Copying <= 0 || sum > res.Elapsed+time.Second {
		t.Errorf("%+v of %v", res.Times, res.Elapsed)
	}
	sameRows(t, conn, "flowing", rows)
}
