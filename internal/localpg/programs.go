package localpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// programs are PostgreSQL's, run in a home as the servers' user.
type programs struct {
	inst Installation
	home home
}

// command returns a program to be run to its end as the servers' user, with its
// children in a process group that is killed when ctx ends.
func (p programs) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = p.home.dir // the current directory may be closed to that user
	cmd.Env = p.environ()
	cmd.SysProcAttr = programAttr()
	cmd.SysProcAttr.Credential = p.home.account.credential()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// environ is the environment of the servers: little of this process's, since
// its PG* variables would speak to Citus's connections between the nodes.
func (p programs) environ() []string {
	env := []string{"LC_ALL=C", "PGPASSFILE=" + p.home.passwords().serversFile()}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// makeDataDir makes the directory of a server's data, which is the servers' user's.
func (p programs) makeDataDir(srv *server) error {
	if err := p.home.own.Root.Mkdir(srv.name, 0o700); err != nil || !p.home.account.switched {
		return err
	}
	return p.home.own.Root.Lchown(srv.name, p.home.account.uid, p.home.account.gid)
}

// initdb makes the data of srv.
func (p programs) initdb(ctx context.Context, srv *server, password string) (err error) {
	if err := p.makeDataDir(srv); err != nil {
		return err
	}
	const pwfile = "initdb.password"
	if err := p.home.own.Replace(pwfile, []byte(password+"\n"), 0o600, p.home.account.ownFile); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.home.own.Root.Remove(pwfile)) }()

	// No sync here: see syncData. The locale C is the same on every machine.
	cmd := p.command(ctx, p.inst.program("initdb"), "-D", srv.dir, "-U", superuser, "--pwfile="+p.home.path(pwfile),
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
	return p.finish(ctx, cmd, "initdb")
}

// finish runs a program to its end. Its error has what the program said.
func (p programs) finish(ctx context.Context, cmd *exec.Cmd, name string) error {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	// The kernel ends the program with the thread that has started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s: %w%s", name, err, lastLines(out.String()))
	}
	return nil
}

// syncData makes what initdb and copyData wrote durable.
func (p programs) syncData(ctx context.Context, dir string) error {
	return p.finish(ctx, p.command(ctx, p.inst.program("initdb"), "--sync-only", "-D", dir), "initdb --sync-only")
}

// copyData gives dst a copy of the data directory src of a server that does not
// run, which takes a tenth of the time of an initdb. The servers' user copies: what
// is in there is that user's, links as well.
func (p programs) copyData(ctx context.Context, src string, dst *server) error {
	if err := p.makeDataDir(dst); err != nil {
		return err
	}
	return p.finish(ctx, p.command(ctx, "cp", "-RPp", src+"/.", dst.dir), "cp")
}

// setPassword changes the password of a server that does not run.
func (p programs) setPassword(ctx context.Context, srv *server, password string) error {
	// Without Citus: it would tell the other nodes.
	cmd := p.command(ctx, p.inst.program("postgres"), "--single", "-c", "config_file="+p.home.path(srv.name+".conf"), "-c", "shared_preload_libraries=",
		"-c", "log_statement=none", "-D", srv.dir, "postgres")
	cmd.Stdin = strings.NewReader("ALTER ROLE " + superuser + " PASSWORD '" + password + "'\n")
	return p.finish(ctx, cmd, srv.name+": postgres --single")
}

// outputPlugins returns the setting that lets Citus decode changes, which its
// non-blocking moves and splits of shards need. Only newer minor releases know and
// require it: nil for the others.
func (p programs) outputPlugins(ctx context.Context, dir string) map[string]string {
	const name = "output_plugin_libraries"
	out, err := p.command(ctx, p.inst.program("postgres"), "-D", dir, "-C", name).Output()
	if err != nil {
		return nil
	}
	value := strings.TrimSpace(string(out))
	if !strings.Contains(value, "citus") {
		value = strings.TrimPrefix(value+", citus", ", ")
	}
	return map[string]string{name: value}
}
