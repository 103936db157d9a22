//go:build unix

package generate_test

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shardload/generate"
)

// A disk that is full is played by a process of its own that may not write files
// beyond a limit: the write fails in the same way, part of it done.
const (
	limitEnv  = "SHARDLOAD_TEST_WRITE_LIMITED_TO"
	fileLimit = 1 << 20
)

func TestDiskFull(t *testing.T) {
	if dir := os.Getenv(limitEnv); dir != "" {
		writeLimited(t, dir)
		return
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestDiskFull$", "-test.v")
	cmd.Env = append(os.Environ(), limitEnv+"="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	if want := "write " + filepath.Join(dir, "ads.csv") + ": file too large"; !strings.Contains(string(out), want) {
		t.Errorf("output:\n%s\nwant %q in it", out, want)
	}
	if diff := cmp.Diff([]string{"campaigns.csv", "companies.csv", "manifest.unfinished.jsonl"}, names(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// writeLimited logs the error of a Write whose third file is larger than a file may
// be. It runs in a process of its own.
func writeLimited(t *testing.T, dir string) {
	signal.Ignore(syscall.SIGXFSZ) // so that write returns EFBIG instead
	limit := syscall.Rlimit{Cur: fileLimit, Max: fileLimit}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	cfg := generate.Config{Companies: 100, Campaigns: 1000, Ads: 100_000, Procs: 3}
	_, err := dataset(t, cfg).Write(t.Context(), dir, generate.Output{})
	if err == nil {
		t.Fatal("the file that is too large was written")
	}
	t.Log(err)
}
