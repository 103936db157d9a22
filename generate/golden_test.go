package generate_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shardload/generate"
	"shardload/schema"
)

var update = flag.Bool("update", false, "write the golden files anew: only together with a new law")

// A law's bytes are fixed. The small dataset is kept whole, to be read; of the
// larger ones the manifest is, with the files' sums.
func TestGolden(t *testing.T) {
	for _, test := range []struct {
		name string
		cfg  generate.Config
		out  generate.Output
		full bool // and not only the manifest
		// lists says that the lists of damaged records are kept, too.
		lists bool
	}{
		{name: "seed1", cfg: generate.Config{Companies: 8, Campaigns: 24, Ads: 80, Seed: 1, Skew: 0.8}, full: true},
		{name: "seed1-text", cfg: generate.Config{Companies: 8, Campaigns: 24, Ads: 80, Seed: 1, Skew: 0.8}, out: generate.Output{Format: generate.Text}, full: true},
		{name: "seed1-even", cfg: generate.Config{Companies: 1000, Campaigns: 10_000, Ads: 50_000, Seed: 1}},
		{name: "seed1-skewed", cfg: generate.Config{Companies: 1000, Campaigns: 10_000, Ads: 200_000, Seed: 1, Skew: 1.1}},
		{name: "seed1-dirty", cfg: generate.Config{Companies: 100, Campaigns: 1000, Ads: 5000, Seed: 1, Skew: 0.8, Dirty: 0.02}, lists: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			golden := filepath.Join("..", "testdata", "golden", test.name)
			got, _ := write(t, test.cfg, test.out)
			files := []string{generate.ManifestName}
			if test.full {
				for _, s := range schema.Tables() {
					files = append(files, s.Name+".csv")
				}
			}
			for _, s := range schema.Tables() {
				if test.lists {
					files = append(files, s.Name+".dirty.jsonl")
				}
			}
			for _, name := range files {
				compareGolden(t, filepath.Join(golden, name), read(t, got, name))
			}
		})
	}
}

func compareGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s (-want +got):\n%s", name, cmp.Diff(string(want), string(got)))
	}
}
