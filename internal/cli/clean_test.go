package cli_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
)

// A killed is a command that is killed, and the places where it leaves things.
type killed struct {
	bin, room, dsn string
	conn           *pgx.Conn
}

// Commands that are killed at some point leave nothing that clean does not remove,
// and clean removes nothing else.
func TestCleanAfterKill(t *testing.T) {
	k := newKilled(t)
	for _, sql := range []string{
		"CREATE TABLE events (id int PRIMARY KEY, at text)",
		"CREATE TABLE events_tune_abcdefgh (id int)", // a user's, without a mark
		"CREATE SCHEMA shardload_bench_abcdefgh",
		`CREATE TABLE theirs_tune_bbbbbbbb (id int)`, // with a mark of another name
		`COMMENT ON TABLE theirs_tune_bbbbbbbb IS 'temporary, made by shardload, which drops it again {"tool":"tune","id":"cccccccc"}'`,
	} {
		if _, err := k.conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	mine := filepath.Join(k.room, "shardload-demo-"+strings.Repeat("a", 26)) // a user's
	input := filepath.Join(mine, "events.csv")
	if err := errors.Join(os.Mkdir(mine, 0o755), os.WriteFile(input, []byte("1,x\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	sample := filepath.Join(mine, "sample.csv")
	if err := os.WriteFile(sample, []byte(numbered(300_000)), 0o644); err != nil {
		t.Fatal(err)
	}
	before := k.objects(t)
	for _, args := range [][]string{
		{"tune", "--table", "events", "--header", "no", sample, "--dsn", k.dsn},
		{"bench", "--dsn", k.dsn, "--yes", "--rows", "100000", "--repeat", "3", "--arms", "psql,shardload", "--out", filepath.Join(mine, "report")},
		{"demo", "--ads", "500000", "--workers", "0"},
	} {
		k.kill(t, args)
		k.clean(t, before, filepath.Base(mine))
	}
	if text, err := os.ReadFile(input); err != nil || string(text) != "1,x\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// numbered returns so many records.
func numbered(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "%d,some text\n", i)
	}
	return text.String()
}

func newKilled(t *testing.T) *killed {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	room, err := os.MkdirTemp("", "shardload-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(room) })
	k := &killed{bin: filepath.Join(t.TempDir(), "shardload"), room: room, dsn: pgtest.Plain(t)}
	k.conn = pgtest.Connect(t, k.dsn)
	if err := errors.Join(os.Chmod(room, 0o755), os.Symlink(self, k.bin)); err != nil { // servers that root starts run as another user
		t.Fatal(err)
	}
	return k
}

func (k *killed) command(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), k.bin, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+k.room)
	return cmd
}

// kill runs a command, and kills it some time after it has made something.
func (k *killed) kill(t *testing.T, args []string) {
	t.Helper()
	cmd := k.command(t, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }() // it is killed
	for deadline := time.Now().Add(time.Minute); len(k.left(t)) < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s makes nothing", args[0])
		}
	}
	select {
	case <-time.After(time.Duration(rand.IntN(4000)) * time.Millisecond):
	case <-ended:
	}
	_ = cmd.Process.Signal(syscall.SIGKILL) // or it has ended
	<-ended
}

// clean cleans up until nothing is left but what was there before.
func (k *killed) clean(t *testing.T, objects, mine string) {
	t.Helper()
	var said []byte
	old := time.Now().Add(-time.Hour)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		for _, name := range k.left(t) { // what has no mark yet is left alone for a minute
			_ = os.Chtimes(filepath.Join(k.room, name), old, old)
		}
		out, err := k.command(t, "clean", "--yes", "--dsn", k.dsn).CombinedOutput()
		said = append(said, out...)
		if err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		if left := k.left(t); k.objects(t) == objects && len(left) == 1 && left[0] == mine {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("left: %v, %s; want %s; said:\n%s", k.left(t), k.objects(t), objects, said)
		}
	}
	out, _ := exec.Command("ps", "-eww", "-o", "args=").Output()
	if strings.Contains(string(out), k.room) {
		t.Errorf("something still runs in %s:\n%s", k.room, out)
	}
}

// left returns what is in the directory for temporary files.
func (k *killed) left(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(k.room)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// objects returns the schemas and tables of the database.
func (k *killed) objects(t *testing.T) (list string) {
	t.Helper()
	err := k.conn.QueryRow(t.Context(), `SELECT string_agg(n.nspname || '.' || coalesce(c.relname, ''), ' ' ORDER BY n.nspname, c.relname)
		FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind = 'r' WHERE n.nspname !~ '^(pg_|information_schema)'`).Scan(&list)
	if err != nil {
		t.Fatal(err)
	}
	return list
}
