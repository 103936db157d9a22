package fault

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
)

// sqlstates returns the SQLSTATEs of PostgreSQL, and those that the installed servers
// have beside them.
func sqlstates(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile("testdata/sqlstates.txt")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`\b[0-9A-Z]{5}\b`).FindAllString(string(data), -1)
	installed, err := filepath.Glob("/usr/share/postgresql/*/errcodes.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range installed {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^([0-9A-Z]{5})\s+[EWS]\s`).FindAllSubmatch(data, -1) {
			list = append(list, string(m[1]))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// TestEverySQLSTATE holds what each SQLSTATE means that a server may say. One of a
// class that nobody has thought of fails here.
func TestEverySQLSTATE(t *testing.T) {
	got := map[Kind][]string{}
	for _, code := range sqlstates(t) {
		class, ok := classes[code[:2]]
		if !ok || class.why == "" {
			t.Errorf("class %s of %s is not decided", code[:2], code)
		}
		kind := Of(&pgconn.PgError{Code: code})
		got[kind] = append(got[kind], code)
	}
	for kind, want := range map[Kind]string{
		Passing: "08000 08001 08003 08004 08006 08007 25006 25P03 25P04 40000 40001 40003 40P01 53000 53100 53200 53300 55P03 " +
			"57000 57014 57P01 57P02 57P03 57P05 58000 58030 72000 HV00N",
		Changed: "08P01 22P03 22P04",
		Moved:   "42P01",
		Refused: "03000 0B000 25000 25001 25002 25003 25004 25005 25007 25008 25P01 25P02 26000 28000 28P01 39P03 3D000 53400 57P04 58P02 F0000 F0001 XX001 XX002",
		Ours:    "",
	} {
		if diff := cmp.Diff(strings.Fields(want), got[kind], cmp.Transformer("none", func(list []string) []string { return append([]string{}, list...) })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
	for _, code := range got[Row] {
		if !strings.Contains("09 10 20 21 22 23 27 38 40 44 P0", code[:2]) {
			t.Errorf("%s is a row's", code)
		}
	}
}

// TestTableIsUsed holds that no decision is about a code or class that no server has.
func TestTableIsUsed(t *testing.T) {
	list := sqlstates(t)
	for code := range codes {
		if !slices.Contains(list, code) {
			t.Errorf("no server says %s", code)
		}
	}
	for class := range classes {
		if !slices.ContainsFunc(list, func(code string) bool { return code[:2] == class }) {
			t.Errorf("no server says %s", class)
		}
	}
}

// TestMessages holds what decides beside the SQLSTATE.
func TestMessages(t *testing.T) {
	for _, tt := range []struct {
		err  pgconn.PgError
		want Kind
	}{
		{pgconn.PgError{Code: "XX000", Message: "terminating connection due to administrator command"}, Passing},
		{pgconn.PgError{Code: "XX000", Message: "canceling statement due to user request"}, Passing},
		{pgconn.PgError{Code: "XX000", Message: "the database system is shutting down"}, Passing},
		{pgconn.PgError{Code: "XX000", Message: "tuple concurrently updated"}, Passing},
		{pgconn.PgError{Code: "XX000", Message: "connection to the remote node 10.0.0.1:5432 failed with the following error: timeout"}, Passing},
		{pgconn.PgError{Code: "XX000", Message: "server closed the connection unexpectedly"}, Passing},
		{pgconn.PgError{Code: "XX000", Message: "out of memory"}, Passing},
		{pgconn.PgError{Code: "XX000", Message: `a trigger does not like "out of memory"`}, Unclear},
		{pgconn.PgError{Code: "XX000", Message: `new row for relation "t_102008" violates check constraint "c_102008"`}, Row},
		{pgconn.PgError{Code: "XX000", Message: `conflicting key value violates exclusion constraint "c_102008"`}, Row},
		{pgconn.PgError{Code: "XX000", Message: "could not find valid entry for shard 102008"}, Moved},
		{pgconn.PgError{Code: "42P01", Message: `relation "t_102008" does not exist`}, Moved},
		{pgconn.PgError{Code: "42P01", Where: "PL/pgSQL function f() line 1 at SQL statement"}, Unclear},
		{pgconn.PgError{Code: "57014", Routine: "exec_stmt_raise"}, Unclear},
		{pgconn.PgError{Code: "P0001", Routine: "exec_stmt_raise"}, Row},
		{pgconn.PgError{Code: "08P01", Severity: "FATAL", Message: "server conn crashed?"}, Passing},
		{pgconn.PgError{Code: "08P01", Severity: "ERREUR", SeverityUnlocalized: "ERROR"}, Changed},
		{pgconn.PgError{Code: "0A000", Message: "cannot set transaction read-write mode during recovery"}, Passing},
		{pgconn.PgError{Code: "U0001", Message: "a user's own"}, Unclear},
		{pgconn.PgError{}, Unclear},
	} {
		if got := Of(&tt.err); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.err, got, tt.want)
		}
	}
}

// TestOnePlace holds that no other package knows a SQLSTATE.
func TestOnePlace(t *testing.T) {
	known := sqlstates(t)
	seen := map[string]string{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "internal/fault/") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				text, _ := strconv.Unquote(lit.Value)
				if slices.Contains(known, text) {
					seen[path] = text
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range slices.Sorted(maps.Keys(seen)) {
		t.Errorf("%s names SQLSTATE %s: give it a name in internal/fault", path, seen[path])
	}
}
