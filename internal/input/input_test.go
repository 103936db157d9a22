package input

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"shardload/internal/pgcsv"
)

const content = "id,name\n1,a\n2,\"b\nc\"\n"

func gzipped(t testing.TB, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstded(t testing.TB, s string) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll([]byte(s), nil)
}

func write(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenDecompressesByContent(t *testing.T) {
	for name, b := range map[string][]byte{
		"plain":                             []byte(content),
		"gzip":                              gzipped(t, content),
		"two gzip members":                  append(gzipped(t, "id,name\n"), gzipped(t, content[len("id,name\n"):])...),
		"gzip, zeros after it":              append(gzipped(t, content), make([]byte, 700_001)...),
		"one zero after gzip":               append(gzipped(t, content), 0),
		"empty gzip members":                slices.Concat(gzipped(t, ""), gzipped(t, content), gzipped(t, "")),
		"zstd":                              zstded(t, content),
		"zstd, after a frame to be skipped": append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"), zstded(t, content)...),
		"bzip2":                             stored(t, "one.bz2"),
		"three bzip2 streams":               stored(t, "streams.bz2"),
		"xz":                                stored(t, "crc32.xz"),
		"xz without checks":                 stored(t, "none.xz"),
		"xz with a filter":                  stored(t, "x86.xz"),
		"xz in blocks":                      stored(t, "blocks.xz"),
		"two xz streams, padded":            stored(t, "streams.xz"),
		"byte order mark":                   []byte("\xef\xbb\xbf" + content),
		"byte order mark, gzip":             gzipped(t, "\xef\xbb\xbf"+content),
	} {
		t.Run(name, func(t *testing.T) {
			src, err := Open(write(t, "x.csv", b), Auto)
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			got, err := io.ReadAll(src)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != content {
				t.Errorf("read %q", got)
			}
			if src.BytesRead() != int64(len(b)) || src.Size != int64(len(b)) {
				t.Errorf("read %d of %d bytes, want %d", src.BytesRead(), src.Size, len(b))
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	cut := gzipped(t, strings.Repeat(content, 100))
	for name, tt := range map[string]struct {
		in   []byte
		want string
	}{
		"truncated": {cut[:len(cut)-10], "end too early"},
		"member":    {append(gzipped(t, content), 0x1f, 0x8b, 8), "end too early"},
		"trailing":  {append(gzipped(t, content), "id"...), "follow the compressed data"},
		"one byte":  {append(gzipped(t, content), 0x1f), "follow the compressed data"},
		"in zeros":  {slices.Concat(gzipped(t, content), make([]byte, 512), gzipped(t, content)), "follow the compressed data"},
		"xz":        {stored(t, "crc32.xz")[:60], "end too early"},
		"zip":       {zipOf(t, "x.csv"), "zip archive"},
		"utf-16":    {[]byte("\xff\xfea\x00"), "iconv -f UTF-16"},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, "x.csv", tt.in)
			src, err := Open(path, "")
			if err == nil {
				_, err = io.ReadAll(src)
				if closeErr := src.Close(); closeErr != nil {
					t.Errorf("the error is reported once more by Close: %v", closeErr)
				}
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Count(err.Error(), path) != 1 {
				t.Errorf("error %v, want it to name the file and %q", err, tt.want)
			}
			_, _, err = CountRecords(t.Context(), Path(path), Reading{Dialect: pgcsv.CSV.Dialect(), MaxRecord: 1 << 20})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Count(err.Error(), path) != 1 {
				t.Errorf("counting: error %v, want it to name the file once, and %q", err, tt.want)
			}
		})
	}
	if _, err := Open(t.TempDir(), ""); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: %v", err)
	}
}

// A reader that has nothing to say yet is not waited for, nor is the writer of a
// named pipe: only a Read may wait.
func TestOpeningDoesNotWait(t *testing.T) {
	r, w := io.Pipe()
	src, err := NewCloser("-", r, "")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := w.Write(gzipped(t, content))
		w.CloseWithError(err)
	}()
	if got, err := io.ReadAll(src); string(got) != content || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if err := src.Close(); err != nil {
		t.Error(err)
	}

	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if src, err = Open(pipe, Auto); err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	go func() {
		if err := os.WriteFile(pipe, []byte(content), 0o600); err != nil {
			t.Error(err)
		}
	}()
	if got, err := io.ReadAll(src); string(got) != content || src.Size != -1 || err != nil {
		t.Errorf("read %q of %d bytes, %v", got, src.Size, err)
	}
}

func TestDir(t *testing.T) {
	tables := []string{"companies", "ads"}
	for name, tt := range map[string]struct {
		files []string
		want  []TableFiles
		err   string
	}{
		"all":     {[]string{"ads.csv", "companies.csv.gz", "other.csv", "ads.csv.bak"}, []TableFiles{{"companies", []string{"companies.csv.gz"}}, {"ads", []string{"ads.csv"}}}, ""},
		"split":   {[]string{"ads.10.csv", "ads.2.csv.zst"}, []TableFiles{{"ads", []string{"ads.2.csv.zst", "ads.10.csv"}}}, ""},
		"none":    {[]string{"x.csv"}, nil, "holds none of the files companies.csv, ads.csv"},
		"twice":   {[]string{"ads.csv", "ads.csv.gz"}, nil, "same rows twice"},
		"overlap": {[]string{"ads.csv", "ads.1.csv"}, nil, "the whole and a part"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := Dir(dir, tables)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			for i := range got {
				for j := range got[i].Files {
					got[i].Files[j] = filepath.Base(got[i].Files[j])
				}
			}
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestCountRecords(t *testing.T) {
	n, first, err := CountRecords(context.Background(), Path(write(t, "x", gzipped(t, content))), Reading{Dialect: pgcsv.CSV.Dialect(), MaxRecord: 1 << 20})
	if n != 3 || string(first) != "id,name" || err != nil {
		t.Errorf("%d records, first %q, %v", n, first, err)
	}
	if _, _, err := CountRecords(context.Background(), Path(write(t, "x", []byte("a\n\"b\n"))), Reading{Dialect: pgcsv.CSV.Dialect(), MaxRecord: 1 << 20}); err == nil {
		t.Error("an open quote is no error")
	}
}
