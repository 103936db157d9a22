package shardload_test

import (
	"fmt"
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

// What a reader can keep in mind of a type or a function.
const (
	maxMethods = 20
	maxFields  = 15
	maxLines   = 60
)

// oversized has what may be larger, and why. What is here needs to be.
var oversized = map[string]string{
	"loader.Config": "what a program sets in one place, each field by its name",
}

// Types and functions are small enough to be read at once. Tests are not asked about.
func TestSizes(t *testing.T) {
	t.Parallel()
	found := newSizes()
	files := 0
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (base == "testdata" || strings.HasPrefix(base, ".")):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		files++
		return found.read(name, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 {
		t.Errorf("%d files were looked at", files)
	}
	large := found.large()
	for _, name := range slices.Sorted(maps.Keys(large)) {
		if oversized[name] == "" {
			t.Errorf("%s has %s: split it by what belongs together, or say in oversized why not", name, large[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(oversized)) {
		if large[name] == "" {
			t.Errorf("%s is not too large any more: take it off the list", name)
		}
	}
}

// A check that cannot fail is none.
func TestSizesFindsThem(t *testing.T) {
	var source strings.Builder
	source.WriteString("package p\ntype Wide struct {\n\tA, B, C int\n\tTiny\n")
	for i := range maxFields - 3 {
		fmt.Fprintf(&source, "\tf%d int\n", i)
	}
	source.WriteString("}\ntype Tiny struct{ a int }\ntype busy[T any] int\n")
	for i := range maxMethods + 1 {
		fmt.Fprintf(&source, "func (b *busy[T]) m%d() {}\n", i)
	}
	for name, lines := range map[string]int{"long": maxLines + 1, "fits": maxLines, "(Tiny) long": maxLines + 1} {
		fmt.Fprintf(&source, "func %s() {%s}\n", name, strings.Repeat("\n", lines-1))
	}
	found := newSizes()
	if err := found.read("some/pkg/p.go", source.String()); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"some/pkg.Wide": "16 fields", "some/pkg.busy": "21 methods", "some/pkg.long": "61 lines", "some/pkg.Tiny.long": "61 lines",
	}
	if diff := cmp.Diff(want, found.large()); diff != "" {
		t.Errorf("too large (-want +got):\n%s", diff)
	}
}

// sizes are those of types and functions, by their names: loader.Config,
// loader.Config.validate.
type sizes struct {
	methods map[string]map[string]bool // by type: their names, since systems have files of their own
	fields  map[string]int
	lines   map[string]int
}

func newSizes() sizes {
	return sizes{methods: map[string]map[string]bool{}, fields: map[string]int{}, lines: map[string]int{}}
}

// read notes what the file of that name has; source replaces what is in it.
func (s sizes) read(name string, source any) error {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, source, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	pkg := path.Dir(name) + "."
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if typ, ok := spec.(*ast.TypeSpec); ok {
					s.fields[pkg+typ.Name.Name] = fieldsOf(typ)
				}
			}
		case *ast.FuncDecl:
			name := pkg + d.Name.Name
			if d.Recv != nil {
				owner := pkg + ownerOf(d.Recv.List[0].Type)
				if s.methods[owner] == nil {
					s.methods[owner] = map[string]bool{}
				}
				s.methods[owner][d.Name.Name] = true
				name = owner + "." + d.Name.Name
			}
			lines := fset.Position(d.End()).Line - fset.Position(d.Pos()).Line + 1
			s.lines[name] = max(s.lines[name], lines)
		}
	}
	return nil
}

// fieldsOf returns how many fields a struct has, each embedded one counted once.
func fieldsOf(typ *ast.TypeSpec) (n int) {
	if of, ok := typ.Type.(*ast.StructType); ok {
		for _, f := range of.Fields.List {
			n += max(len(f.Names), 1)
		}
	}
	return n
}

// ownerOf returns the name of a method's type.
func ownerOf(of ast.Expr) string {
	switch e := of.(type) {
	case *ast.StarExpr:
		return ownerOf(e.X)
	case *ast.IndexExpr:
		return ownerOf(e.X)
	case *ast.IndexListExpr:
		return ownerOf(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// large says what is larger than it should be.
func (s sizes) large() map[string]string {
	list := map[string]string{}
	note := func(name string, n, most int, what string) {
		if n > most {
			list[name] = strings.TrimPrefix(list[name]+fmt.Sprintf(", %d %s", n, what), ", ")
		}
	}
	for name, methods := range s.methods {
		note(name, len(methods), maxMethods, "methods")
	}
	for name, n := range s.fields {
		note(name, n, maxFields, "fields")
	}
	for name, n := range s.lines {
		note(name, n, maxLines, "lines")
	}
	return list
}
