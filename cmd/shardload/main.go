// Command shardload makes, distributes, loads, verifies and measures
// multi-tenant datasets on Citus and PostgreSQL.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
	_ "time/tzdata" // for TZ where there is no zoneinfo, as in the container image

	"shardload/internal/cli"
)

func main() { os.Exit(run()) }

// echo is how soon a second signal is the first one's: timeout(1), for one, sends it
// to the command and to all its group. To die of that would leave half files.
const echo = 200 * time.Millisecond

// run exists so that its deferred calls happen before the process exits.
func run() int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // by nohup, say
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(ctx, signals...)
	defer stop()
	// A pipe that nobody reads any more fails the write, and does not kill: what is
	// under way stops as after Ctrl-C, and cleans up. Servers' connections are pipes,
	// too, so that only the outputs stop the command.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	stdout, stderr := &output{file: os.Stdout, closed: cancel}, &output{file: os.Stderr, closed: cancel}
	context.AfterFunc(ctx, func() { // a second Ctrl-C gets the default action: die now
		time.Sleep(echo)
		stop()
	})
	status := cli.Main(ctx, cli.Env{
		Args:   os.Args[1:],
		Stdin:  os.Stdin,
		Stdout: stdout,
		Stderr: stderr,
		Getenv: os.Getenv,
	})
	stdout.dieIfClosed()
	stderr.dieIfClosed()
	return status
}

// An output is standard output or standard error.
type output struct {
	file   *os.File
	closed func() // called when nobody reads what is written
	broken atomic.Bool
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.file.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		o.broken.Store(true)
		o.closed()
	}
	return n, err
}

// Fd tells whether the output is a terminal.
func (o *output) Fd() uintptr { return o.file.Fd() }

// dieIfClosed ends the process as a closed pipe ends others, for the shell to know.
func (o *output) dieIfClosed() {
	if o.broken.Load() {
		signal.Reset(syscall.SIGPIPE)
		_, _ = o.file.Write([]byte{'\n'})
	}
}
