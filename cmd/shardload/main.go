// Command shardload makes, distributes, loads, verifies and measures
// multi-tenant datasets on Citus and PostgreSQL.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"shardload/internal/cli"
)

func main() { os.Exit(run()) }

// echo is how soon a second signal is the first one's: timeout(1), for one, sends it
// to the command and to all its group. To die of that would leave half files.
const echo = 200 * time.Millisecond

// run exists so that its deferred calls happen before the process exits.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { // a second Ctrl-C gets the default action: die now
		time.Sleep(echo)
		stop()
	})
	return cli.Main(ctx, cli.Env{
		Args:   os.Args[1:],
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: os.Stderr,
		Getenv: os.Getenv,
	})
}
