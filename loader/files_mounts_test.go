package loader_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestFilesOfTwoMounts holds that a set which has a name of its own is the same wherever its files are
// mounted, that each of them is stored once, alone, too, and that another file of the same name is
// refused, of whatever content.
func TestFilesOfTwoMounts(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		cfg := pieces(t, dsn)
		cfg.Job = "nightly"
		times := map[string]time.Time{}
		mount := func(names ...string) (paths []string) {
			dir := filepath.Join(t.TempDir(), "in")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				path := filepath.Join(dir, name+".csv")
				id := string('1' + name[0] - 'a')
				if err := os.WriteFile(path, []byte("id,tenant,name,n,at\n"+id+","+id+",x,1,2020-01-01\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, ok := times[name]; !ok {
					times[name] = time.Date(2020, 1, 1, 0, 0, len(times), 0, time.UTC)
				}
				if err := os.Chtimes(path, time.Time{}, times[name]); err != nil {
					t.Fatal(err)
				}
				paths = append(paths, path)
			}
			return paths
		}
		set := func(paths ...string) loader.Input {
			in, err := loader.Files(paths...)
			if err != nil {
				t.Fatal(err)
			}
			return in
		}
		here, there := mount("a", "b"), mount("a", "b", "c")
		if res, err := run(t, cfg, set(here...), 0); err != nil || res.Rows != 2 {
			t.Fatalf("%+v, %v", res, err)
		}
		if res, err := run(t, cfg, set(there...), 0); err != nil || res.Rows != 1 || res.Parts.Before != 2 {
			t.Errorf("of another mount: %+v, %v", res, err)
		}
		alone := cfg
		alone.Job = ""
		for _, path := range []string{here[1], there[2]} {
			if _, err := run(t, alone, loader.File(path), 0); !errors.As(err, new(*loader.CompleteError)) {
				t.Errorf("%s alone: error %v", path, err)
			}
		}
		times["c"] = times["c"].Add(time.Hour) // another file, then
		other := mount("a", "b", "c", "d")
		_, err := run(t, cfg, set(other...), 0)
		if set, ok := errors.AsType[*loader.SetError](err); !ok || len(set.Failed) != 1 || set.Failed[0].Part != other[2] || !strings.Contains(err.Error(), "from another directory") {
			t.Errorf("of another file with the name of one: error %v", err)
		}
		if got := query(t, conn, "SELECT string_agg(id::text, ' ' ORDER BY id) FROM flowing")[0]; got != "1 2 3 4" {
			t.Errorf("rows %s", got)
		}
		cfg.Job = "" // the paths name them
		if res, err := run(t, cfg, set(there...), 0); !errors.As(err, new(*loader.CompleteError)) && err != nil || res.Rows != 0 {
			t.Errorf("by their paths: %+v, %v", res, err)
		}
	})
}
