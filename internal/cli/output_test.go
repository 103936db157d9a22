package cli

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What people read passes through output.go, which escapes it: no other file of the
// module writes to standard output or standard error.
func TestWaysOut(t *testing.T) {
	root := filepath.Join("..", "..")
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files++
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, leak := range waysOut(filepath.ToSlash(name), file) {
			t.Errorf("%s: %s", fset.Position(leak.pos), leak.what)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 {
		t.Errorf("%d files were looked at", files)
	}
}

// A check that cannot fail is none.
func TestWaysOutFindsThem(t *testing.T) {
	const source = `package cli; import "log"
func (a *app) leak(w io.Writer) {
	fmt.Println("x")
	fmt.Fprintf(w, "x")
	io.WriteString(a.Stdout, "x")
	a.Stderr.Write(nil)
	w = os.Stdout
	log.Print("x")
	slog.Info("x")
	println("x")
	raw(a.Stdout).Write(nil)
	printTable(a.Stdout, nil, nil)
	isTerminal(a.Stderr)
	fmt.Sprintf("x")
	slog.New(nil)
}`
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "leak.go", source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]bool{}
	for _, leak := range waysOut("internal/cli/leak.go", file) {
		found[fset.Position(leak.pos).Line] = true
	}
	for line := 3; line <= 15; line++ {
		if want := line <= 11; found[line] != want {
			t.Errorf("line %d: found %t, want %t: %s", line, found[line], want, strings.Split(source, "\n")[line-1])
		}
	}
}

type wayOut struct {
	pos  token.Pos
	what string
}

// processOutput has the files that may name the process's own output: a main, and
// what only tests and their report use.
var processOutput = []string{"cmd/shardload/main.go", "cmd/manpages/main.go", "internal/pgtest/pgtest.go"}

// waysOut returns where a file writes, or could, what people read.
func waysOut(name string, file *ast.File) (leaks []wayOut) {
	inCLI := strings.HasPrefix(name, "internal/cli/") && name != "internal/cli/output.go"
	if slices.Contains(processOutput, name) {
		return nil
	}
	logs := slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"log"` })
	allowed := map[ast.Node]bool{} // a.Stdout where it is given to what escapes
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch called := written(call.Fun); {
		case slices.Contains([]string{"printTable", "isTerminal", "terminalWidth", "term.NewWriter", "root.SetOut", "root.SetErr"}, called),
			called == "raw" && name == "internal/cli/progress.go": // the bar's control sequences
			for _, arg := range call.Args {
				allowed[arg] = true
			}
		case called == "raw" && inCLI, called == "print", called == "println":
			leaks = append(leaks, wayOut{call.Pos(), called + " writes past the writer that escapes"})
		}
		return true
	})
	ast.Inspect(file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		called := written(sel)
		pkg, fn, _ := strings.Cut(called, ".")
		switch {
		case called == "os.Stdout" || called == "os.Stderr",
			pkg == "fmt" && strings.HasPrefix(fn, "Print"),
			pkg == "log" && logs,
			pkg == "slog" && slices.Contains([]string{"Default", "SetDefault", "Debug", "Info", "Warn", "Error", "Log"}, fn):
			leaks = append(leaks, wayOut{sel.Pos(), called + " is the process's output"})
		case inCLI && (pkg == "fmt" && strings.HasPrefix(fn, "Fprint") || called == "io.WriteString" || called == "io.Copy"):
			leaks = append(leaks, wayOut{sel.Pos(), called + ": print with a.printf, a.tell or a.note"})
		case inCLI && (sel.Sel.Name == "Stdout" || sel.Sel.Name == "Stderr") && !allowed[n] && !(name == "internal/cli/cli.go" && pkg == "env"):
			leaks = append(leaks, wayOut{sel.Pos(), called + ": print with a.printf, a.tell or a.note"})
		}
		return true
	})
	return leaks
}

// written returns an expression such as a.b.c as it is written.
func written(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return written(e.X) + "." + e.Sel.Name
	}
	return fmt.Sprintf("(%T)", e)
}
