package pgtest

import (
	"os"
	"strings"
	"testing"
)

// A Setting says what becomes of a setting that a role, a database or a server brings. A
// name that begins with "context:" stands for all settings of that context.
type Setting struct {
	Name, Value string // the value is an unusual one, "" if none is tried
	Class       Class
	Why         string
}

// A Class is what is done about a setting: see internal/server/testdata/settings.txt.
type Class string

// The classes.
const (
	SetByUs  Class = "set"
	Carried  Class = "carried"
	Harmless Class = "harmless"
	AsPsql   Class = "psql"
	TheirOwn Class = "own"
)

// Settings reads the list of settings: lines of "name" or "name = value" after a line of
// the class in brackets and the reason. Each name is there once.
func Settings(t testing.TB, path string) (list []Setting) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	var class, why string
	for line := range strings.Lines(string(text)) {
		switch line = strings.TrimSpace(line); {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			class, why, _ = strings.Cut(line[1:], "]")
		default:
			name, value, _ := strings.Cut(line, "=")
			s := Setting{strings.TrimSpace(name), strings.TrimSpace(value), Class(class), strings.TrimSpace(why)}
			if seen[strings.ToLower(s.Name)] || s.Why == "" {
				t.Fatalf("%s: %q is there twice, or without a reason", path, s.Name)
			}
			seen[strings.ToLower(s.Name)] = true
			list = append(list, s)
		}
	}
	return list
}
