package shardload_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// connectors are the functions of the driver that make a connection or understand a
// connection string, by package.
var connectors = map[string][]string{
	"pgx":     {"Connect", "ConnectConfig", "ConnectWithOptions", "ParseConfig", "ParseConfigWithOptions"},
	"pgconn":  {"Connect", "ConnectConfig", "ConnectWithOptions", "ParseConfig", "ParseConfigWithOptions", "Construct"},
	"pgxpool": {"New", "NewWithConfig", "ParseConfig"},
	"sql":     {"Open", "OpenDB"},
}

// TestOnePlaceConnects holds that internal/server alone makes connections: they have
// bounds, and send no password where it must not go. Tests may make their own.
func TestOnePlaceConnects(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{$d := .Dir}}{{range .GoFiles}}{{$.ImportPath}} {{$d}}/{{.}}{{"\n"}}{{end}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		pkg, file, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || pkg == module+"/internal/pgtest" {
			continue
		}
		for _, call := range connects(t, file) {
			if pkg == module+"/internal/server" {
				seen++
				continue
			}
			t.Errorf("%s: %s: only internal/server makes connections", file, call)
		}
	}
	if seen == 0 {
		t.Error("internal/server makes none: this test looks for the wrong names")
	}
}

// connects returns the connectors that a file names.
func connects(t *testing.T, file string) (found []string) {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if pkg, ok := sel.X.(*ast.Ident); ok && slices.Contains(connectors[pkg.Name], sel.Sel.Name) {
				found = append(found, pkg.Name+"."+sel.Sel.Name)
			}
			if pkg, ok := sel.X.(*ast.Ident); sel.Sel.Name == "SendPrepare" || sel.Sel.Name == "Prepare" && (!ok || pkg.Name != "ledger") {
				found = append(found, sel.Sel.Name) // a pooler of transactions loses what is prepared
			}
		}
		return true
	})
	return found
}
