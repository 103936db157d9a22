package shardload_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPublicTypes holds that what others may import shows no type of an internal package:
// they could not name it.
func TestPublicTypes(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"loader", "loader/failure", "generate", "schema"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, shown := range internalShown(file) {
				t.Errorf("%s shows %s, of an internal package", name, shown)
			}
		}
	}
}

// A check that cannot fail is none.
func TestInternalShown(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "a.go", `package a
import ("x/internal/in"; other "x/internal/out"; "x/fine")
type A struct { B *in.B; c in.C; in.D; fine.E }
type f struct { G in.G }
func H(map[string]other.H) (fine.I, error) { var j in.J; return j.I, nil }
func (A) K() []in.K { return nil }
func (f) L(in.L) {}
var M in.M
type N = in.N
type O interface { P(in.P); q(in.Q) }
func r(in.R) {}
`, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"in.B", "in.D", "other.H", "in.K", "in.M", "in.N", "in.P"}
	if diff := cmp.Diff(want, internalShown(file)); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
}

// internalShown returns the types of internal packages that the file's exported names show.
func internalShown(file *ast.File) (shown []string) {
	internal := map[string]bool{}
	for _, spec := range file.Imports {
		of, _ := strconv.Unquote(spec.Path.Value) // it was parsed
		name := path.Base(of)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		internal[name] = strings.Contains(of, "/internal/")
	}
	var look func(n ast.Node)
	look = func(n ast.Node) {
		ast.Inspect(n, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.StructType:
				lookAtFields(n.Fields, look)
				return false
			case *ast.InterfaceType:
				lookAtFields(n.Methods, look)
				return false
			case *ast.SelectorExpr:
				if pkg, ok := n.X.(*ast.Ident); ok && internal[pkg.Name] {
					shown = append(shown, pkg.Name+"."+n.Sel.Name)
				}
				return false
			}
			return true
		})
	}
	for _, decl := range file.Decls {
		for _, n := range exported(decl) {
			look(n)
		}
	}
	return shown
}

// lookAtFields looks at the types of exported fields or methods, and of embedded ones.
func lookAtFields(list *ast.FieldList, look func(ast.Node)) {
	for _, f := range list.List {
		if len(f.Names) == 0 || ast.IsExported(f.Names[0].Name) {
			look(f.Type)
		}
	}
}

// exported returns the types of what decl exports.
func exported(decl ast.Decl) (list []ast.Node) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d.Recv.List[0].Type))) {
			list = append(list, d.Type)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() {
					list = append(list, s.Type)
				}
			case *ast.ValueSpec:
				if s.Names[0].IsExported() && s.Type != nil {
					list = append(list, s.Type)
				}
			}
		}
	}
	return list
}

// receiver returns the name of a method's type.
func receiver(of ast.Expr) string {
	switch e := of.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr: // of a generic type
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
