package localpg

import (
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// A child is a process that this one started.
type child struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

func (c *child) id() int                       { return c.cmd.Process.Pid }
func (c *child) running() bool                 { return !c.wait(0) }
func (c *child) signal(s syscall.Signal) error { return c.cmd.Process.Signal(s) }

func (c *child) wait(d time.Duration) bool {
	select { // first, since with both ready the one below would choose at random
	case <-c.ended:
		return true
	default:
	}
	select {
	case <-c.ended:
		return true
	case <-time.After(d):
		return false
	}
}

// startChild starts cmd on a thread that lives as long as it does: the parent's
// death, of which Linux tells a child, is that of the thread that made it.
func startChild(cmd *exec.Cmd) (*child, error) {
	c := &child{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with this goroutine
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
			close(c.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}
