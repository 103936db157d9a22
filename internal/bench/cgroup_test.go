package bench

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each version of control groups has its own files.
func TestCPULimit(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string // that are there
		want  map[string]string // that are written
	}{
		{
			"version 2",
			map[string]string{"cgroup.controllers": "cpuset cpu io\n", "cgroup.subtree_control": ""},
			map[string]string{"cgroup.subtree_control": "+cpu", "mine/cpu.max": "3000 20000"},
		},
		{
			"version 1 beside an empty version 2",
			map[string]string{"cgroup.controllers": "hugetlb cpuset\n", "cpu/cgroup.procs": ""},
			map[string]string{"cpu/mine/cpu.cfs_period_us": "20000", "cpu/mine/cpu.cfs_quota_us": "3000"},
		},
	} {
		root := t.TempDir()
		for name, text := range tc.files {
			write(t, filepath.Join(root, name), text)
		}
		limit, err := newCPULimit(root, "mine", 0.15)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if err := limit.add(os.Getpid()); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		got := map[string]string{}
		for name := range tc.want {
			text, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				t.Error(err)
			}
			got[name] = string(text)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
	if _, err := newCPULimit(t.TempDir(), "mine", 0.1); err == nil {
		t.Error("a directory without control groups is taken for one")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
