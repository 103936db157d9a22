package loader_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestOpenPipe holds that a pipe which is open already, as a shell's <(command) is, is loaded
// under the name that was given, and a file that is gone is not.
func TestOpenPipe(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/fd/0"); err != nil {
		t.Skip("open files have no names here")
	}
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, "CREATE TABLE piped (id int)")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("id\n1\n2\n"); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/dev/fd/%d", r.Fd())
	res, err := run(t, loader.Config{Conn: parse(t, dsn), Table: "piped"}, loader.File(path), 0)
	if err != nil || res.Rows != 2 {
		t.Errorf("%s: %d rows, error %v", path, res.Rows, err)
	}
	runtime.KeepAlive(r)
	if got := pgtest.Query(t, conn, "SELECT name FROM shardload_jobs"); len(got) != 1 || got[0] != path {
		t.Errorf("jobs %v, want %s", got, path)
	}
	gone := filepath.Join(t.TempDir(), "gone.csv")
	if _, err := run(t, loader.Config{Conn: parse(t, dsn), Table: "piped"}, loader.File(gone), 0); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a file that is gone: %v", err)
	}
}
