package reject

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A file of original records takes no other file's place, and is written through no
// link; one that a killed run has written is as good. Nothing that is no regular file
// is read.
func TestPublishNew(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		place func(path, other string) error
		ok    bool
	}{
		"nothing":        {func(string, string) error { return nil }, true},
		"the same bytes": {func(path, _ string) error { return os.WriteFile(path, []byte("records"), 0o600) }, true},
		"a user's file":  {func(path, _ string) error { return os.WriteFile(path, []byte("mine"), 0o600) }, false},
		"a link":         {func(path, other string) error { return os.Symlink(other, path) }, false},
		"a pipe":         {func(path, _ string) error { return syscall.Mkfifo(path, 0o600) }, false},
	} {
		dir := t.TempDir()
		tmp, path, other := filepath.Join(dir, "tmp"), filepath.Join(dir, "t.rejects.csv"), filepath.Join(dir, "other")
		if err := errors.Join(os.WriteFile(tmp, []byte("records"), 0o600), os.WriteFile(other, []byte("records"), 0o600), test.place(path, other)); err != nil {
			t.Fatal(err)
		}
		before, _ := os.Lstat(path)
		err := publishNew(tmp, path)
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
		after, err := os.Lstat(path)
		if err != nil || before != nil && (!os.SameFile(before, after) || before.Mode() != after.Mode()) {
			t.Errorf("%s: it was replaced: %v", name, err)
		}
	}
}
