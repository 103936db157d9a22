package shardload_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// limitless has the rooms that say of no wait how long it is, and of no try how often it
// comes again: they ask internal/fault. What lies below them is included.
var limitless = []string{"loader", "internal/server", "internal/citus", "internal/ledger", "internal/verify", "internal/input", "internal/places", "internal/catalog"}

// noWaits has what is a length of time there all the same, and why. What is here needs to be.
var noWaits = map[string]string{
	"internal/input/stat.go: fineGrain":   "how finely a file system notes times",
	"internal/input/stat.go: coarseGrain": "likewise",
	"internal/input/stat.go: statOf":      "a time of whole milliseconds comes from a coarse clock",
}

// TestLimits holds that how long is waited and how often is tried stands in internal/fault.
func TestLimits(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, room := range limitless {
		err := fs.WalkDir(os.DirFS("."), room, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "testdata":
				return fs.SkipDir
			case d.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				return err
			}
			for _, what := range limitsOf(file) {
				found[name+": "+what] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if noWaits[name] == "" {
			t.Errorf("%s is a limit of its own: put it into internal/fault/limits.go, or say in noWaits why not", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(noWaits)) {
		if !found[name] {
			t.Errorf("%s is there no more: take it off the list", name)
		}
	}
}

// A check that cannot fail is none.
func TestLimitsOf(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "a.go", `package a
import ("context"; "time"; "x/fault")
const a = 5 * time.Second
const ( b, none = time.Minute, 7; c time.Duration = 5; dTries = 3; none2 = "s" )
var d = time.Hour
var none3 = fault.RetryFor
type none4 struct { Limit time.Duration }
func e() { const inside = time.Second }
func f(ch chan int) { select { case <-ch: case <-time.After(3 * time.Second): } }
func (none4) g() { time.AfterFunc(100, func() {}) }
func h(ctx context.Context) { context.WithTimeout(ctx, time.Duration(2)*time.Second) }
func i() { w := none4{Limit: 2 * time.Second}; _ = w }
func j(n int) time.Duration { if n < 0 { return (1500) * time.Millisecond }; return 0 }
func none5(n int, d time.Duration) any { return time.Duration(n) * time.Second + fault.Slack + d.Round(100*time.Millisecond) }
func none6(d time.Duration) int { time.Sleep(d); <-time.After(fault.Delay); return int(d / time.Millisecond) }
func k() { time.NewTicker(time.Second) }
`, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a", "b", "c", "dTries", "d", "e", "f", "g", "h", "i", "j", "k"}
	if diff := cmp.Diff(want, limitsOf(file)); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
}

// limitsOf names the constants, variables and functions of a file that say how long
// something lasts, or how often it is tried: a length of time that is written down, in
// whatever unit. A number that is given a unit is none, nor is one to which is rounded.
func limitsOf(file *ast.File) []string {
	var names []string
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && saysLimit(f) {
			names = append(names, f.Name.Name)
		}
		list, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range list.Specs {
			v, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			for i, name := range v.Names {
				constant := list.Tok == token.CONST
				if constant && limitByName(name.Name, v) || i < len(v.Values) && saysLimit(v.Values[i]) {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}

// limitByName reports whether a constant's name or type says that it is a limit.
func limitByName(name string, v *ast.ValueSpec) bool {
	return strings.HasSuffix(strings.ToLower(name), "tries") || v.Type != nil && isTime(v.Type, "Duration")
}

// saysLimit reports whether a length of time is written down in n.
func saysLimit(n ast.Node) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			found = found || isUnit(n)
		case *ast.BinaryExpr:
			if isUnit(n.X) && !isNumber(n.Y) {
				found = found || saysLimit(n.Y)
				return false
			}
			if isUnit(n.Y) && !isNumber(n.X) {
				found = found || saysLimit(n.X)
				return false
			}
		case *ast.CallExpr:
			called, _ := n.Fun.(*ast.SelectorExpr)
			switch {
			case called == nil:
			case called.Sel.Name == "Round" || called.Sel.Name == "Truncate":
				found = found || saysLimit(called.X)
				return false
			case waits(called):
				found = found || slices.ContainsFunc(n.Args, isNumber)
			}
		}
		return !found
	})
	return found
}

// waits reports whether what is called takes a length of time.
func waits(called *ast.SelectorExpr) bool {
	return isTime(called, "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep") ||
		slices.Contains([]string{"WithTimeout", "WithTimeoutCause"}, called.Sel.Name)
}

func isUnit(e ast.Expr) bool {
	return isTime(e, "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour")
}

// isTime reports whether e is one of these names of package time.
func isTime(e ast.Expr, names ...string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := s.X.(*ast.Ident)
	return ok && pkg.Name == "time" && slices.Contains(names, s.Sel.Name)
}

// isNumber reports whether e is a number, as such or as a length of time.
func isNumber(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Kind == token.INT || e.Kind == token.FLOAT
	case *ast.ParenExpr:
		return isNumber(e.X)
	case *ast.CallExpr:
		return isTime(e.Fun, "Duration") && len(e.Args) == 1 && isNumber(e.Args[0])
	}
	return false
}
