package reject

import (
	"path/filepath"
	"testing"
)

// TestRejectsPath holds that a path which the table of jobs has is not written to if no
// load has chosen it.
func TestRejectsPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"/a/t.rejects.jsonl": true, "/a/ü t.rejects.12.jsonl": true, "t.rejects.jsonl": false, "/a/../t.rejects.jsonl": false,
		"/etc/passwd": false, "/a/.rejects.jsonl": false, "/a/t.rejects.jsonl/x": false, "": false,
	} {
		if got := isRejects(filepath.FromSlash(path)); got != want {
			t.Errorf("%q: %v, want %v", path, got, want)
		}
	}
}
