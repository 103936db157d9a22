package generate_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"shardload/generate"
	"shardload/internal/parquettext"
	"shardload/schema"
)

// Files of Parquet have the rows of those of the text format, in their order, and columns of the
// tables' names; the manifest says the same of both.
func TestParquetHasTheRowsOfText(t *testing.T) {
	eachShape(t, func(t *testing.T, cfg generate.Config) {
		dir, m := write(t, cfg, generate.Output{Format: generate.Parquet})
		texts, of := write(t, cfg, generate.Output{Format: generate.Text})
		if m.Compression != generate.Snappy {
			t.Errorf("the manifest has the compression %q", m.Compression)
		}
		for i, s := range schema.Tables() {
			got, want := m.Files[i], of.Files[i]
			if got.Name != s.Name+".parquet" || got.Rows != want.Rows || got.Unpacked != 0 || !cmp.Equal(got.Checksums, want.Checksums) {
				t.Errorf("the manifest says %+v of %s, and of its text %+v", got, s.Name, want)
			}
			names, rows := parquetText(t, read(t, dir, got.Name))
			if diff := cmp.Diff(s.ColumnNames(), names); diff != "" {
				t.Errorf("%s: columns (-want +got):\n%s", s.Name, diff)
			}
			if !bytes.Equal(rows, read(t, texts, want.Name)) {
				t.Errorf("%s has other rows than its text", s.Name)
			}
		}
	})
}

// parquetText returns the names of the columns of a file, and its rows in the text format.
func parquetText(t *testing.T, data []byte) (names []string, rows []byte) {
	t.Helper()
	f, err := parquettext.Open(bytes.NewReader(data), int64(len(data)), parquettext.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var fields []parquettext.Field
	for _, c := range f.Columns() {
		names = append(names, c.Name)
		fields = append(fields, parquettext.Field{Name: c.Name, As: parquettext.AsAny})
	}
	r, err := f.NewReader(fields)
	if err != nil {
		t.Fatal(err)
	}
	for i := range f.Chunks() {
		var faults []parquettext.Fault
		if rows, faults, err = r.AppendChunk(rows, i); err != nil || len(faults) > 0 {
			t.Fatal(faults, err)
		}
	}
	return names, rows
}

// The bytes do not depend on the number of goroutines; pieces and splits have whole row groups of
// their own, and pages are packed as it is asked.
func TestParquetFiles(t *testing.T) {
	t.Parallel()
	cfg := generate.Config{Companies: 30, Campaigns: 600, Ads: 150_000, Seed: 3, Skew: 0.8}
	want := generate.Output{Format: generate.Parquet, NoChecksums: true, Tables: []string{"ads"}}
	cfg.Procs = 1
	one, _ := write(t, cfg, want)
	cfg.Procs = 3
	three, _ := write(t, cfg, want)
	if !bytes.Equal(read(t, one, "ads.parquet"), read(t, three, "ads.parquet")) {
		t.Error("the bytes depend on the number of goroutines")
	}
	for compression, codec := range map[generate.Compression]string{generate.Zstd: "ZSTD", generate.Gzip: "GZIP", generate.Uncompressed: "SNAPPY"} {
		out := want
		out.Compression, out.Split = compression, 10<<20
		dir, m := write(t, cfg, out)
		if len(m.Files) < 2 {
			t.Fatalf("%d files", len(m.Files))
		}
		var rows int64
		for _, file := range m.Files {
			data := read(t, dir, file.Name)
			f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			rows += f.NumRows()
			if got := f.Metadata().RowGroups[0].Columns[0].MetaData.Codec.String(); got != codec {
				t.Errorf("%s is packed by %s, want %s", file.Name, got, codec)
			}
			for _, g := range f.RowGroups() {
				if g.NumRows() > 65_536 {
					t.Errorf("a row group has %d rows", g.NumRows())
				}
			}
		}
		if rows != cfg.Ads {
			t.Errorf("%d rows, want %d", rows, cfg.Ads)
		}
	}
}

// Values with types cannot be damaged as records are, and nothing is written then.
func TestParquetIsNotDirty(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "dirty")
	d := dataset(t, generate.Config{Companies: 3, Campaigns: 30, Ads: 300, Dirty: 0.1})
	if _, err := d.Write(t.Context(), dir, generate.Output{Format: generate.Parquet}); err == nil {
		t.Error("there is no error")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("something was written")
	}
	if _, err := d.Write(t.Context(), dir, generate.Output{Compression: generate.Snappy}); err == nil {
		t.Error("CSV is packed by snappy")
	}
}
