// Command shardload makes, distributes, loads, verifies and measures
// multi-tenant datasets on Citus and PostgreSQL.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"shardload/internal/cli"
)

func main() { os.Exit(run()) }

// run exists so that its deferred calls happen before the process exits.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C gets the default action: die now
	return cli.Main(ctx, cli.Env{
		Args:   os.Args[1:],
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: os.Stderr,
		Getenv: os.Getenv,
	})
}
