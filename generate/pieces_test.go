package generate_test

import (
	"bytes"
	"context"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shardload/generate"
	"shardload/internal/input"
)

// pieces is a dataset whose tables are of one, two and ten blocks.
var pieces = generate.Config{Companies: 500, Campaigns: 5000, Ads: 40_000, Skew: 0.8, Seed: 1}

// The files of all parts in the order of their names are byte for byte the whole,
// also where they are packed, and the manifests of the parts put together know all
// of them.
func TestFilesOfPartsAreTheWhole(t *testing.T) {
	for i, out := range []generate.Output{
		{NoHeader: true, NoChecksums: true},
		{Format: generate.Text, NoChecksums: true, Split: 1_000_000},
		{NoHeader: true, NoChecksums: true, Compression: generate.Zstd, Split: 1_500_000},
	} {
		wholeDir, _ := write(t, pieces, generate.Output{NoHeader: true, NoChecksums: true, Format: out.Format, Compression: out.Compression})
		counts := []int{12, 1, 3}
		if testing.Short() {
			counts = counts[i:][:1]
		}
		for _, parts := range counts {
			dir := t.TempDir()
			out.Parts = parts
			for out.Part = range parts + 1 {
				if out.Part == 0 {
					continue
				}
				if _, err := dataset(t, pieces).Write(t.Context(), dir, out); err != nil {
					t.Fatal(err)
				}
			}
			m, err := generate.ReadManifest(dir)
			if err != nil {
				t.Fatal(err)
			}
			found, err := input.Dir(dir, []string{"companies", "campaigns", "ads"}) // as load finds them
			if err != nil {
				t.Fatal(err)
			}
			var known []string
			for _, f := range m.Files {
				known = append(known, filepath.Join(dir, f.Name))
			}
			var names []string
			for _, table := range found {
				names = append(names, table.Files...)
				checkJoined(t, wholeDir, table)
			}
			if diff := cmp.Diff(known, names); diff != "" {
				t.Errorf("%+v: files (-manifest +found):\n%s", out, diff)
			}
		}
	}
}

// checkJoined compares the files of a table, one after another, with its only file
// in dir.
func checkJoined(t *testing.T, dir string, table input.TableFiles) {
	t.Helper()
	var got []byte
	for _, name := range table.Files {
		got = append(got, read(t, filepath.Dir(name), filepath.Base(name))...)
	}
	only, err := filepath.Glob(filepath.Join(dir, table.Table+".csv*"))
	if err != nil || len(only) != 1 {
		t.Fatalf("files %q, %v: want one", only, err)
	}
	if want := read(t, dir, filepath.Base(only[0])); !bytes.Equal(got, want) {
		t.Errorf("%d files of %s: %d bytes, want the %d of the whole", len(table.Files), table.Table, len(got), len(want))
	}
}

// A split file has about the bytes that were asked for, and packed ones hold what
// the others do.
func TestSplitAndCompression(t *testing.T) {
	const split = 1_500_000
	plainDir, plain := write(t, pieces, generate.Output{Split: split})
	for i, f := range plain.Files {
		last := i+1 == len(plain.Files) || plain.Files[i+1].Table != f.Table
		if f.Bytes > split*102/100 || !last && f.Bytes < split/2 { // a block is of 0.7 MB
			t.Errorf("%s has %d bytes, want about %d", f.Name, f.Bytes, split)
		}
	}
	for _, c := range []generate.Compression{generate.Gzip, generate.Zstd} {
		dir, packed := write(t, pieces, generate.Output{Split: split, Compression: c})
		for i, f := range packed.Files {
			src, err := input.Open(filepath.Join(dir, f.Name), input.Auto)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(src)
			if err != nil {
				t.Fatal(err)
			}
			want := plain.Files[i]
			if !bytes.Equal(got, read(t, plainDir, want.Name)) || f.Unpacked != want.Bytes || f.Bytes >= want.Bytes {
				t.Errorf("%s holds %d bytes in %d, said to be %d; want %s", f.Name, len(got), f.Bytes, f.Unpacked, want.Name)
			}
			if err := src.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// What Stream writes is the file.
func TestStream(t *testing.T) {
	out := generate.Output{Compression: generate.Zstd}
	dir, m := write(t, pieces, out)
	var b bytes.Buffer
	f, err := table(t, dataset(t, pieces), "ads").Stream(t.Context(), &b, out)
	if err != nil {
		t.Fatal(err)
	}
	f.Name = "ads.csv.zst"
	if diff := cmp.Diff(m.Files[2], f); diff != "" || !bytes.Equal(b.Bytes(), read(t, dir, f.Name)) {
		t.Errorf("the stream is not the file; (-file +stream):\n%s", diff)
	}
}

func TestOutputErrors(t *testing.T) {
	for want, out := range map[string]generate.Output{
		"part 3 of 2":          {Part: 3, Parts: 2},
		"part 1 of 0":          {Part: 1},
		"split: -1":            {Split: -1},
		`compression "lzma"`:   {Compression: "lzma"},
		`table "users"`:        {Tables: []string{"ads", "users"}},
		"files: ask for fewer": {Split: 1},
	} {
		cfg := generate.Config{Companies: math.MaxInt32, Campaigns: math.MaxInt32, Ads: math.MaxInt32 * 10_000}
		dir := filepath.Join(t.TempDir(), "new")
		_, err := dataset(t, cfg).Write(t.Context(), dir, out)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q in it", out, err, want)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%+v: the folder was made", out)
		}
	}
}

// touched makes a file's time say that it was not written again, and times reads
// that.
func touched(t *testing.T, dir string) {
	t.Helper()
	for _, name := range names(t, dir) {
		if err := os.Chtimes(filepath.Join(dir, name), time.Time{}, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
}

func rewritten(t *testing.T, dir string) []string {
	t.Helper()
	list := []string{}
	for _, name := range names(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.ModTime().Unix() != 1 {
			list = append(list, name)
		}
	}
	return list
}

// A run that goes on keeps the files that are finished and whole, and no others.
func TestGoOn(t *testing.T) {
	out := generate.Output{Split: 1_500_000}
	for _, test := range []struct {
		name   string
		change func(t *testing.T, dir string)
		want   []string // written again
	}{
		{"nothing to do", func(*testing.T, string) {}, []string{"manifest.json"}},
		{"one missing", func(t *testing.T, dir string) { remove(t, dir, "ads.2.csv") }, []string{"ads.2.csv", "manifest.json"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, _ := write(t, pieces, out)
			test.change(t, dir)
			touched(t, dir)
			m, err := dataset(t, pieces).Write(t.Context(), dir, out)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, rewritten(t, dir)); diff != "" {
				t.Errorf("files that were written (-want +got):\n%s", diff)
			}
			_, fresh := write(t, pieces, out)
			if diff := cmp.Diff(fresh, m); diff != "" {
				t.Errorf("manifest (-of a new folder +got):\n%s", diff)
			}
		})
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// change flips a bit of a file.
func change(t *testing.T, dir, name string) {
	t.Helper()
	b := read(t, dir, name)
	b[len(b)/2] ^= 1
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func cut(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Truncate(filepath.Join(dir, name), 100); err != nil {
		t.Fatal(err)
	}
}

// The journal of a run that was interrupted tells the next one what is finished,
// even if its last line was cut short.
func TestGoOnAfterAnInterrupt(t *testing.T) {
	out := generate.Output{Split: 1_500_000}
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out.Progress = new(generate.Progress)
	stopped := make(chan error, 1)
	longer := pieces
	longer.Ads = 150_000
	d := dataset(t, longer)
	go func() {
		for out.Progress.Rows.Load() < 30_000 { // until some of the ads are there
			time.Sleep(10 * time.Microsecond)
		}
		cancel()
	}()
	go func() { _, err := d.Write(ctx, dir, out); stopped <- err }()
	if err := <-stopped; err == nil {
		t.Fatal("done before it was interrupted")
	}
	finished := slices.DeleteFunc(names(t, dir), func(name string) bool { return !strings.HasSuffix(name, ".csv") })
	if len(finished) < 3 {
		t.Fatalf("files %q, want companies, campaigns and some ads", finished)
	}
	journal := filepath.Join(dir, "manifest.unfinished.jsonl")
	f, err := os.OpenFile(journal, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"name":"ads.9`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	touched(t, dir)
	out.Progress = nil
	got, err := d.Write(t.Context(), dir, out)
	if err != nil {
		t.Fatal(err)
	}
	again := rewritten(t, dir)
	for _, name := range finished {
		if slices.Contains(again, name) {
			t.Errorf("%s was finished and is written again", name)
		}
	}
	if _, err := os.Stat(journal); err == nil {
		t.Error("the journal stays")
	}
	_, want := write(t, longer, out)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("manifest (-of one run +of two):\n%s", diff)
	}
}

// Tables that are written one by one have one manifest in the end.
func TestTablesOneByOne(t *testing.T) {
	_, want := write(t, shapes[6], generate.Output{})
	dir := t.TempDir()
	var got generate.Manifest
	for _, name := range []string{"ads", "companies", "campaigns"} {
		var err error
		if got, err = dataset(t, shapes[6]).Write(t.Context(), dir, generate.Output{Tables: []string{name}}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("manifest (-at once +one by one):\n%s", diff)
	}
}
