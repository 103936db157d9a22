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

// standsIn would report whether the process's current directory is dir.
func standsIn(int, string) (stands, known bool) { return false, false }

// runs reports whether a process is one of a's.
func (a account) runs(pid int) bool {
	uid, err := exec.Command("ps", "-o", "uid=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.TrimSpace(string(uid)) == strconv.Itoa(a.uid)
}

// occupant would return a server of a's whose current directory is dir.
func (a account) occupant(string) int { return 0 }
