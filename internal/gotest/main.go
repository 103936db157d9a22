// Command gotest runs "go test -json" with its arguments and prints what a
// developer wants to see: the output of what failed, a line a package, and at
// the end how many tests were skipped and why. A skip is never silent. Its exit
// status is that of go test.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the exit status of go test, and 1 where there is none.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(stderr, "gotest:", err)
		return 1
	}
	report := newReport(stdout)
	readErr := report.read(out)
	if readErr != nil {
		io.Copy(io.Discard, out) // so that go test can end; its status decides
	}
	err = cmd.Wait()
	report.summary()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 {
		return exit.ExitCode()
	}
	if err := errors.Join(readErr, err); err != nil {
		fmt.Fprintln(stderr, "gotest:", err)
		return 1
	}
	return 0
}
