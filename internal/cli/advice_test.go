package cli

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/loader"
)

// library has the rooms that speak of themselves, and not of flags and verbs.
var library = []string{
	"../../loader", "../../generate", "../../schema", "../catalog", "../citus", "../fault", "../infer", "../input", "../ledger",
	"../outline", "../pgcopy", "../pgcsv", "../provision", "../selection", "../server", "../verify",
}

// TestLibraryNamesNoFlags holds that no text of the library tells what to type: this
// command is not the only one who uses it.
func TestLibraryNamesNoFlags(t *testing.T) {
	t.Parallel()
	flags := regexp.MustCompile(`(^|[^-\w])--[a-z]|shardload (load|verify|status|forget|schema|clean|generate)`)
	all := ""
	for _, dir := range library {
		for text, at := range texts(t, dir) {
			all += text + "\n"
			if flags.MatchString(text) {
				t.Errorf("%s: %q", at, text)
			}
		}
	}
	for i := 0; i < len(inFlagsPairs); i += 2 {
		if said := inFlagsPairs[i]; !strings.Contains(all, said) {
			t.Errorf("nothing in the library says %q", said)
		}
	}
}

// texts returns the strings of the packages in dir, but those of SQL, with their places.
func texts(t *testing.T, dir string) map[string]token.Position {
	t.Helper()
	found := map[string]token.Position{}
	files := token.NewFileSet()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					found[text] = files.Position(lit.Pos())
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestTyped holds that what an error advises is said as it is typed, and that nothing else
// of its text is touched: values may look like advice.
func TestTyped(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("value %q: %w", "Config.Memory", fault.Advise(errors.New("too small"), "raise Config.Memory"))
	if got, want := typed(err.Error(), err), `value "Config.Memory": too small; raise --memory`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestGone holds that nothing is advised about a server that is gone.
func TestGone(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("load: %w", &loader.ChangedError{Table: "ads", How: "it is gone"})
	if got, want := describe(t.Context(), &goneError{err}), "load: ads is no longer what it was when the load began: it is gone"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := describe(t.Context(), err); !strings.Contains(got, "--replace") {
		t.Errorf("of a server that is there nothing is advised: %s", got)
	}
}

// TestAdviceSaysWhatIsLost holds that whoever is told to empty a table is told of all its rows, and
// whoever is told to store something once more of that.
func TestAdviceSaysWhatIsLost(t *testing.T) {
	t.Parallel()
	var all []string
	for _, change := range []loader.Change{loader.ChangedBegun, loader.ChangedComplete, loader.ChangedGrown, loader.ChangedOther, loader.ChangedMeanwhile, loader.ChangedName} {
		all = append(all, changedAdvice(&loader.ChangedInputError{When: change, ID: "id", Other: "other"}))
	}
	for i := 1; i < len(inFlagsPairs); i += 2 {
		all = append(all, inFlagsPairs[i])
	}
	all = append(all, loadReport{forgets: true}.next(errors.New("any"), false))
	for _, text := range all {
		if strings.Contains(text, "--replace") && !strings.Contains(text, "of all") && text != "load it anew with --replace" { // of an empty table
			t.Errorf("not all that goes: %q", text)
		}
		if strings.Contains(text, "shardload forget") && strings.Contains(text, "or drop") {
			t.Errorf("what is forgotten is stored once more: %q", text)
		}
	}
}

// TestAdviceAfterForget holds that a load whose set was forgotten meanwhile does not send anybody to store
// its rows once more.
func TestAdviceAfterForget(t *testing.T) {
	t.Parallel()
	gone := fmt.Errorf("claim parts: %w", ledger.ErrSetGone)
	for _, resumable := range []bool{true, false} {
		if got := (loadReport{}).next(gone, resumable); !strings.Contains(got, "would store them once more") {
			t.Errorf("resumable %v: %q", resumable, got)
		}
	}
}

// TestOneAdvice holds that what is said of the rows that a load has stored does not advise
// against what its error does.
func TestOneAdvice(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{ledger.ErrMarksGone, &loader.JobError{Do: "empty the table and load it anew"}} {
		for _, resumable := range []bool{true, false} {
			if got := (loadReport{}).next(failure, resumable); got != "" {
				t.Errorf("after %q, %v: %q", failure, resumable, got)
			}
		}
	}
}
