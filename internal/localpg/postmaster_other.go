//go:build !linux

package localpg

import (
	"os/exec"
	"strconv"
)

// commandLine returns the arguments of a running process.
func commandLine(pid int) (string, bool) {
	args, err := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return string(args), err == nil
}
