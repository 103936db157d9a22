package localpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// command returns a program to be run to its end as the servers' user, with its
// children in a process group that is killed when ctx ends.
func (h *home) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = h.dir // the current directory may be closed to that user
	cmd.Env = h.environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: h.account.credential()}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// environ is the environment of the servers: little of this process's, since
// its PG* variables would speak to Citus's connections between the nodes.
func (h *home) environ() []string {
	env := []string{"LC_ALL=C", "PGPASSFILE=" + h.serversPassfile()}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// initdb makes the data directory dir.
func (h *home) initdb(ctx context.Context, inst Installation, dir, password string) (err error) {
	if err := errors.Join(os.Mkdir(dir, 0o700), h.account.own(dir)); err != nil {
		return err
	}
	pwfile := h.path("initdb.password")
	if err := writePrivate(pwfile, password+"\n", h.account); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(pwfile)) }()

	// No sync here: see syncData. The locale C is the same on every machine.
	cmd := h.command(ctx, inst.program("initdb"), "-D", dir, "-U", superuser, "--pwfile="+pwfile,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("initdb: %w%s", err, lastLines(out.String()))
	}
	return includeSettings(dir)
}

// syncData makes what initdb and copyData wrote durable.
func (h *home) syncData(ctx context.Context, inst Installation, dir string) error {
	if out, err := h.command(ctx, inst.program("initdb"), "--sync-only", "-D", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("initdb --sync-only: %w%s", err, lastLines(string(out)))
	}
	return nil
}

// copyData makes dst a copy of the data directory src of a server that does not
// run, which takes a tenth of the time of an initdb.
func (h *home) copyData(ctx context.Context, src, dst string) error {
	return filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		to := filepath.Join(dst, strings.TrimPrefix(path, src))
		if d.IsDir() {
			return errors.Join(os.Mkdir(to, 0o700), h.account.own(to))
		}
		return h.copyFile(path, to)
	})
}

func (h *home) copyFile(src, dst string) (err error) {
	r, err := os.Open(src)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, h.account.own(dst), w.Close())
}
