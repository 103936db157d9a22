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
	{"internal/term", nil},
	{"internal/pghash", nil},
	{"internal/pgarray", nil},
	{"internal/fault", nil},
	{"loader/failure", []string{"internal/fault", "internal/term"}},
	{"loader/waiting", nil},
	{"internal/server", []string{"internal/fault", "loader/waiting"}},
	{"internal/refill", nil},
	{"internal/pgcsv", []string{"internal/refill"}},
	{"internal/pgjson", []string{"internal/refill"}},
	{"internal/pgcopy", []string{"internal/pgarray"}},
	{"internal/parquettext", []string{"internal/fault", "internal/pgcopy", "internal/pgcsv"}},
	{"internal/citus", []string{"internal/pghash", "internal/fault", "internal/server"}},
	{"internal/catalog", []string{"internal/fault", "internal/server"}},
	{"internal/charset", []string{"internal/fault", "internal/server"}},
	{"internal/selection", []string{"internal/fault", "internal/catalog", "internal/server", "internal/term"}},
	{"internal/checksum", []string{"internal/pghash"}},
	{"internal/pgtext", []string{"internal/pgarray"}},
	{"internal/infer", []string{"internal/pgcopy", "internal/pgtext", "internal/server"}},
	{"internal/regular", nil},
	{"internal/owned", []string{"internal/regular"}},
	{"internal/notices", nil},
	{"internal/localpg", []string{"internal/owned", "internal/regular", "internal/fault", "internal/server", "internal/term"}},
	{"internal/tutorial", []string{"internal/server", "internal/term"}},
	{"internal/pgtest", []string{"internal/localpg"}},
	{"generate", []string{"internal/regular", "schema", "internal/checksum"}},
	{"internal/provision", []string{"internal/term", "schema", "internal/catalog", "internal/citus", "internal/server"}},
	{"internal/ledger", []string{"loader/waiting", "internal/fault", "internal/catalog", "internal/citus", "internal/server"}},
	{"internal/indexes", []string{"internal/citus", "internal/fault", "internal/ledger", "internal/server", "internal/term", "loader/failure"}},
	{"internal/input", []string{"loader/failure", "internal/catalog", "internal/fault", "internal/ledger", "internal/parquettext", "internal/pgcopy", "internal/pgcsv", "internal/pgjson", "internal/refill"}},
	{"internal/places", []string{"loader/failure", "internal/fault", "internal/input"}},
	{"internal/outline", []string{"loader/failure", "internal/fault", "internal/infer", "internal/input", "internal/pgcsv", "internal/server", "internal/term", "internal/charset"}},
	{"internal/verify", []string{"internal/selection", "internal/term", "internal/pghash", "internal/fault", "internal/catalog", "internal/checksum", "internal/citus", "internal/input", "internal/pgcsv", "internal/pgtext", "internal/server", "internal/charset"}},
	{"loader/internal/target", []string{"loader/waiting", "loader/failure", "internal/catalog", "internal/citus", "internal/fault", "internal/ledger", "internal/server"}},
	{"loader/internal/lane", []string{"internal/fault", "internal/ledger", "internal/pgcopy", "internal/pgcsv"}},
	{"loader/internal/reject", []string{"internal/regular", "loader/failure", "loader/internal/lane", "internal/fault", "internal/ledger", "internal/pgcsv", "internal/term"}},
	{"loader/internal/decode", []string{"internal/charset", "loader/failure", "loader/internal/lane", "loader/internal/reject", "loader/internal/target", "internal/catalog", "internal/citus", "internal/fault", "internal/input", "internal/ledger", "internal/pgcopy", "internal/pgcsv", "internal/pghash", "internal/server", "internal/term"}},
	{"loader/internal/job", []string{"loader/waiting", "loader/failure", "loader/internal/decode", "loader/internal/lane", "loader/internal/target", "internal/catalog", "internal/citus", "internal/fault", "internal/input", "internal/ledger", "internal/server", "internal/term"}},
	{"loader/internal/route", []string{"loader/waiting", "loader/failure", "loader/internal/job", "loader/internal/lane", "loader/internal/target", "internal/catalog", "internal/citus", "internal/fault", "internal/ledger", "internal/server", "internal/term"}},
	{"loader/internal/stage", []string{"internal/catalog", "internal/selection", "internal/server"}},
	{"loader/internal/store", []string{"loader/internal/stage", "internal/selection", "loader/failure", "loader/internal/decode", "loader/internal/job", "loader/internal/lane", "loader/internal/reject", "loader/internal/route", "loader/internal/target", "internal/catalog", "internal/citus", "internal/fault", "internal/ledger", "internal/pgcsv", "internal/server", "internal/term"}},
	{"loader", []string{"loader/waiting", "internal/places", "internal/indexes", "internal/selection", "loader/internal/stage", "loader/internal/store", "loader/internal/route", "loader/internal/job", "loader/internal/decode", "loader/internal/reject", "loader/internal/target", "loader/failure", "loader/internal/lane", "internal/term", "internal/fault", "internal/pgcsv", "internal/pgcopy", "internal/citus", "internal/catalog", "internal/input", "internal/ledger", "internal/server", "internal/charset"}},
	{"internal/bench/chart", nil},
	{"internal/bench/meter", []string{"internal/server"}},
	{"internal/bench/clock", []string{"internal/bench/meter", "loader"}},
	{"internal/bench/shape", []string{"schema"}},
	{"internal/bench/left", []string{"internal/server"}},
	{"internal/bench/tune", []string{"internal/bench/clock", "internal/bench/left", "internal/bench/meter", "internal/term", "internal/fault", "loader", "internal/catalog", "internal/citus", "internal/input", "internal/pgcsv", "internal/pgjson", "internal/server"}},
	{"internal/bench", []string{"internal/regular", "internal/bench/chart", "internal/bench/clock", "internal/bench/left", "internal/bench/meter", "internal/bench/shape", "internal/term", "internal/fault", "generate", "loader", "internal/catalog", "internal/citus", "internal/input", "internal/localpg", "internal/pgcsv", "internal/server"}},
	{"internal/metrics", []string{"loader"}},
	{"internal/cli", []string{
		"loader/waiting", "internal/places", "internal/indexes", "internal/infer", "internal/outline", "internal/fault", "schema", "generate", "loader", "internal/bench", "internal/bench/left", "internal/bench/tune", "internal/catalog", "internal/checksum", "internal/citus", "internal/input", "internal/ledger", "internal/localpg", "internal/metrics", "internal/notices", "internal/owned", "internal/pgcsv",
		"internal/pgjson", "internal/provision", "internal/refill", "internal/selection", "internal/server", "internal/term", "internal/tutorial", "internal/verify",
	}},
	{"cmd/manpages", []string{"internal/cli"}},
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
		},
		) bool {
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
