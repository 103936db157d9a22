package localpg_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"shardload/internal/localpg"
)

// watchTemp returns a directory for the temporary directories of clusters, and a
// function that fails t if a start has left anything in it, or a process.
func watchTemp(t *testing.T) (dir string, check func()) {
	t.Helper()
	dir = openDir(t)
	t.Setenv("TMPDIR", dir)
	return dir, func() {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) > 0 {
			t.Errorf("left behind: %v, %v", entries, err)
		}
		out, _ := exec.Command("ps", "-eww", "-o", "args=").Output()
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, dir) {
				t.Errorf("still runs: %s", line)
			}
		}
	}
}

// A stopwatch is a log that cancels a context after some records.
type stopwatch struct {
	slog.Handler
	left   *atomic.Int64
	cancel context.CancelFunc
}

func (s stopwatch) Handle(context.Context, slog.Record) error {
	if s.left.Add(-1) == 0 {
		s.cancel()
	}
	return nil
}

func TestCancelledStart(t *testing.T) {
	workers := 0
	steps := 3 // data directories, server, and once without end
	if localpg.HasCitus() {
		workers, steps = 1, 5
	}
	for step := range steps {
		_, check := watchTemp(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if step == 0 {
			cancel()
		}
		debug := slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug})
		var left atomic.Int64
		left.Store(int64(step))
		c, err := localpg.Start(ctx, localpg.Config{
			Workers: workers, Log: slog.New(stopwatch{Handler: debug, left: &left, cancel: cancel}),
		})
		if err == nil {
			if left.Load() <= 0 {
				t.Errorf("step %d: started in spite of the cancellation", step)
			}
			if err := c.Stop(); err != nil {
				t.Error(err)
			}
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("step %d: %v", step, err)
		}
		check()
	}
}

func TestServerDoesNotStart(t *testing.T) {
	_, check := watchTemp(t)
	_, err := localpg.Start(t.Context(), localpg.Config{Settings: map[string]string{"work_mem": "a lot"}})
	if err == nil || !strings.Contains(err.Error(), `invalid value for parameter "work_mem": "a lot"`) {
		t.Errorf("the error does not show the server's: %v", err)
	}
	check()

	dir := filepath.Join(os.Getenv("TMPDIR"), "a", "b")
	if _, err = localpg.Start(t.Context(), localpg.Config{Dir: dir, Settings: map[string]string{"port": "no"}}); err == nil {
		t.Error("started with port = no")
	}
	check()
}

func TestWrongConfig(t *testing.T) {
	_, check := watchTemp(t)
	for _, cfg := range []localpg.Config{
		{Workers: -1},
		{Workers: 1000},
		{Settings: map[string]string{"a = 1\nport": "1"}},
		{Settings: map[string]string{"": "1"}},
	} {
		if c, err := localpg.Start(t.Context(), cfg); err == nil {
			t.Errorf("%+v: started", cfg)
			stopAfter(t, c)
		}
	}
	if _, err := localpg.StartDetached(t.Context(), localpg.Config{}); err == nil {
		t.Error("a detached cluster without a directory")
	}
	check()
}

func TestForeignDirectory(t *testing.T) {
	dir := openDir(t)
	name := filepath.Join(dir, "thesis.txt")
	if err := os.WriteFile(name, []byte("years of work"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := localpg.Start(t.Context(), localpg.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("error %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the directory has changed: %v, %v", entries, err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o711 {
		t.Errorf("its mode has changed: %v, %v", info, err)
	}
}

// root's servers run as a user who cannot enter everywhere; better to say so than
// to let initdb fail.
func TestClosedDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root's servers run as another user")
	}
	closed := t.TempDir() // in a directory that is root's alone
	_, err := localpg.Start(t.Context(), localpg.Config{Dir: filepath.Join(closed, "cluster")})
	if err == nil || !strings.Contains(err.Error(), "cannot enter") {
		t.Errorf("error %v", err)
	}
	t.Setenv("TMPDIR", closed)
	c := startCluster(t, localpg.Config{})
	if strings.HasPrefix(c.Dir(), closed) {
		t.Errorf("started in %s", c.Dir())
	}
}

func TestNoPostgreSQL(t *testing.T) {
	t.Setenv(localpg.BinDirEnv, t.TempDir())
	_, err := localpg.Start(t.Context(), localpg.Config{})
	if err == nil || !strings.Contains(err.Error(), localpg.BinDirEnv) {
		t.Errorf("error %v", err)
	}
	if localpg.HasCitus() {
		t.Error("Citus without PostgreSQL")
	}
}
