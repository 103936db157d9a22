package generate_test

import (
	"os"
	"path/filepath"
	"testing"

	"shardload/generate"
)

func TestMissing(t *testing.T) {
	for _, test := range []struct {
		files []string
		want  string
	}{
		{nil, ""},
		{[]string{"ads.csv"}, ""},
		{[]string{"ads.csv", "manifest.json"}, ""},
		{[]string{"ads.csv", "manifest.unfinished.jsonl"}, "its dataset is not finished (manifest.unfinished.jsonl): run the same generate command again for the rest"},
		{[]string{"manifest.1-of-2.json", "manifest.2-of-2.unfinished.jsonl"}, "its dataset is not finished (manifest.2-of-2.unfinished.jsonl): run the same generate command again for the rest"},
		{[]string{"manifest.1-of-2.json", "manifest.2-of-2.json"}, ""},
		{[]string{"manifest.2-of-3.json"}, "it has 1 of the dataset's 3 parts: 2"},
		{[]string{"manifest.01-of-10.json", "manifest.03-of-10.json", "manifest.04-of-10.json", "manifest.05-of-10.json", "manifest.10-of-10.json"}, "it has 5 of the dataset's 10 parts: 1, 3-5, 10"},
	} {
		dir := t.TempDir()
		for _, name := range test.files {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := generate.Missing(dir); got != test.want || err != nil {
			t.Errorf("%q: %q, %v; want %q", test.files, got, err, test.want)
		}
	}
	if _, err := generate.Missing(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no folder: no error")
	}
}
