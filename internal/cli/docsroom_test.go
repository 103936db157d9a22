package cli_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"shardload/internal/localpg"
	"shardload/internal/pgtest"
)

// pageTime is how long a page's commands may take: far longer than they do.
const pageTime = 5 * time.Minute

// A play runs the commands of one page, in one shell, in an empty directory.
type play struct {
	stage
	room string   // the play's own, and its servers'
	home string   // where the commands run, and their HOME
	env  []string // of the shell
	// known gives names that the page has to those of this run.
	known *strings.Replacer
}

func newPlay(t *testing.T, s stage) *play {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash")
	}
	room, err := os.MkdirTemp("", "shardload-docs-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(room) })
	if room, err = filepath.EvalSymlinks(room); err != nil {
		t.Fatal(err)
	}
	p := &play{stage: s, room: room, home: filepath.Join(room, "home")}
	// Servers that root starts run as another user, who must get to their directory.
	err = errors.Join(os.Chmod(room, 0o755), os.Mkdir(p.home, 0o755), os.Mkdir(p.tmp(), 0o755), os.Mkdir(p.bin(), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range s.files {
		path := filepath.Join(p.home, file.Name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, file.Data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	p.install(t)
	p.setEnv(t)
	return p
}

func (p *play) tmp() string { return filepath.Join(p.room, "tmp") }
func (p *play) bin() string { return filepath.Join(p.room, "bin") }

// install makes this test binary the command shardload.
func (p *play) install(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(p.bin(), "shardload")); err != nil {
		t.Fatal(err)
	}
}

// setEnv gives the shell a server in libpq's variables. Nothing else of what this process
// has leads to one.
func (p *play) setEnv(t *testing.T) {
	t.Helper()
	p.known = strings.NewReplacer(p.home, "/home/me")
	p.env = []string{
		"PATH=" + p.bin() + ":" + os.Getenv("PATH"), "HOME=" + p.home, "XDG_STATE_HOME=" + filepath.Join(p.room, "state"),
		"TMPDIR=" + p.tmp(), "LC_ALL=C.UTF-8", "SHARDLOAD_PG_BIN=" + os.Getenv("SHARDLOAD_PG_BIN"),
	}
	var dsn string
	switch p.server {
	case "postgres":
		dsn = pgtest.Plain(t)
	case "citus":
		dsn = pgtest.Citus(t)
	case "private":
		if !localpg.HasCitus() {
			t.Skip("the Citus extension is not installed")
		}
		fallthrough
	case "none":
		p.env = append(p.env, "PGHOST=127.0.0.1", "PGPORT=1")
		return
	default:
		t.Fatalf("server: %s: want postgres, citus, private or none", p.server)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal("the server's URL is none")
	}
	query := u.Query()
	password, _ := u.User.Password()
	if password == "" {
		password = query.Get("password")
	}
	if _, schema, ok := strings.Cut(query.Get("options"), "-csearch_path="); ok {
		p.known = strings.NewReplacer(p.home, "/home/me", schema, "public")
	}
	p.env = append(p.env, "DSN="+dsn, "COLUMNS=200", "PGHOST="+u.Hostname(), "PGPORT="+u.Port(), "PGUSER="+u.User.Username(), "PGDATABASE="+strings.TrimPrefix(u.Path, "/"))
	for name, value := range map[string]string{
		"PGPASSWORD": password, "PGPASSFILE": query.Get("passfile"), "PGSSLMODE": query.Get("sslmode"), "PGOPTIONS": query.Get("options"),
	} {
		if value != "" {
			p.env = append(p.env, name+"="+value)
		}
	}
}

// script runs a script of the stage.
func (p *play) script(t *testing.T, name, text string) error {
	t.Helper()
	if strings.TrimSpace(text) == "" {
		return nil
	}
	if out, err := p.bash(t, fmt.Sprintf("bash -e %s", p.write(t, text))); err != nil {
		return fmt.Errorf("%s: %w:\n%s", name, err, out)
	}
	return nil
}

// write writes a script of the stage, with what all of them have.
func (p *play) write(t *testing.T, text string) string {
	t.Helper()
	f, err := os.CreateTemp(p.tmp(), "script-")
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(f, "sql() { psql -XAtq -v ON_ERROR_STOP=1 ${DATABASE_URL:+\"$DATABASE_URL\"} -c \"$1\"; }\n%s", text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// bash runs text and returns all that it prints, in the order of a terminal.
func (p *play) bash(t *testing.T, text string) (string, error) {
	t.Helper()
	// A clean-up comes after the end of the test's own context.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), pageTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", text)
	cmd.Dir, cmd.Env = p.home, p.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	return string(out), err
}
