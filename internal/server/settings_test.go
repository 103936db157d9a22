package server_test

import (
	"slices"
	"strings"
	"testing"

	"shardload/internal/pgtest"
	"shardload/internal/server"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const settingsFile = "testdata/settings.txt"

// TestSettingsAreKnown holds that somebody has thought of each setting that the server
// has: whether it can change what is stored, seen or waited for.
func TestSettingsAreKnown(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, s := range pgtest.Settings(t, settingsFile) {
		known[strings.ToLower(s.Name)] = true
	}
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		if len(pgtest.Query(t, conn, "SELECT FROM pg_extension WHERE extname = 'citus'")) > 0 {
			pgtest.Exec(t, conn, "LOAD 'citus_columnar'")
		}
		for _, row := range pgtest.Query(t, conn, "SELECT lower(name), context FROM pg_settings ORDER BY 1") {
			name, context, _ := strings.Cut(row, "|")
			if !known[name] && !known["context:"+context] {
				t.Errorf("%s (%s) is new: say in %s what becomes of it", name, context, settingsFile)
			}
		}
	})
}

// TestSettingsAreTrue holds that the list of settings says what the code does.
func TestSettingsAreTrue(t *testing.T) {
	t.Parallel()
	set, carried := server.Fixed()
	class := map[string]pgtest.Class{}
	for _, s := range pgtest.Settings(t, settingsFile) {
		class[s.Name] = s.Class
		if s.Class == pgtest.Carried && s.Name != "search_path" && !slices.Contains(carried, s.Name) {
			t.Errorf("%s is carried nowhere", s.Name)
		}
	}
	for _, name := range set {
		if class[name] != pgtest.SetByUs && !(class[name] == pgtest.Carried && slices.Contains(carried, name)) {
			t.Errorf("%s is set, and the list says %q", name, class[name])
		}
	}
	for _, name := range carried {
		if class[name] != pgtest.Carried && !(class[name] == pgtest.SetByUs && slices.Contains(set, name)) && name != "client_encoding" {
			t.Errorf("%s is carried, and the list says %q", name, class[name])
		}
	}
}
