package localpg

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"shardload/internal/owned"
)

// A pidFile is what a running server says of itself in its data directory.
type pidFile struct {
	pid   int
	ready bool // takes connections
}

// readPIDFile reads the postmaster.pid of the data directory dir.
func readPIDFile(dir string) (pidFile, error) {
	text, err := readIn(dir, "postmaster.pid")
	if err != nil {
		return pidFile{}, err
	}
	lines := strings.Split(text, "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 0 {
		return pidFile{}, errors.New("postmaster.pid: no process id in it")
	}
	const statusLine = 7
	ready := len(lines) > statusLine && strings.TrimSpace(lines[statusLine]) == "ready"
	return pidFile{pid: pid, ready: ready}, nil
}

// readIn reads a short file of a data directory, which its servers' user may have
// put there.
func readIn(dir, name string) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = root.Close() }() // only read
	text, err := owned.ReadSmall(root, name)
	return string(text), err
}

// A postmaster is a server that another process started.
type postmaster struct {
	pid     int
	dir     string
	account account
}

// findPostmaster returns the server that runs as acc on the data directory dir, if one
// does.
func findPostmaster(acc account, dir string) (*postmaster, bool) {
	f, err := readPIDFile(dir)
	if err != nil {
		return nil, false
	}
	p := &postmaster{pid: f.pid, dir: dir, account: acc}
	return p, p.running()
}

func (p *postmaster) id() int { return p.pid }

func (p *postmaster) signal(s syscall.Signal) error {
	switch p.identity() {
	case isServer:
		return syscall.Kill(p.pid, s)
	case isUnknown:
		return errors.New("it was started when the directory was elsewhere, and may be another's: stop it first")
	}
	return os.ErrProcessDone
}

func (p *postmaster) running() bool { return p.identity() != isOther }

// An identity is whether a process is the server of a data directory.
type identity int

const (
	isOther identity = iota // or there is no such process
	isServer
	isUnknown // it is a PostgreSQL server whose directory this user may not ask for
)

// identity looks at what the process is, since a postmaster.pid that survived a
// crash may name a process that is something else by now. Servers stand in their data
// directory, wherever that has been moved to.
func (p *postmaster) identity() identity {
	args, ok := commandLine(p.pid)
	if !ok || args == "" || !p.account.runs(p.pid) {
		return isOther
	}
	stands, known := standsIn(p.pid, p.dir)
	switch {
	case known && stands, !known && strings.HasSuffix(args, " -D "+p.dir):
		return isServer
	case known, !strings.Contains(filepath.Base(strings.SplitN(args, " ", 2)[0]), "postgres"):
		return isOther
	}
	return isUnknown
}

func (p *postmaster) wait(d time.Duration) bool {
	for end := time.Now().Add(d); p.running(); time.Sleep(pollInterval) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// vacant returns an error if a server stands in a data directory of h: one whose
// postmaster.pid is gone, say.
func (h *home) vacant() error {
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !dataName.MatchString(e.Name()) || !e.IsDir() {
			continue
		}
		if pid := h.account.occupant(h.path(e.Name())); pid != 0 {
			return fmt.Errorf("directory %s: a server runs in it (process %d): stop it first", h.path(e.Name()), pid)
		}
	}
	return nil
}
