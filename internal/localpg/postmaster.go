package localpg

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A pidFile is what a running server says of itself in its data directory.
type pidFile struct {
	pid   int
	ready bool // takes connections
}

// readPIDFile reads the postmaster.pid of the data directory dir.
func readPIDFile(dir string) (pidFile, error) {
	text, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return pidFile{}, err
	}
	lines := strings.Split(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 0 {
		return pidFile{}, errors.New("postmaster.pid: no process id in it")
	}
	const statusLine = 7
	ready := len(lines) > statusLine && strings.TrimSpace(lines[statusLine]) == "ready"
	return pidFile{pid: pid, ready: ready}, nil
}

// A postmaster is a server that another process started.
type postmaster struct {
	pid int
	dir string
}

// findPostmaster returns the server that runs on the data directory dir, if one
// does.
func findPostmaster(dir string) (*postmaster, bool) {
	f, err := readPIDFile(dir)
	if err != nil {
		return nil, false
	}
	p := &postmaster{pid: f.pid, dir: dir}
	return p, p.running()
}

func (p *postmaster) id() int                       { return p.pid }
func (p *postmaster) signal(s syscall.Signal) error { return syscall.Kill(p.pid, s) }

// running looks at what the process was started as, since a postmaster.pid that
// survived a crash may name a process that is something else by now.
func (p *postmaster) running() bool {
	args, ok := commandLine(p.pid)
	return ok && strings.HasSuffix(args, " -D "+p.dir)
}

func (p *postmaster) wait(d time.Duration) bool {
	for end := time.Now().Add(d); p.running(); time.Sleep(pollInterval) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}
