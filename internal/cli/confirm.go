package cli

import (
	"bufio"
	"context"
	"strings"
)

// canAsk reports whether there is somebody to ask.
func (c *console) canAsk() bool { return isTerminal(c.Stdin) && isTerminal(c.Stderr) }

// confirm asks question on the terminal, and reports whether the answer was yes.
func (c *console) confirm(ctx context.Context, question string) bool {
	c.tell("%s [y/N] ", question)
	answer := make(chan string, 1)
	// A read from a terminal cannot be interrupted. After Ctrl-C it is left to the
	// end of the process, which is near.
	go func() {
		line, _ := bufio.NewReader(c.Stdin).ReadString('\n') // no answer means no
		answer <- line
	}()
	select {
	case line := <-answer:
		line = strings.ToLower(strings.TrimSpace(line))
		return line == "y" || line == "yes"
	case <-ctx.Done():
		c.tell("\n")
		return false
	}
}
