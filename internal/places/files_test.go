package places_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shardload/internal/places"
)

// tree makes files in a new directory, each with its own name in it, and returns the directory.
// A name that ends in a slash is a directory.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, name)
		at := path
		if !strings.HasSuffix(name, "/") {
			at = filepath.Dir(path)
		}
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		if at != path {
			if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// names returns the names of all parts, and the error at the end.
func names(t *testing.T, opt places.Options, operands ...string) (list []string, err error) {
	t.Helper()
	p, err := places.New(operands, opt)
	if err != nil {
		return nil, err
	}
	for part, err := range p.List(t.Context()) {
		if err != nil {
			return list, err
		}
		list = append(list, part.Name)
	}
	return list, nil
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	dir := tree(t, "a.csv", "b.csv", "a/x.csv", "a/y.csv.gz", "a/b/z.csv", "a-b.csv", ".hidden.csv", ".dir/h.csv", "a/.h.csv", "empty/", "c[1].csv")
	for _, test := range []struct {
		operand string
		want    []string
	}{
		{"*.csv", []string{"a-b.csv", "a.csv", "b.csv", "c[1].csv"}},
		{"**/*.csv", []string{"a-b.csv", "a.csv", "a/b/z.csv", "a/x.csv", "b.csv", "c[1].csv"}}, // as a store orders them
		{"**/*.csv*", []string{"a-b.csv", "a.csv", "a/b/z.csv", "a/x.csv", "a/y.csv.gz", "b.csv", "c[1].csv"}},
		{"a/**/*.csv", []string{"b/z.csv", "x.csv"}},
		{"a/*.csv", []string{"x.csv"}},
		{"*/*.csv", []string{"a/x.csv"}},
		{"a/**", []string{"b/z.csv", "x.csv", "y.csv.gz"}},
		{"{a,.dir}/*.csv", []string{".dir/h.csv", "a/x.csv"}},
		{"{a/b,a}/*.csv", []string{"a/b/z.csv", "a/x.csv"}},
		{".*.csv", []string{".hidden.csv"}},
		{"**/.h.csv", []string{"a/.h.csv"}},
		{"[ab].csv", []string{"a.csv", "b.csv"}},
		{`c\[1\].csv*`, []string{"c[1].csv"}},
		{"c[1].csv", []string{"c[1].csv"}}, // it is there
		{`c\[1\].csv`, []string{"c[1].csv"}},
		{"", []string{"a-b.csv", "a.csv", "a/b/z.csv", "a/x.csv", "a/y.csv.gz", "b.csv", "c[1].csv"}},
		{"a/", []string{"b/z.csv", "x.csv", "y.csv.gz"}},
	} {
		t.Run(test.operand, func(t *testing.T) {
			t.Parallel()
			operand := filepath.ToSlash(dir) + "/" + test.operand
			p, err := places.New([]string{operand}, places.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for part, err := range p.List(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				at := part.Location()
				content, err := os.ReadFile(at.Name)
				if err != nil || int64(len(content)) != part.Size || part.Tag == "" {
					t.Errorf("%s: %q, %v, for a part of %d bytes, tag %q", at.Name, content, err, part.Size, part.Tag)
				}
				found, ok := p.Find(part.Name, part.Size, part.Tag)
				if !ok || found.Location().Name != at.Name {
					t.Errorf("%s is not found again: %v, %v", part.Name, found, ok)
				}
				got = append(got, strings.TrimPrefix(part.Name, filepath.ToSlash(dir)+"/"))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
			if _, ok := p.Find("../x", 0, ""); ok {
				t.Error("a name outside is found")
			}
		})
	}
}

// The names of several places do not meet.
func TestNamesBesideOthers(t *testing.T) {
	t.Parallel()
	dir := tree(t, "a/x.csv", "b/x.csv", "y.csv")
	got, err := names(t, places.Options{}, dir+"/a/*.csv", dir+"/b", dir+"/y.csv")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a/x.csv", "b/x.csv", "y.csv"}, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// A set is never smaller than it seems.
func TestWhatCannotBeListed(t *testing.T) {
	t.Parallel()
	dir := tree(t, "empty/", "dangling/", "bytes/", "closed/x/y.csv")
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling", "x.csv")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bytes", "\xff.csv"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for operand, want := range map[string]string{
		"none.csv":      "none.csv: no such file or directory",
		"*.csv":         "*.csv: there is no such file",
		"none/*.csv":    "none/*.csv: there is no such file",
		"empty":         "empty: holds no files",
		"dangling/*":    "dangling/x.csv: is a link to what is not there",
		"bytes/*":       `\xff.csv": its name is not UTF-8, and cannot be kept in the database; rename it`,
		"[.csv":         "[.csv: is no pattern: a bracket, a brace or an escape is not closed",
		"dangling/x.*v": "dangling/x.csv: is a link to what is not there",
	} {
		list, err := names(t, places.Options{}, dir+"/"+operand)
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %s", operand, list, err, want)
		}
	}
	if os.Geteuid() == 0 {
		return // who may look anywhere
	}
	if err := os.Chmod(filepath.Join(dir, "closed", "x"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "closed", "x"), 0o755) })
	if list, err := names(t, places.Options{}, dir+"/closed"); err == nil || !strings.HasSuffix(err.Error(), "closed/x: permission denied") {
		t.Errorf("a closed directory: %v, %v", list, err)
	}
}

// Links are followed as far as they do not lead in a circle, and what is no file is left out.
func TestLinksAndPipes(t *testing.T) {
	t.Parallel()
	dir := tree(t, "in/real/x.csv", "out/y.csv")
	for from, to := range map[string]string{"in/link.csv": "../out/y.csv", "in/dir": "../out", "in/circle": ".", "in/gone": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "in", "pipe.csv"), 0o644); err != nil {
		t.Fatal(err)
	}
	for operand, want := range map[string][]string{
		"in/**/*.csv":    {"link.csv", "real/x.csv", "- circle a link to a directory", "- dir a link to a directory", "- pipe.csv a pipe"},
		"in/r*":          {"dir: there is no such file", "- real a directory"},
		"in/*/*.csv":     {"circle/link.csv", "dir/y.csv", "real/x.csv", "- pipe.csv a pipe"},
		"in/dir":         {"y.csv"},
		"in/pipe.csv":    {"pipe.csv"}, // it was asked for
		"in/{dir,real}/": {"dir: there is no such file"},
	} {
		var skipped []string
		got, err := names(t, places.Options{Skipped: func(path, why string) { skipped = append(skipped, "- "+filepath.Base(path)+" "+why) }}, dir+"/"+operand)
		if err != nil {
			got = append(got, "dir"+err.Error()[strings.LastIndex(err.Error(), ":"):])
		}
		slices.Sort(skipped)
		if diff := cmp.Diff(want, append(got, skipped...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", operand, diff)
		}
	}
}

// A listing that nobody wants to the end stops.
func TestListStops(t *testing.T) {
	t.Parallel()
	dir := tree(t, "a.csv", "b/c.csv", "d.csv")
	p, err := places.New([]string{dir, dir + "/*"}, places.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for want := range 5 {
		n := 0
		for range p.List(t.Context()) {
			if n++; n > want {
				break
			}
		}
		if n != want+1 {
			t.Errorf("%d parts, want %d", n, want+1)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for part, err := range p.List(ctx) {
		if err == nil {
			t.Errorf("%v after the end of the context", part)
		}
	}
}

// What is kept of a part, and what a listing takes while it goes on, is bounded.
func TestMemoryOfNames(t *testing.T) {
	if testing.Short() {
		t.Skip("makes many files")
	}
	const n = 20_000
	dir := t.TempDir()
	for i := range n {
		if i%1000 == 0 {
			if err := os.MkdirAll(filepath.Join(dir, "2026-11-"+strconv.Itoa(i/1000)), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("2026-11-%d/events.%06d.csv.gz", i/1000, i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, err := places.New([]string{dir + "/**/*.csv.gz"}, places.Options{})
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	list := make([]places.Part, 0, n)
	for part, err := range p.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, part)
	}
	each := (heap() - before) / n
	t.Logf("%d bytes for each of %d parts", each, len(list))
	if len(list) != n || each > 200 {
		t.Errorf("%d parts, %d bytes each", len(list), each)
	}
	runtime.KeepAlive(list)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
