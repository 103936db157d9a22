package generate_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shardload/generate"
)

// Nothing of another dataset, or of the same one in other parts or another form, is
// mixed up with a dataset, or gives way to it.
func TestOtherDatasets(t *testing.T) {
	for _, test := range []struct {
		name   string
		before generate.Output
		then   func(*generate.Config, *generate.Output)
		want   string
	}{
		{"seed", generate.Output{}, func(c *generate.Config, _ *generate.Output) { c.Seed = 2 }, "manifest.json is of a dataset with other settings (seed 1, not 2): give the same ones"},
		{"several", generate.Output{}, func(c *generate.Config, _ *generate.Output) { c.Ads, c.Skew = 40_001, 0.5 }, "(skew 0.8, not 0.5; ads 40000, not 40001)"},
		{"another table", generate.Output{Tables: []string{"ads"}}, func(c *generate.Config, o *generate.Output) { c.Seed, o.Tables = 2, []string{"companies"} }, "(seed 1, not 2)"},
		{"form", generate.Output{}, func(_ *generate.Config, o *generate.Output) { o.NoHeader = true }, "(header true, not false)"},
		{"compression", generate.Output{}, func(_ *generate.Config, o *generate.Output) { o.Compression = generate.Zstd }, `(compression "", not "zstd")`},
		{"parts of another", generate.Output{Part: 1, Parts: 2}, func(c *generate.Config, o *generate.Output) { c.Seed, o.Part = 2, 2 }, "manifest.1-of-2.json is of a dataset with other settings (seed 1, not 2)"},
		{"other parts", generate.Output{Part: 1, Parts: 3}, func(_ *generate.Config, o *generate.Output) { o.Parts = 2 }, "(parts 3, not 2)"},
		{"a part of the whole", generate.Output{}, func(_ *generate.Config, o *generate.Output) { o.Part, o.Parts = 2, 2 }, "(parts 0, not 2)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, _ := write(t, pieces, test.before)
			touched(t, dir)
			cfg, out := pieces, test.before
			test.then(&cfg, &out)
			_, err := dataset(t, cfg).Write(t.Context(), dir, out)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q in it", err, test.want)
			}
			if diff := cmp.Diff([]string{}, rewritten(t, dir)); diff != "" {
				t.Errorf("files that were written (-want +got):\n%s", diff)
			}
		})
	}
}

// The journal of an unfinished dataset, and what only has a manifest's name, are
// respected like a manifest.
func TestUnfinishedOtherDataset(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"manifest.unfinished.jsonl", `{"version":1,"law":1,"seed":7,"format":"csv","header":true}`, "manifest.unfinished.jsonl is of a dataset with other settings (seed 7, not 1; "},
		{"manifest.2-of-3.unfinished.jsonl", `{"version":1,"law":1,"seed":1,"format":"csv","header":true,"parts":3}`, "parts 3, not 0"},
		{"manifest.unfinished.jsonl", `{"version":2}`, "version 2 of its form"},
		{"manifest.json", `{"name": "my extension"}`, "manifest.json: version 0 of its form: this program reads version 1: remove it"},
		{"manifest.json", `no JSON`, "manifest.json: invalid character"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, test.name), []byte(test.text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := dataset(t, pieces).Write(t.Context(), dir, generate.Output{})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q in it", test.name, err, test.want)
		}
		if got := string(read(t, dir, test.name)); got != test.text || len(names(t, dir)) != 1 {
			t.Errorf("the folder has %q, and %s is now %q", names(t, dir), test.name, got)
		}
	}
}

// Files that load would take for a part of the table are not left among its own.
func TestStrangers(t *testing.T) {
	for _, test := range []struct {
		stranger string
		out      generate.Output
	}{
		{"ads.csv", generate.Output{Split: 1_500_000}},
		{"ads.01.csv", generate.Output{Split: 1_500_000}},
		{"ads.7.csv", generate.Output{Split: 1_500_000}},
		{"ads.1.csv", generate.Output{}},
		{"ads.csv.gz", generate.Output{}},
		{"companies.0.csv", generate.Output{Part: 1, Parts: 2}},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, test.stranger), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := dataset(t, pieces).Write(t.Context(), dir, test.out)
		if err == nil || !strings.Contains(err.Error(), "it holds "+test.stranger+",") {
			t.Errorf("%+v beside %s: %v", test.out, test.stranger, err)
		}
		if diff := cmp.Diff([]string{test.stranger}, names(t, dir)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
	}
}
