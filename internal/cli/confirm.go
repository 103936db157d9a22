package cli

import (
	"bufio"
	"context"
	"fmt"
	"strings"
)

// canAsk reports whether there is somebody to ask.
func (a *app) canAsk() bool { return isTerminal(a.Stdin) && isTerminal(a.Stderr) }

// confirm asks question on the terminal, and reports whether the answer was yes.
func (a *app) confirm(ctx context.Context, question string) bool {
	fmt.Fprintf(a.Stderr, "%s [y/N] ", question)
	answer := make(chan string, 1)
	// A read from a terminal cannot be interrupted. After Ctrl-C it is left to the
	// end of the process, which is near.
	go func() {
		line, _ := bufio.NewReader(a.Stdin).ReadString('\n') // no answer means no
		answer <- line
	}()
	select {
	case line := <-answer:
		line = strings.ToLower(strings.TrimSpace(line))
		return line == "y" || line == "yes"
	case <-ctx.Done():
		fmt.Fprintln(a.Stderr)
		return false
	}
}
