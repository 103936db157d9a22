// Package shardload_test holds what is true of the module as a whole.
package shardload_test

import (
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "shardload"

// layers has every package of the module, and which others it may import. They
// run downwards: a package names only packages above its own line. What only
// tests import is not asked about; pgtest is nobody's.
var layers = []struct {
	pkg     string
	imports []string
}{
	{".", nil},
	{"schema", nil},
	{"internal/pgcsv", nil},
	{"internal/pgcopy", nil},
	{"internal/citus", nil},
	{"internal/catalog", nil},
	{"internal/checksum", nil},
	{"internal/pgtext", nil},
	{"internal/localpg", nil},
	{"internal/tutorial", nil},
	{"internal/gotest", nil},
	{"internal/pgtest", []string{"internal/localpg"}},
	{"internal/input", []string{"internal/pgcsv"}},
	{"generate", []string{"schema", "internal/checksum"}},
	{"internal/provision", []string{"schema", "internal/catalog", "internal/citus"}},
	{"internal/verify", []string{"internal/catalog", "internal/checksum", "internal/citus", "internal/input", "internal/pgcsv", "internal/pgtext"}},
	{"internal/ledger", []string{"internal/catalog", "internal/citus"}},
	{"loader", []string{"internal/pgcsv", "internal/pgcopy", "internal/citus", "internal/catalog", "internal/input", "internal/ledger"}},
	{"internal/bench", []string{"schema", "generate", "loader", "internal/catalog", "internal/citus", "internal/input", "internal/localpg", "internal/pgcsv"}},
	{"internal/metrics", []string{"loader"}},
	{"internal/cli", []string{
		"schema", "generate", "loader", "internal/bench", "internal/catalog", "internal/checksum", "internal/citus", "internal/input", "internal/ledger", "internal/localpg", "internal/metrics", "internal/pgcsv",
		"internal/provision", "internal/tutorial", "internal/verify",
	}},
	{"cmd/shardload", []string{"internal/cli"}},
}

func TestLayers(t *testing.T) {
	out, err := exec.Command("go", "list", "-e", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		found[fields[0]] = fields[1:]
	}
	for _, problem := range violations(found) {
		t.Error(problem)
	}
}

// The list itself keeps the order that it asks of the packages.
func TestLayersRunDownwards(t *testing.T) {
	var above []string
	for _, layer := range layers {
		for _, imp := range layer.imports {
			if !slices.Contains(above, imp) {
				t.Errorf("%s may import %s, which is not above it", layer.pkg, imp)
			}
		}
		above = append(above, layer.pkg)
	}
}

// A check that cannot fail is none.
func TestViolations(t *testing.T) {
	got := violations(map[string][]string{
		"shardload/schema":       {"strings", "github.com/jackc/pgx/v5"},
		"shardload/generate":     {"shardload/schema", "shardload/internal/checksum"},
		"shardload/loader":       {"context", "shardload/schema"},
		"shardload/internal/new": {"fmt"},
	})
	want := []string{
		"internal/new is not in the list of layers",
		"loader must not import schema",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

// violations says what in imports, by import path, the layers forbid.
func violations(imports map[string][]string) []string {
	var problems []string
	for _, path := range slices.Sorted(maps.Keys(imports)) {
		pkg := strings.TrimPrefix(path, module+"/")
		if path == module {
			pkg = "."
		}
		at := slices.IndexFunc(layers, func(l struct {
			pkg     string
			imports []string
		}) bool {
			return l.pkg == pkg
		})
		if at < 0 {
			problems = append(problems, fmt.Sprintf("%s is not in the list of layers", pkg))
			continue
		}
		for _, imp := range imports[path] {
			dep, ours := strings.CutPrefix(imp, module+"/")
			if ours && !slices.Contains(layers[at].imports, dep) {
				problems = append(problems, fmt.Sprintf("%s must not import %s", pkg, dep))
			}
		}
	}
	return problems
}
