package input

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// stored returns a file of testdata, made by the tool of its format.
func stored(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readAs returns what b holds, compressed as it says.
func readAs(b []byte, as Compression) (string, error) {
	src, err := New("-", bytes.NewReader(b), as)
	if err != nil {
		return "", err
	}
	got, err := io.ReadAll(src)
	return string(got), errors.Join(err, src.Close())
}

// compressed has the content in each compression, as one stream and as several.
func compressed(t testing.TB) map[Compression][][]byte {
	t.Helper()
	return map[Compression][][]byte{
		Gzip:  {gzipped(t, content), append(gzipped(t, content[:8]), gzipped(t, content[8:])...)},
		Zstd:  {zstded(t, content), append(zstded(t, content[:8]), zstded(t, content[8:])...)},
		Bzip2: {stored(t, "one.bz2"), stored(t, "streams.bz2")},
		XZ:    {stored(t, "crc32.xz"), stored(t, "blocks.xz"), stored(t, "streams.xz")},
	}
}

// Text is text, however it begins: the bytes by which a format begins are not enough.
func TestTextThatBeginsLikeAFormat(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"BZh1,a\n1,2\n", "BZh9", "BZh91AY,a\n1,2\n", "BZh", "B", "PAR1", "PAR1,a\n1,2\n", "PAR1\na\n", "PAR1\ta\n", "(\xb5/\xfd,a\n1,2\n",
		"PK,a\n", "PK\x03\x04,a\n1,2\n", "7z,a\n", "Rar!,a\n", "Obj,a\n", "LZIP,a\n", "SQLite format 3,a\n", "PGCOPY\na\n", "PGDMP,a\n",
		"\xff\xfe,in latin1\n", "ustar" + strings.Repeat("x", 600), strings.Repeat("x", 257) + "ustar" + strings.Repeat("0", 600), "", "\n",
	} {
		if got, err := readAs([]byte(text), Auto); got != text || err != nil {
			t.Errorf("%.20q: read %.20q, %v", text, got, err)
		}
		path := write(t, "x.csv", []byte(text))
		src, err := Open(path, "")
		if err != nil {
			t.Errorf("%.20q: %v", text, err)
			continue
		}
		if !src.Plain() {
			t.Errorf("%.20q: is taken for compressed", text)
		}
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What the user says holds, against the content and against the name.
func TestCompressionAsked(t *testing.T) {
	t.Parallel()
	forms := compressed(t)
	for is, list := range forms {
		for _, asked := range []Compression{Gzip, Zstd, Bzip2, XZ} {
			got, err := readAs(list[0], asked)
			if asked == is && (err != nil || got != content) {
				t.Errorf("%s: read %q, %v", asked, got, err)
			}
			if asked != is && (err == nil || !strings.Contains(err.Error(), "-: is not "+string(asked)+": it is compressed by "+string(is))) {
				t.Errorf("%s as %s: %v", is, asked, err)
			}
		}
		if got, err := readAs(list[0], None); got != string(list[0]) || err != nil {
			t.Errorf("%s as none: read %q, %v", is, got, err)
		}
	}
	for _, tt := range []struct {
		name    string
		in      string
		asked   Compression
		content string
		err     string
	}{
		{"x.csv.gz", content, Auto, "", `x.csv.gz: is not gzip, as its name says: it begins with "id,name\n1,a\n"; if it is not compressed say so`},
		{"x.csv.gz", content, None, content, ""},
		{"x.csv.gz", "", Auto, "", "it is empty"},
		{"x.csv.zst", string(forms[Gzip][0]), Auto, content, ""},
		{"x.GZ", "x", Auto, "", "is not gzip, as its name says"},
		{"x.csv.bz2", "BZh9", Auto, "", "end too early"},
		{"x.csv", "BZh9", Bzip2, "", "end too early"},
		{"x.csv", "\x1f\x8b\x08", Auto, "", "end too early"},
		{"x.csv", "\x1f\x8b\x07 and more", Auto, "", "begins as gzip does, and goes on as it does not"},
		{"x.csv", "\xfd7zXZ\x00 and more", Auto, "", "begins as xz does"},
		{"x.csv.xz", "id", XZ, "", `is not xz: it begins with "id"`},
	} {
		src, err := Open(write(t, tt.name, []byte(tt.in)), tt.asked)
		var got []byte
		if err == nil {
			got, err = io.ReadAll(src)
		}
		if tt.err == "" && (err != nil || string(got) != tt.content) {
			t.Errorf("%s, %q: read %q, %v", tt.name, tt.asked, got, err)
		}
		if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s, %q: error %v, want %q", tt.name, tt.asked, err, tt.err)
		}
	}
	// The name of a reader is no file's.
	src, err := New("x.csv.gz", strings.NewReader(content), Auto)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(src); string(got) != content || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}

// What is cut off is an error, wherever it is cut; a whole stream less cannot be seen.
func TestTruncated(t *testing.T) {
	t.Parallel()
	for is, list := range compressed(t) {
		if testing.Short() {
			list = list[len(list)-1:] // of several streams
		}
		for _, b := range list {
			whole := 0
			for n := range b {
				got, err := readAs(b[:n], is)
				if err == nil {
					whole++
					if got != content && got != content[:8] {
						t.Errorf("%s: %d of %d bytes give %q", is, n, len(b), got)
					}
				}
			}
			if whole > 4 {
				t.Errorf("%s: %d prefixes of %d bytes are whole", is, whole, len(b))
			}
		}
	}
}

// No bit that changes gives another content without an error.
func TestDamaged(t *testing.T) {
	t.Parallel()
	for is, list := range compressed(t) {
		if testing.Short() {
			list = list[len(list)-1:] // of several streams
		}
		for _, b := range list {
			refused, tried := 0, 0
			for i := range b {
				bits := []int{0, 3, 7}
				if testing.Short() {
					bits = bits[i%3:][:1]
				}
				for _, bit := range bits {
					tried++
					damaged := bytes.Clone(b)
					damaged[i] ^= 1 << bit
					got, err := readAs(damaged, is)
					if err != nil {
						refused++
					} else if got != content {
						t.Errorf("%s: bit %d of byte %d makes it %q", is, bit, i, got)
					}
				}
			}
			if refused < tried/3 {
				t.Errorf("%s: %d of %d bits are noticed", is, refused, tried)
			}
		}
	}
}

// What follows compressed data is padding, more of them, or an error: it is never left out.
func TestTrailing(t *testing.T) {
	t.Parallel()
	zeros := make([]byte, 1024)
	for is, list := range compressed(t) {
		for name, more := range map[string][]byte{"text": []byte("3,d\n"), "a byte": {'x'}, "zeros, text": append(slices.Clone(zeros), "3,d\n"...)} {
			if got, err := readAs(slices.Concat(list[0], more), is); err == nil {
				t.Errorf("%s, %s: read %q", is, name, got)
			}
		}
		got, err := readAs(slices.Concat(list[0], zeros), is)
		if padded := is == Gzip || is == XZ; padded != (err == nil) || padded && got != content {
			t.Errorf("%s, zeros: read %q, %v", is, got, err)
		}
		if got, err := readAs(slices.Concat(list[0], list[0]), Auto); got != content+content || err != nil {
			t.Errorf("%s twice: read %q, %v", is, got, err)
		}
	}
}

// A header may ask for more memory than there is.
func TestCompressionMemory(t *testing.T) {
	t.Parallel()
	if _, err := readAs(stored(t, "dictionary.xz"), Auto); err == nil || !strings.Contains(err.Error(), "more than 64 MiB; decompress it: xz -dc") {
		t.Errorf("xz: %v", err)
	}
	wide := []byte("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00") // a window of 2 GiB, and an empty block
	if _, err := readAs(wide, Auto); err == nil || !strings.Contains(err.Error(), "more than 128 MiB; decompress it for so wide a window: zstd -dc") {
		t.Errorf("zstd: %v", err)
	}
}

// tarOf returns a tar archive with one file.
func tarOf(t testing.TB, format tar.Format) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "x.csv", Mode: 0o600, Size: int64(len(content)), Format: format}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zipOf returns a zip archive with one file of that name.
func zipOf(t testing.TB, name string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// v7 makes a tar archive one as they were before POSIX: without its magic.
func v7(b []byte) []byte {
	const at, length = 257, 8
	sum := 0
	for _, c := range b[at : at+length] {
		sum += int(c)
	}
	clear(b[at : at+length])
	old, field := 0, b[148:156]
	for _, c := range bytes.Trim(field, " \x00") {
		old = old*8 + int(c-'0')
	}
	sum = old - sum
	for i := 5; i >= 0; i-- {
		field[i], sum = byte('0'+sum%8), sum/8
	}
	return b
}

// What is no text is named, and what to do about it; compressed or not.
func TestStrangers(t *testing.T) {
	t.Parallel()
	posix, gnu := tarOf(t, tar.FormatUSTAR), tarOf(t, tar.FormatGNU)
	for name, tt := range map[string]struct {
		in   []byte
		want string
	}{
		"tar":         {posix, "-: is a tar archive, not CSV; name the file in it: tar xOf"},
		"tar, gnu":    {gnu, "is a tar archive"},
		"tar, v7":     {v7(tarOf(t, tar.FormatUSTAR)), "is a tar archive"},
		"tar, gzip":   {gzipped(t, string(posix)), "is a tar archive, compressed by gzip"},
		"tar, zstd":   {zstded(t, string(gnu)), "is a tar archive, compressed by zstd"},
		"zip":         {zipOf(t, "x.csv"), "is a zip archive, not CSV; name the file in it: unzip -p"},
		"empty zip":   {[]byte("PK\x05\x06" + strings.Repeat("\x00", 18)), "is a zip archive"},
		"spreadsheet": {zipOf(t, "[Content_Types].xml"), "is a spreadsheet (xlsx)"},
		"7z":          {[]byte("7z\xbc\xaf\x27\x1c\x00\x04"), "is a 7z archive"},
		"rar":         {[]byte("Rar!\x1a\x07\x01\x00"), "is a rar archive"},
		"lz4":         {[]byte("\x04\x22\x4d\x18\x64\x40\xa7"), "decompress it: lz4 -dc"},
		"utf-16":      {[]byte("\xff\xfei\x00d\x00"), "iconv -f UTF-16"},
		"parquet":     {[]byte("PAR1\x15\x00\x15"), "is a Parquet file, not CSV; read it as one, from a file"},
		"twice":       {gzipped(t, string(gzipped(t, content))), "is compressed twice: by gzip, and inside by gzip; decompress it: gzip -dc"},
		"zip in zstd": {zstded(t, string(zipOf(t, "x.csv"))), "is a zip archive, compressed by zstd"},
	} {
		if got, err := readAs(tt.in, Auto); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: read %q, error %v, want %q", name, got, err, tt.want)
		}
		if got, err := readAs(tt.in, None); got != string(tt.in) || err != nil {
			t.Errorf("%s as it is: read %q, %v", name, got, err)
		}
	}
}

// An error stays one: what a reader gives after the beginning is not another beginning.
func TestErrorStays(t *testing.T) {
	t.Parallel()
	src, err := New("-", bytes.NewReader(append(tarOf(t, tar.FormatUSTAR), make([]byte, 2<<20)...)), Auto)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if n, err := src.Read(make([]byte, 10)); n != 0 || err == nil || !strings.Contains(err.Error(), "tar archive") {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
}

// FuzzNew holds that no input does more than fail, that what is taken for text comes out
// as it is, and that gzip is what Go's own library takes it for.
func FuzzNew(f *testing.F) {
	for _, list := range compressed(f) {
		for _, b := range list {
			f.Add(b, byte(0))
		}
	}
	for _, name := range []string{"none.xz", "x86.xz", "dictionary.xz", "empty.xz", "empty.bz2"} {
		f.Add(stored(f, name), byte(0))
	}
	f.Add(tarOf(f, tar.FormatGNU), byte(1))
	f.Add(gzipped(f, string(tarOf(f, tar.FormatUSTAR))), byte(2))
	f.Add(zipOf(f, "x.csv"), byte(0))
	f.Add([]byte("BZh91AY&SY,a\n"), byte(0))
	f.Add([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"+string(zstded(f, content))), byte(0))
	asked := []Compression{Auto, None, Gzip, Zstd, Bzip2, XZ}
	f.Fuzz(func(t *testing.T, b []byte, as byte) {
		const most = 1 << 20
		src, err := New("-", bytes.NewReader(b), asked[int(as)%len(asked)])
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		got, err := io.ReadAll(io.LimitReader(src, most))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "-: ") {
				t.Errorf("error %v does not name the input", err)
			}
			return
		}
		switch src.is {
		case None:
			if want := bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")); !bytes.Equal(got, want[:min(len(want), most)]) {
				t.Errorf("%q became %q", want, got)
			}
		case Gzip:
			want, err := gunzip(b, most)
			if err != nil {
				t.Fatal(err)
			}
			if want = bytes.TrimPrefix(want, []byte("\xef\xbb\xbf")); len(want) < most-3 && !bytes.Equal(got, want) {
				t.Errorf("%q became %q", want, got)
			}
		case Zstd:
			z, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(most))
			if err != nil {
				t.Fatal(err)
			}
			defer z.Close()
			want, err := z.DecodeAll(b, nil)
			if err == nil && !bytes.Equal(got, bytes.TrimPrefix(want, []byte("\xef\xbb\xbf"))) {
				t.Errorf("%q became %q", want, got)
			}
		}
	})
}

// gunzip returns what Go's own library reads of b without the zeros after it, at most that
// many bytes.
func gunzip(b []byte, most int64) ([]byte, error) {
	for {
		z, err := stdgzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		got, err := io.ReadAll(io.LimitReader(z, most))
		if err == nil || b[len(b)-1] != 0 {
			return got, err
		}
		b = b[:len(b)-1]
	}
}
