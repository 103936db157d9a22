package generate

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Whatever goes wrong names the file as the user knows it, and says what to do.
func TestFileError(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{&fs.PathError{Op: "write", Path: "/d/.ads.csv.1.part", Err: syscall.ENOSPC}, "write /d/ads.csv: no space left on device: free some space, or write to another folder"},
		{&fs.PathError{Op: "open", Path: "/d/.ads.csv.1.part", Err: syscall.EACCES}, "write /d/ads.csv: permission denied: write to a folder of your own"},
		{&os.LinkError{Op: "rename", Old: "/d/.ads.csv.1.part", New: "/d/ads.csv", Err: syscall.EISDIR}, "write /d/ads.csv: is a directory"},
		{io.ErrShortWrite, "write /d/ads.csv: short write"},
	} {
		if got := fileError("/d/ads.csv", test.err).Error(); got != test.want {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
	}
}

// /dev/full takes no byte: the error of a write is the result, at any place in the
// table, and every goroutine has ended when it is there.
func TestStreamToAFullDevice(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	d, err := New(Config{Companies: 10, Campaigns: 10, Ads: 100_000, Procs: 3})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "ads.csv")
	for _, after := range []int{0, 1, 5} {
		err = writeFile(name, func(io.Writer) error {
			_, err := d.table(ads).Stream(t.Context(), &failing{after: after, then: full}, Output{})
			return err
		})
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("after %d writes: %v, want ENOSPC", after, err)
		}
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after %d writes: %v, want no file", after, err)
		}
	}
}

// failing takes a number of writes before it passes one on.
type failing struct {
	after int
	then  io.Writer
}

func (f *failing) Write(p []byte) (int, error) {
	if f.after--; f.after >= 0 {
		return len(p), nil
	}
	return f.then.Write(p)
}
