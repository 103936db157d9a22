package regular_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"shardload/internal/regular"
)

// TestOpen holds that what is no regular file is refused, and never waited for.
func TestOpen(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		place func(path, other string) error
		ok    bool
	}{
		"a file": {func(path, _ string) error { return os.WriteFile(path, []byte("x"), 0o600) }, true},
		"a link": {func(path, other string) error { return os.Symlink(other, path) }, true},
		"a pipe": {func(path, _ string) error { return syscall.Mkfifo(path, 0o600) }, false},
		"a linked pipe": {func(path, other string) error {
			return errors.Join(syscall.Mkfifo(other+"p", 0o600), os.Symlink(other+"p", path))
		}, false},
		"a directory":    {func(path, _ string) error { return os.Mkdir(path, 0o700) }, false},
		"a device":       {func(path, _ string) error { return os.Symlink("/dev/zero", path) }, false},
		"a socket":       {func(path, _ string) error { _, err := net.Listen("unix", path); return err }, false},
		"a missing file": {func(string, string) error { return nil }, false},
	} {
		dir, err := os.MkdirTemp("", "r") // a socket's path is short
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		path, other := filepath.Join(dir, "f"), filepath.Join(dir, "o")
		if err := errors.Join(os.WriteFile(other, []byte("x"), 0o600), test.place(path, other)); err != nil {
			t.Fatal(err)
		}
		text, err := regular.ReadFile(path)
		if (err == nil) != test.ok || test.ok && string(text) != "x" {
			t.Errorf("%s: read %q, error %v", name, text, err)
		}
		if missing := name == "a missing file"; missing != errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: error %v", name, err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		for _, flag := range []int{os.O_RDONLY, os.O_WRONLY, os.O_RDWR} {
			f, err := regular.OpenFile(path, flag, 0)
			if (err == nil) != test.ok {
				t.Errorf("%s, flag %d: error %v", name, flag, err)
			}
			in, err := regular.OpenIn(root, "f", flag|syscall.O_NOFOLLOW, 0)
			if (err == nil) != (name == "a file") {
				t.Errorf("%s, flag %d, in its directory: error %v", name, flag, err)
			}
			_, _ = f.Close(), in.Close()
		}
	}
}
