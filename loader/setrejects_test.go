package loader_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// badFiles writes so many files, each with good records, and bad ones of several kinds, and returns their paths, the
// number of good records, and the bad ones as "file:line record", in their order.
func badFiles(t *testing.T, files int) (paths []string, good int, bad []string) {
	t.Helper()
	dir := t.TempDir()
	for f := range files {
		path := filepath.Join(dir, fmt.Sprintf("part.%03d.csv", f))
		var b strings.Builder
		b.WriteString("id,tenant,name,n,at\n")
		for i := range 120 {
			id := f*1000 + i
			record := fmt.Sprintf("%d,%d,x,%d,2024-01-02 03:04:05", id, id%37, id+100)
			switch i % 40 {
			case 7:
				record = fmt.Sprintf("%d,%d,x,many,", id, id%37)
			case 15:
				record = fmt.Sprintf("%d,%d,x,13,", id, id%37)
			case 23:
				record = fmt.Sprintf("%d,%d,x", id, id%37)
			case 31:
				record = fmt.Sprintf("%d,%d,\xff,1,", id, id%37)
			default:
				good++
				b.WriteString(record + "\n")
				continue
			}
			bad = append(bad, fmt.Sprintf("%s:%d %s", path, i+2, record))
			b.WriteString(record + "\n")
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths, good, bad
}

// listed returns the records of lists of rejected ones, as badFiles does.
func listed(t *testing.T, lists ...string) (got []string) {
	t.Helper()
	for _, path := range lists {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			var r rejectLine
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			got = append(got, fmt.Sprintf("%s:%d %s", r.Input, r.Line, r.bytes()))
		}
	}
	return got
}

// TestFilesRejects holds that of a set that is stopped again and again each bad record is rejected once, in the
// order of the files and lines, and is in no table afterwards; and that what is new is in a list of its own.
func TestFilesRejects(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, tested)
		distribute(t, conn, "tested", "tenant")
		paths, good, bad := badFiles(t, 24)
		dir := t.TempDir()
		in := func(n int) loader.Input {
			in, err := loader.Files(paths[:n]...)
			if err != nil {
				t.Fatal(err)
			}
			return in
		}
		cfg := pieces(t, dsn)
		cfg.Job, cfg.Table, cfg.MaxErrors, cfg.RejectsDir = "", "tested", loader.ErrorLimit{Records: int64(len(bad)) * 20 / 24}, dir
		var res loader.Result
		err := context.Canceled
		runs := 0
		for ; errors.Is(err, context.Canceled); runs++ {
			cfg.Route = routes(t)[runs%len(routes(t))]
			if res, err = run(t, cfg, in(20), int64(3+5*runs)); err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if lists, _ := filepath.Glob(dir + "/*"); err != nil && len(lists) > 0 {
				t.Errorf("before the end there is %q", lists)
			}
		}
		if runs < 2 {
			t.Errorf("it took %d runs", runs)
		}
		first := len(bad) * 20 / 24
		if res.Rejected != int64(first) {
			t.Errorf("%d rejected, want %d", res.Rejected, first)
		}
		if diff := gocmp.Diff(bad[:first], listed(t, res.Rejects)); diff != "" {
			t.Errorf("rejected (-want +got):\n%.2000s", diff)
		}
		if res, err = run(t, cfg, in(24), 0); err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(bad[first:], listed(t, res.Rejects)); diff != "" || res.Rejected != int64(len(bad)-first) {
			t.Errorf("%d rejected; of the new files (-want +got):\n%.2000s", res.Rejected, diff)
		}
		want := []string{"id,tenant,name,n,at"}
		for _, b := range bad[:first] {
			want = append(want, b[strings.Index(b, " ")+1:])
		}
		records, err := os.ReadFile(filepath.Join(dir, "tested.rejects.csv"))
		if diff := gocmp.Diff(want, strings.Split(strings.TrimSuffix(string(records), "\n"), "\n")); err != nil || diff != "" {
			t.Errorf("%v; records (-want +got):\n%.2000s", err, diff)
		}
		if names, _ := filepath.Glob(dir + "/*"); len(names) != 4 {
			t.Errorf("files %q", names)
		}
		if got := query(t, conn, "SELECT count(*) FROM tested"); got[0] != fmt.Sprint(good) {
			t.Errorf("%s rows, want %d", got, good)
		}
		got := query(t, conn, "SELECT relname::text FROM pg_class WHERE relname LIKE 'shardload%rejects%' AND relkind = 'r' ORDER BY 1")
		if !slices.Equal(got, []string{"shardload_rejects"}) || query(t, conn, "SELECT count(*) FROM shardload_rejects")[0] != "0" {
			t.Errorf("left: %q", got)
		}
	})
}

// fewFiles writes files of these names and contents into a directory, and returns the set of them.
func fewFiles(t *testing.T, files map[string]string) (in loader.Input, dir string) {
	t.Helper()
	dir = t.TempDir()
	var paths []string
	for name, text := range files {
		paths = append(paths, filepath.Join(dir, name))
		write(t, filepath.Join(dir, name), text)
	}
	in, err := loader.Files(paths...)
	if err != nil {
		t.Fatal(err)
	}
	return in, dir
}

// TestFilesRejectsLimit holds that the limit is of the whole set: more than it allows end the load, which goes on when
// more are allowed, and a share is of all records.
func TestFilesRejectsLimit(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	// Parts in two runs: the columns are in another order in b.
	in, _ := fewFiles(t, map[string]string{
		"a.csv": "id,tenant,name,n,at\n1,1,x,1,\n2,1,x,many,\n3,1,x,1,\n",
		"b.csv": "tenant,id,name,n,at\n1,4,x,many,\n1,5,x,1,\n",
	})
	for _, tt := range []struct {
		limit, enough loader.ErrorLimit
	}{
		{loader.ErrorLimit{Records: 1}, loader.ErrorLimit{Records: 2}},
		{loader.ErrorLimit{Percent: 39}, loader.ErrorLimit{Percent: 41}},
	} {
		exec(t, conn, "DROP TABLE IF EXISTS tested, shardload_jobs, shardload_runs, shardload_parts, shardload_rejects; "+tested)
		cfg := loader.Config{Conn: parse(t, dsn), Table: "tested", MaxErrors: tt.limit, RejectsDir: t.TempDir()}
		res, err := run(t, cfg, in, 0)
		if many, ok := errors.AsType[*loader.TooManyError](err); !ok || many.Rejected != 2 {
			t.Errorf("%s: error %v", tt.limit, err)
		}
		if set, ok := errors.AsType[*loader.SetError](err); ok || !res.Resumable {
			t.Errorf("%s: a file is at fault: %v; resumable: %t", tt.limit, set, res.Resumable)
		}
		cfg.MaxErrors = tt.enough
		if res, err = run(t, cfg, in, 0); err != nil || res.Rejected != 2 {
			t.Errorf("%s: %d rejected, %v", tt.enough, res.Rejected, err)
		}
		if got := query(t, conn, "SELECT count(*) FROM tested")[0]; got != "3" {
			t.Errorf("%s rows", got)
		}
		lists, _ := filepath.Glob(cfg.RejectsDir + "/*.jsonl")
		if got := listed(t, lists...); len(got) != 2 {
			t.Errorf("%s: listed %q", tt.limit, got)
		}
	}
}

// TestFilesRejectsForms holds that records of files under other headers, or in another format, are in files of their own,
// each of which can be loaded once it is mended; that a file which cannot be read to its end is named, and
// what was rejected of others is listed nevertheless; and that no list has the server's details if it must not.
func TestFilesRejectsForms(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, tested)
	in, dir := fewFiles(t, map[string]string{
		"a.csv":    "id,tenant,name,n,at\n1,1,x,1,\n2,1,x,many,\n",
		"b.csv":    "tenant,id,name,n,at\n1,4,x,13,\n1,5,x,1,\n",
		"c.json":   `{"id": 6, "tenant": 1, "name": "far too long"}` + "\n" + `{"id": 7, "tenant": 1, "name": "x"}` + "\n",
		"d.csv.gz": "\x1f\x8bthis is no gzip",
	})
	in = in.WithFormats(func(name string) loader.Format {
		if strings.HasSuffix(name, ".json") {
			return loader.FormatJSON
		}
		return ""
	})
	rejects := t.TempDir()
	cfg := loader.Config{Conn: parse(t, dsn), Table: "tested", MaxErrors: loader.ErrorLimit{Records: 9}, RejectsDir: rejects, NoDetail: true}
	res, err := run(t, cfg, in, 0)
	if set, ok := errors.AsType[*loader.SetError](err); !ok || len(set.Failed) != 1 || !strings.HasSuffix(set.Failed[0].Part, "d.csv.gz") {
		t.Errorf("error %v", err)
	}
	want := []string{dir + "/a.csv:3 2,1,x,many,", dir + "/b.csv:2 1,4,x,13,", dir + `/c.json:1 {"id": 6, "tenant": 1, "name": "far too long"}`}
	if diff := gocmp.Diff(want, listed(t, res.Rejects)); diff != "" || res.Rejected != 3 || len(res.Reasons) != 3 {
		t.Errorf("%d rejected, reasons %v (-want +got):\n%s", res.Rejected, res.Reasons, diff)
	}
	files := map[string]string{}
	names, _ := filepath.Glob(rejects + "/*")
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = string(text)
	}
	if strings.Contains(files["tested.rejects.jsonl"], "Failing row") {
		t.Errorf("the list has a detail: %s", files["tested.rejects.jsonl"])
	}
	delete(files, "tested.rejects.jsonl")
	if diff := gocmp.Diff(map[string]string{
		"tested.rejects.csv":           "id,tenant,name,n,at\n2,1,x,many,\n",
		"tested.rejects.header2.csv":   "tenant,id,name,n,at\n1,4,x,13,\n",
		"tested.rejects.records.jsonl": `{"id": 6, "tenant": 1, "name": "far too long"}` + "\n",
	}, files); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if got := query(t, conn, "SELECT id FROM tested ORDER BY 1"); !slices.Equal(got, []string{"1", "5", "7"}) {
		t.Errorf("rows %q", got)
	}
}
