package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"shardload/internal/bench/left"
)

// program runs a program to its end. It is interrupted when ctx ends, and with it
// whatever it has started; what does not end then is killed. mark, unless nil, is told of
// the marks on its standard error, from another goroutine, which program waits for.
func (r *rivals) program(ctx context.Context, mark func(string), name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(append(os.Environ(), left.ParentEnv+"="+left.Self()), r.env...)
	cmd.SysProcAttr = left.ProgramAttr()
	group := func(s syscall.Signal) error { return syscall.Kill(-cmd.Process.Pid, s) }
	cmd.Cancel = func() error {
		time.AfterFunc(programGrace, func() { _ = group(syscall.SIGKILL) })
		return group(syscall.SIGINT)
	}
	cmd.WaitDelay = 2 * programGrace
	said := tail{mark: mark}
	cmd.Stdout, cmd.Stderr = io.Discard, &said
	// The kernel ends the program with the thread that has started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return errors.New(strings.TrimSpace(fmt.Sprintf("%s: %v: %s", name, err, said.text())))
	}
	return nil
}

// programGrace is how long an interrupted program may take to end.
const programGrace = 2 * time.Second

// markIntro begins a line on standard error by which a program says that it has come to the end of
// a part, the name of which follows.
const markIntro = "shardload bench has seen: "

// A tail keeps the end of what is written to it, marks apart.
type tail struct {
	mark func(part string)

	mu   sync.Mutex
	data []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	const keep = 500
	t.data = append(t.data, p...)
	t.takeMarks()
	t.data = t.data[max(len(t.data)-keep, 0):]
	return len(p), nil
}

// takeMarks takes whole lines that are marks out of what is kept.
func (t *tail) takeMarks() {
	for t.mark != nil {
		before, rest, found := bytes.Cut(t.data, []byte(markIntro))
		part, after, whole := bytes.Cut(rest, []byte("\n"))
		if !found || !whole {
			return
		}
		t.mark(string(part))
		t.data = append(before, after...)
	}
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.Fields(string(t.data)), " ")
}
