package generate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shardload/generate"
)

// A user's own files stay as they are, whatever they are called, and so do files of
// the dataset that the user has changed.
func TestUsersFiles(t *testing.T) {
	dirty := shapes[6]
	dirty.Dirty = 0.01
	for _, test := range []struct {
		name  string
		place func(t *testing.T, dir string)
	}{
		{"ads.csv", func(t *testing.T, dir string) { create(t, dir, "ads.csv", "mine") }},
		{"ads.dirty.jsonl", func(t *testing.T, dir string) { create(t, dir, "ads.dirty.jsonl", "mine") }},
		{"companies.csv", func(t *testing.T, dir string) {
			create(t, dir, "mine", "mine")
			if err := os.Symlink("mine", filepath.Join(dir, "companies.csv")); err != nil {
				t.Fatal(err)
			}
		}},
		{"campaigns.csv", func(t *testing.T, dir string) {
			if err := os.Symlink("nothing", filepath.Join(dir, "campaigns.csv")); err != nil {
				t.Fatal(err)
			}
		}},
		{"ads.csv changed", func(t *testing.T, dir string) { begun(t, dirty, dir); change(t, dir, "ads.csv") }},
		{"companies.csv cut", func(t *testing.T, dir string) { begun(t, dirty, dir); cut(t, dir, "companies.csv") }},
		{"ads.csv without a manifest", func(t *testing.T, dir string) { begun(t, dirty, dir); remove(t, dir, "manifest.json") }},
		{"ads.csv of a killed run", func(t *testing.T, dir string) {
			begun(t, dirty, dir)
			unfinish(t, dir, "ads.csv")
			create(t, dir, "ads.csv", "mine")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			create(t, dir, "notes.txt", "mine, too")
			test.place(t, dir)
			before := contents(t, dir)
			_, err := dataset(t, dirty).Write(t.Context(), dir, generate.Output{})
			if err == nil || !strings.Contains(err.Error(), ": another file stands there") {
				t.Errorf("%v", err)
			}
			after := contents(t, dir)
			for name, text := range before {
				if !strings.HasPrefix(name, "manifest") && after[name] != text {
					t.Errorf("%s was %.20q, is %.20q", name, text, after[name])
				}
			}
		})
	}
}

// A run that was killed between a file's last byte and its line in the journal goes
// on.
func TestKilledBesideItsJournal(t *testing.T) {
	dir := t.TempDir()
	begun(t, shapes[6], dir)
	want := contents(t, dir)
	unfinish(t, dir, "ads.csv")
	if _, err := dataset(t, shapes[6]).Write(t.Context(), dir, generate.Output{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, contents(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// begun writes a dataset into dir.
func begun(t *testing.T, cfg generate.Config, dir string) {
	t.Helper()
	if _, err := dataset(t, cfg).Write(t.Context(), dir, generate.Output{}); err != nil {
		t.Fatal(err)
	}
}

// unfinish makes of a complete dataset what a run leaves that was killed beside that
// file.
func unfinish(t *testing.T, dir, name string) {
	t.Helper()
	m, err := generate.ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := slices.DeleteFunc(m.Files, func(f generate.File) bool { return f.Name == name })
	m.Files = nil
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	err = e.Encode(m)
	for _, f := range files {
		err = errors.Join(err, e.Encode(f))
	}
	for _, begun := range []string{name, strings.TrimSuffix(name, ".csv") + ".dirty.jsonl"} {
		err = errors.Join(err, e.Encode(map[string]any{"name": begun, "begun": true}))
	}
	if err != nil {
		t.Fatal(err)
	}
	remove(t, dir, "manifest.json")
	create(t, dir, "manifest.unfinished.jsonl", text.String())
}

func create(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// contents returns what is in the files of dir, and where its links lead to.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range names(t, dir) {
		path := filepath.Join(dir, name)
		if to, err := os.Readlink(path); err == nil {
			all[name] = "-> " + to
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		all[name] = string(text)
	}
	return all
}
