package generate_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gocarina/gocsv"
	"github.com/google/go-cmp/cmp"

	"shardload/generate"
	"shardload/schema"
)

// write writes a dataset into a new folder, and returns the folder.
func write(t *testing.T, cfg generate.Config, out generate.Output) (string, generate.Manifest) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	m, err := dataset(t, cfg).Write(t.Context(), dir, out)
	if err != nil {
		t.Fatal(err)
	}
	return dir, m
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// names returns what is in dir, hidden files included.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestFiles(t *testing.T) {
	eachShape(t, func(t *testing.T, cfg generate.Config) {
		var progress generate.Progress
		dir, m := write(t, cfg, generate.Output{Progress: &progress})
		want := []string{"ads.csv", "campaigns.csv", "companies.csv", "manifest.json"}
		if diff := cmp.Diff(want, names(t, dir)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		var rows, size int64
		for i, s := range schema.Tables() {
			table := table(t, dataset(t, cfg), s.Name)
			want := append([]byte(strings.Join(s.ColumnNames(), ",")+"\n"), whole(table)...)
			got := read(t, dir, s.Name+".csv")
			if !bytes.Equal(got, want) {
				t.Errorf("%s.csv is not the header and the table's blocks", s.Name)
			}
			sum := sha256.Sum256(got)
			file := generate.File{
				Name: s.Name + ".csv", Table: s.Name, Rows: table.Rows(), Bytes: int64(len(got)),
				CRC32C: fmt.Sprintf("%08x", crc32.Checksum(got, crc32.MakeTable(crc32.Castagnoli))), SHA256: hex.EncodeToString(sum[:]),
				Checksums: m.Files[i].Checksums, // TestPsqlLoadsTheFiles compares them
			}
			if diff := cmp.Diff(file, m.Files[i]); diff != "" {
				t.Errorf("manifest of %s (-want +got):\n%s", s.Name, diff)
			}
			rows, size = rows+file.Rows, size+file.Bytes
		}
		if progress.Rows.Load() != rows || progress.Bytes.Load() != size {
			t.Errorf("progress: %d rows, %d bytes; want %d and %d", progress.Rows.Load(), progress.Bytes.Load(), rows, size)
		}
		fromDisk, err := generate.ReadManifest(dir)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, fromDisk); diff != "" {
			t.Errorf("manifest (-written +read):\n%s", diff)
		}
	})
}

func TestProcsDoNotChangeBytes(t *testing.T) {
	cfg := generate.Config{Companies: 100, Campaigns: 5000, Ads: 40_000, Skew: 0.8, Seed: 7, Procs: 1}
	_, want := write(t, cfg, generate.Output{})
	for _, procs := range []int{0, 2, 3, 8} {
		cfg.Procs = procs
		_, got := write(t, cfg, generate.Output{})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with %d procs (-1 proc +got):\n%s", procs, diff)
		}
	}
}

func TestNoHeader(t *testing.T) {
	dir, m := write(t, shapes[6], generate.Output{NoHeader: true})
	for _, s := range schema.Tables() {
		if want := whole(table(t, dataset(t, shapes[6]), s.Name)); !bytes.Equal(read(t, dir, s.Name+".csv"), want) {
			t.Errorf("%s.csv is not the table's blocks alone", s.Name)
		}
	}
	if m.Header {
		t.Error("the manifest says that there is a header")
	}
}

// gocsv, which shares no code with the writer, reads from the files the records of
// the sequences, and writes the records to the files' bytes.
func TestFilesAreTheSequences(t *testing.T) {
	eachShape(t, func(t *testing.T, cfg generate.Config) {
		d := dataset(t, cfg)
		dir, _ := write(t, cfg, generate.Output{})
		checkRecords(t, read(t, dir, "companies.csv"), d.Companies())
		checkRecords(t, read(t, dir, "campaigns.csv"), d.Campaigns())
		checkRecords(t, read(t, dir, "ads.csv"), d.Ads())
	})
}

func checkRecords[T any](t *testing.T, file []byte, seq iter.Seq[T]) {
	t.Helper()
	var got []T
	if err := gocsv.UnmarshalBytes(file, &got); err != nil {
		t.Fatal(err)
	}
	want := append([]T{}, slices.Collect(seq)...)                // gocsv writes no header for nil
	if len(want)+len(got) > 0 && !reflect.DeepEqual(want, got) { // cmp alone takes seconds
		t.Fatalf("records (-sequence +file):\n%s", cmp.Diff(want, got))
	}
	again, err := gocsv.MarshalBytes(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, file) {
		t.Error("gocsv writes the records to other bytes than the file's")
	}
}

// A run that is interrupted leaves only whole files, and no manifest: not even one
// that described some of them.
func TestInterrupted(t *testing.T) {
	cfg := generate.Config{Companies: 100, Campaigns: 10_000, Ads: 1_000_000_000, Skew: 0.8}
	dir, _ := write(t, cfg, generate.Output{Tables: []string{"companies"}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var progress generate.Progress
	done := make(chan error, 1)
	go func() {
		_, err := dataset(t, cfg).Write(ctx, dir, generate.Output{Progress: &progress})
		done <- err
	}()
	for progress.Rows.Load() <= 10_000 { // until ads have begun
		select {
		case err := <-done:
			t.Fatalf("done before it was interrupted: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	err := <-done
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), filepath.Join(dir, "ads.csv")) {
		t.Errorf("error %v, want context.Canceled with the name of the file", err)
	}
	if diff := cmp.Diff([]string{"campaigns.csv", "companies.csv", "manifest.unfinished.jsonl"}, names(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if rows := bytes.Count(read(t, dir, "campaigns.csv"), []byte("\n")) - 1; rows != 10_000 {
		t.Errorf("campaigns.csv has %d rows", rows)
	}
	if _, err := generate.ReadManifest(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("manifest: %v, want fs.ErrNotExist", err)
	}
}

func TestInterruptedBeforeItBegins(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("no more")
	cancel(cause)
	dir := t.TempDir()
	if _, err := dataset(t, shapes[0]).Write(ctx, dir, generate.Output{}); !errors.Is(err, cause) {
		t.Errorf("error %v, want the cause", err)
	}
	if diff := cmp.Diff([]string{}, names(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestFolderCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below"), "/proc/self/nothing"} {
		_, err := dataset(t, shapes[6]).Write(t.Context(), dir, generate.Output{})
		if err == nil || !strings.HasPrefix(err.Error(), "write "+dir) || strings.Contains(err.Error(), ".part") {
			t.Errorf("%s: %v, want an error that names the folder", dir, err)
		}
	}
}

func TestFolderIsReadOnly(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root writes anywhere")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	_, err := dataset(t, shapes[6]).Write(t.Context(), dir, generate.Output{})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), filepath.Join(dir, "companies.csv")) {
		t.Errorf("error %v, want one about rights that names the file", err)
	}
}

// A folder stands where the file should go.
func TestFileCannotBePutInPlace(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "campaigns.csv", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := dataset(t, shapes[6]).Write(t.Context(), dir, generate.Output{})
	if err == nil || !strings.HasPrefix(err.Error(), "write "+filepath.Join(dir, "campaigns.csv")+": ") {
		t.Errorf("error %v, want one that names the file", err)
	}
	if diff := cmp.Diff([]string{"campaigns.csv"}, names(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestManifestErrors(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"no JSON", `companies`, "manifest.json: invalid character"},
		{"cut", `{"version": 1, "files": [`, "manifest.json: unexpected EOF"},
		{"of the future", `{"version": 2}`, "version 2 of its form: this program reads version 1"},
		{"of something else", `{"name": "x"}`, "version 0"},
		{"format", `{"version": 1, "format": "xml"}`, `format "xml": want csv, text, json or parquet`},
		{"file elsewhere", `{"version": 1, "files": [{"name": "../ads.csv", "table": "ads"}]}`, `file "../ads.csv"`},
		{"absolute file", `{"version": 1, "files": [{"name": "/etc/passwd", "table": "ads"}]}`, `file "/etc/passwd"`},
		{"file without a name", `{"version": 1, "files": [{"table": "ads"}]}`, `file ""`},
		{"negative rows", `{"version": 1, "files": [{"name": "ads.csv", "table": "ads", "rows": -1}]}`, `file "ads.csv"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, generate.ManifestName), []byte(test.text), 0o644); err != nil {
				t.Fatal(err)
			}
			m, err := generate.ReadManifest(dir)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q in it", err, test.want)
			}
			if diff := cmp.Diff(generate.Manifest{}, m); diff != "" {
				t.Errorf("manifest of an error (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := generate.ReadManifest(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder: %v, want fs.ErrNotExist", err)
	}
}

func TestFormatNames(t *testing.T) {
	for _, want := range []generate.Format{generate.CSV, generate.Text, generate.JSON} {
		text, err := want.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got generate.Format
		if err := got.UnmarshalText(text); err != nil || got != want {
			t.Errorf("%s: read as %s, %v", text, got, err)
		}
	}
	var f generate.Format
	if err := f.UnmarshalText([]byte("binary")); err == nil {
		t.Error("format binary: no error")
	}
}
