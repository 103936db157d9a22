package localpg_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/localpg"
	"shardload/internal/owned"
)

// randomTree makes files, directories and links in dir, some with names that a
// cluster's have.
func randomTree(t *testing.T, dir string, names ...string) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, uint64(len(names))))
	names = append(slices.Clone(names), "notes.txt", "a b", ".hidden", "worker", "coordinator.logs", "pgpass.old", "cluster.json~")
	for i, name := range names {
		path := filepath.Join(dir, name)
		var err error
		switch r.IntN(3) {
		case 0:
			err = os.WriteFile(path, fmt.Append(nil, r.Uint64()), os.FileMode(0o400+r.IntN(0o200)))
		case 1:
			err = errors.Join(os.Mkdir(path, 0o755), os.WriteFile(filepath.Join(path, "PG_VERSION"), []byte("15"), 0o644))
		case 2:
			err = os.Symlink(filepath.Join(dir, names[r.IntN(i+1)]), path)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// snapshot returns what is in dir, with modes, bytes and where links lead to.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	tree := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		what := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			what += fmt.Sprintf(" %x", sha256.Sum256(text))
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			what += " " + to
		}
		tree[strings.TrimPrefix(path, dir)] = what
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// unchanged fails t if something of before is no longer so in dir.
func unchanged(t *testing.T, dir string, before map[string]string) {
	t.Helper()
	if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
		t.Errorf("%s has changed (-before +after):\n%s", dir, diff)
	}
}

// A directory that this program has not made is none of its, whatever is in it.
func TestForgedCluster(t *testing.T) {
	mark := func(dir string, text string) error {
		return os.WriteFile(filepath.Join(dir, owned.MarkName), []byte(text), 0o600)
	}
	real := openDir(t)
	d, err := owned.Claim(real, "cluster", true)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	sound, err := os.ReadFile(filepath.Join(real, owned.MarkName))
	if err != nil {
		t.Fatal(err)
	}
	for name, forge := range map[string]func(dir string) error{
		"no mark":         func(string) error { return nil },
		"an empty mark":   func(dir string) error { return mark(dir, "") },
		"another's mark":  func(dir string) error { return mark(dir, string(sound)) },
		"a mark of no id": func(dir string) error { return mark(dir, `{"version":1,"id":"x","kind":"cluster"}`) },
		"a link to a mark": func(dir string) error {
			return os.Symlink(filepath.Join(real, owned.MarkName), filepath.Join(dir, owned.MarkName))
		},
		"a mark for others": func(dir string) error {
			return errors.Join(mark(dir, string(sound)), os.Chmod(filepath.Join(dir, owned.MarkName), 0o644))
		},
		"a pipe": func(dir string) error {
			return syscall.Mkfifo(filepath.Join(dir, owned.MarkName), 0o600)
		},
		"others may write": func(dir string) error { return errors.Join(mark(dir, string(sound)), os.Chmod(dir, 0o777)) },
	} {
		dir := openDir(t)
		randomTree(t, dir, "coordinator", "worker1", "pgpass", "coordinator.log")
		if err := errors.Join(os.WriteFile(filepath.Join(dir, "cluster.json"), []byte(`{"database":"x","ports":[1]}`), 0o600), forge(dir)); err != nil {
			t.Fatal(err)
		}
		before := snapshot(t, dir)
		for _, at := range []string{dir, linkTo(t, dir)} {
			if c, err := localpg.Open(at); err == nil {
				t.Errorf("%s: opened", name)
				_ = c.Remove(t.Context())
			}
			if c, err := localpg.StartDetached(t.Context(), localpg.Config{Dir: at}); err == nil {
				t.Errorf("%s: started", name)
				stopAfter(t, c)
			}
		}
		unchanged(t, dir, before)
	}
}

func linkTo(t *testing.T, dir string) string {
	t.Helper()
	link := filepath.Join(openDir(t), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	return link
}

// A kept cluster's life in a directory of the user's, which is called like a
// temporary one. One cluster for all, since each start takes its time.
func TestUsersDirectory(t *testing.T) {
	tmp := openDir(t)
	dir := filepath.Join(tmp, "shardload-pg-"+strings.Repeat("a", 26))
	if err := errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	victim := filepath.Join(openDir(t), "victim")
	if err := os.WriteFile(victim, []byte("root's"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, filepath.Dir(victim))

	c := startTwice(t, dir)
	if got := modeOf(t, dir); got != 0o755 {
		t.Errorf("the mode has become %v", got)
	}
	if left := localpg.Leftovers(tmp); len(left) > 0 {
		t.Errorf("a kept cluster is taken for one that was left behind: %v", left)
	}
	first := password(t, c)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "pgpass")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a stopped cluster has a password: %v", err)
	}
	plantLinks(t, filepath.Join(dir, "coordinator"), victim)

	c, err := localpg.StartDetached(t.Context(), localpg.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	stopAfter(t, c)
	unchanged(t, filepath.Dir(victim), before)
	if password(t, c) == first {
		t.Error("the password of the last start holds still")
	}
	if got := psql(t, c.DSN(), "SELECT 1"); got != "1" {
		t.Errorf("psql: %s", got)
	}
	u, err := url.Parse(c.DSN())
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = "sslmode=disable&password=" + first
	if conn, err := pgx.Connect(t.Context(), u.String()); err == nil {
		conn.Close(t.Context())
		t.Error("the password of the last start is let in")
	}
	removeMoved(t, c, dir)
	unchanged(t, filepath.Dir(victim), before)
}

// startTwice starts a cluster in dir by two at once: one waits, and finds that it
// runs.
func startTwice(t *testing.T, dir string) *localpg.Cluster {
	t.Helper()
	var waited atomic.Int64
	var wg sync.WaitGroup
	clusters, errs := make([]*localpg.Cluster, 2), make([]error, 2)
	for i := range clusters {
		wg.Go(func() {
			cfg := localpg.Config{Dir: dir, Waiting: func() { waited.Add(1) }}
			clusters[i], errs[i] = localpg.StartDetached(t.Context(), cfg)
		})
	}
	wg.Wait()
	if errs[0] != nil {
		clusters[0], errs[0], errs[1] = clusters[1], errs[1], errs[0]
	}
	if errs[0] != nil {
		t.Fatal(errs)
	}
	stopAfter(t, clusters[0])
	if !errors.Is(errs[1], localpg.ErrRunning) || waited.Load() != 1 {
		t.Errorf("the other: %v; %d waited", errs[1], waited.Load())
	}
	if st := clusters[0].Status(t.Context())[0]; !st.Running || st.Err != nil {
		t.Errorf("%+v", st)
	}
	return clusters[0]
}

// plantLinks does what the servers' user can do: links in the data directory where
// somebody could write through them.
func plantLinks(t *testing.T, data, victim string) {
	t.Helper()
	for _, name := range []string{"shardload.conf", "pg_hba.conf", "lock", "cluster.json.part", "coordinator.conf", "coordinator.log", "pgpass"} {
		path := filepath.Join(data, name)
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if err := os.Symlink(victim, path); err != nil {
			t.Fatal(err)
		}
	}
}

// removeMoved removes a running cluster whose directory was moved, and in which the
// user has files.
func removeMoved(t *testing.T, c *localpg.Cluster, dir string) {
	t.Helper()
	nodes := c.Nodes()
	moved := filepath.Join(openDir(t), "moved")
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	randomTree(t, moved)
	inside := filepath.Join(moved, "coordinator", "thesis.txt")
	if err := os.WriteFile(inside, []byte("years of work"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, moved)
	there, err := localpg.Open(moved)
	if err != nil {
		t.Fatal(err)
	}
	if !there.Status(t.Context())[0].Running {
		t.Error("it does not seem to run since it was moved")
	}
	err = there.Remove(t.Context())
	left, ok := errors.AsType[*owned.LeftError](err)
	if !ok || !slices.Contains(left.Names, "notes.txt") || !slices.Contains(left.Names, "coordinator/thesis.txt") {
		t.Errorf("%v", err)
	}
	awaitGone(t, nodes)
	after := snapshot(t, moved)
	for path, what := range before {
		ours := path == "/"+owned.MarkName || strings.HasPrefix(path, "/coordinator/") && after[path] == "" && !strings.HasSuffix(path, "thesis.txt") ||
			slices.Contains([]string{"/cluster.json", "/pgpass", "/pgpass.servers", "/pg_hba.conf", "/coordinator.conf", "/coordinator.log"}, path)
		if !ours && after[path] != what {
			t.Errorf("%s was %q, is %q", path, what, after[path])
		}
		if ours && after[path] != "" {
			t.Errorf("%s is still there", path)
		}
	}
}

func modeOf(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

// root writes nowhere where another user could put a link in the way.
func TestOthersDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory to another user")
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("there is no user nobody")
	}
	uid, _ := strconv.Atoi(u.Uid)
	dir := openDir(t)
	if err := os.Chown(dir, uid, -1); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	if _, err := localpg.StartDetached(t.Context(), localpg.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("%v", err)
	}
	if err := errors.Join(os.Chown(dir, 0, -1), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	if _, err := localpg.StartDetached(t.Context(), localpg.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "others may write") {
		t.Errorf("%v", err)
	}
	_ = os.Chmod(dir, 0o711)
	unchanged(t, dir, before)
}
