package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"shardload/internal/regular"
)

// A server is one PostgreSQL server of a cluster.
type server struct {
	name string
	dir  string // data directory
	log  string // file of what it says
	port int
	proc process
}

// A process is a postmaster, started by this process or found running.
type process interface {
	id() int
	running() bool
	signal(syscall.Signal) error
	// wait reports whether the process ended within d.
	wait(d time.Duration) bool
}

const (
	// startTimeout is long, since a server that crashed under load first replays
	// up to max_wal_size of changes.
	startTimeout = 3 * time.Minute
	stopTimeout  = 20 * time.Second
	pollInterval = 10 * time.Millisecond
)

func (h *home) server(name string, port int) *server {
	return &server{name: name, dir: h.path(name), log: h.path(name + ".log"), port: port}
}

func (s *server) node() Node {
	n := Node{Name: s.name, Host: loopback, Port: s.port, Dir: s.dir}
	if s.running() {
		n.PID = s.proc.id()
	}
	return n
}

func (s *server) running() bool { return s.proc != nil && s.proc.running() }

// launch starts the server and returns when it takes connections. With detached
// it outlives this process. After an error it does not run.
func (s *server) launch(ctx context.Context, p programs, detached bool) error {
	logFile, err := regular.OpenIn(p.home.own.Root, s.name+".log", os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = logFile.Close() }() // the server has its own
	before, err := logFile.Seek(0, 2)
	if err != nil {
		return err
	}
	cmd := exec.Command(p.inst.program("postgres"), "-c", "config_file="+p.home.path(s.name+".conf"), "-D", s.dir) // #nosec G204 -- the server that was found, files of ours
	cmd.Dir = p.home.dir
	cmd.Env = p.environ()
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = serverAttr(detached)
	cmd.SysProcAttr.Credential = p.home.account.credential()
	if s.proc, err = startChild(cmd); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	if err := s.await(ctx); err != nil {
		if errors.Is(err, errEnded) {
			err = &startError{Name: s.name, Log: logSince(s.log, before)}
		}
		return errors.Join(err, s.stop(true))
	}
	return nil
}

var errEnded = errors.New("server: ended")

// await returns when the server says in its postmaster.pid that it is ready.
func (s *server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout,
		fmt.Errorf("%s: not ready after %s; see %s", s.name, startTimeout, s.log))
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			if !s.proc.running() {
				return errEnded
			}
			if f, err := readPIDFile(s.dir); err == nil && f.pid == s.proc.id() && f.ready {
				return nil
			}
		}
	}
}

// stop ends the server and waits until it is gone. At once, it leaves its memory
// unwritten: right for data that nobody will read again. Otherwise it finishes
// as on a fast shutdown.
func (s *server) stop(atOnce bool) error {
	signals := []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL}
	if atOnce {
		signals = signals[1:]
	}
	for _, sig := range signals {
		if !s.running() {
			return nil
		}
		if err := s.proc.signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("%s: process %d: %w", s.name, s.proc.id(), err)
		}
		if s.proc.wait(stopTimeout) {
			return nil
		}
	}
	return fmt.Errorf("%s: process %d does not end; see %s", s.name, s.proc.id(), s.log)
}

// A startError is a server that ended instead of starting.
type startError struct {
	Name string
	Log  string // what it said
}

func (e *startError) Error() string {
	return e.Name + ": the server ended while starting" + lastLines(e.Log)
}

// portTaken reports whether another program listened on the server's port.
func (e *startError) portTaken() bool {
	return strings.Contains(e.Log, "could not create any TCP/IP sockets") ||
		strings.Contains(e.Log, "could not bind IPv4 address")
}
