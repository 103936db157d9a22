package localpg

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNewestFirst(t *testing.T) {
	got := []string{
		"/usr/lib/postgresql/9.6/bin", "/usr/lib/postgresql/10/bin",
		"/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/local/bin",
	}
	slices.SortFunc(got, newestFirst)
	want := []string{
		"/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/10/bin",
		"/usr/lib/postgresql/9.6/bin", "/usr/lib/postgresql/local/bin",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if v := versionIn("/home/linuxbrew/.linuxbrew/opt/postgresql@16/bin"); v != 16 {
		t.Errorf("version %v, want 16", v)
	}
}

// Without a pg_config beside the programs, the control files are looked for where
// packagers put them.
func TestShareDir(t *testing.T) {
	for _, share := range []string{"share/postgresql", "share"} {
		root := t.TempDir()
		control := filepath.Join(root, share, "extension", "citus.control")
		if err := os.MkdirAll(filepath.Dir(control), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(control, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		inst := installationAt(filepath.Join(root, "bin"))
		if want := filepath.Join(root, share); inst.ShareDir != want || !inst.HasCitus() {
			t.Errorf("%+v, Citus %t; want %s", inst, inst.HasCitus(), want)
		}
	}
	if inst := installationAt(filepath.Join(t.TempDir(), "bin")); inst.HasCitus() {
		t.Errorf("%+v has Citus", inst)
	}
}

func TestSharedBuffers(t *testing.T) {
	for memory, want := range map[int64]int64{256 << 20: 32 << 20, 1 << 30: 64 << 20, 64 << 30: 256 << 20} {
		if got := sharedBuffers(memory); got != want {
			t.Errorf("of %d bytes %d, want %d", memory, got, want)
		}
	}
	if memory() < 64<<20 {
		t.Errorf("memory: %d", memory())
	}
}

func TestFreePortsAreDifferent(t *testing.T) {
	ports, err := freePorts(50)
	slices.Sort(ports)
	if n := len(slices.Compact(ports)); err != nil || n != 50 {
		t.Errorf("%d different ports of 50, %v", n, err)
	}
}

func TestDefaultDir(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "/state")
	if dir, err := DefaultDir(); err != nil || dir != "/state/shardload/cluster" {
		t.Errorf("%s, %v", dir, err)
	}
	t.Setenv("XDG_STATE_HOME", "not/absolute")
	t.Setenv("HOME", "/home/me")
	want := "/home/me/.local/state/shardload/cluster"
	if os.Geteuid() == 0 {
		want = "/var/lib/shardload/cluster"
	}
	if dir, err := DefaultDir(); err != nil || dir != want {
		t.Errorf("%s, %v; want %s", dir, err, want)
	}
}
