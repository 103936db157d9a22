//go:build unix

package generate

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a run that was killed left behind is removed by the next one, but nothing
// that somebody else is writing, that belongs to another part, or that only looks
// like it.
func TestLeftoversAreRemoved(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{".ads.2.csv.1abc.part", ".ads.2.dirty.jsonl.9.part", ".manifest.2-of-2.json.x.part", ".manifest.2-of-2.unfinished.jsonl.x.part"} {
		if err := os.WriteFile(path(name), []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stay := []string{".ads.1.csv.1abc.part", ".ads.3.csv.1abc.part", ".ads.2.csv.gz.1abc.part", ".users.csv.1.part", ".ads.2.csv", "x.part"}
	for _, name := range stay {
		if err := os.WriteFile(path(name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	busy, err := createPart(path("campaigns.2.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()

	d, err := New(Config{Companies: 10, Campaigns: 5000, Ads: 5000, Dirty: 0.01})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(t.Context(), dir, Output{Part: 2, Parts: 2}); err != nil {
		t.Fatal(err)
	}
	want := append(stay, filepath.Base(busy.Name()),
		"ads.2.csv", "ads.2.dirty.jsonl", "campaigns.2.csv", "campaigns.2.dirty.jsonl", "manifest.2-of-2.json")
	slices.Sort(want)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
