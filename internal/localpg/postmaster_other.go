//go:build !linux

package localpg

import (
	"os/exec"
	"strconv"
	"strings"
)

// commandLine returns the arguments of a running process, separated by blanks.
func commandLine(pid int) (string, bool) {
	args, err := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return strings.TrimRight(string(args), "\n"), err == nil
}
