package generate_test

import (
	"context"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"shardload/generate"
)

// TestPipeForManifest holds that no pipe is waited for which stands where a dataset has a file
// of its own: nobody would ever write to it, and no signal ends an open that waits.
func TestPipeForManifest(t *testing.T) {
	t.Parallel()
	data, err := generate.New(generate.Config{Companies: 1, Campaigns: 1, Ads: 1, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"manifest.json", "manifest.1-of-2.json", "manifest.unfinished.jsonl", "ads.csv", ".ads.csv.1.part"} {
		dir := t.TempDir()
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := generate.ReadManifest(dir); err == nil {
			t.Errorf("%s: a manifest was read", name)
		}
		_, err := data.Write(context.Background(), dir, generate.Output{})
		if part := strings.HasSuffix(name, ".part"); (err == nil) != part || err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("%s: write: %v", name, err)
		}
	}
}
