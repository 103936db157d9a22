package localpg

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// commandLine returns the arguments of a running process, separated by blanks.
func commandLine(pid int) (string, bool) {
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	args = bytes.ReplaceAll(bytes.TrimRight(args, "\x00"), []byte{0}, []byte{' '})
	return string(args), err == nil
}

// standsIn reports whether the process's current directory is dir, if this user may
// know.
func standsIn(pid int, dir string) (stands, known bool) {
	there, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return false, false
	}
	here, err := os.Stat(dir)
	return err == nil && os.SameFile(there, here), err == nil
}

// runs reports whether a process is one of a's.
func (a account) runs(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(status), "\nUid:")
	ids := strings.Fields(rest)
	return len(ids) > 0 && ids[0] == strconv.Itoa(a.uid)
}

// occupant returns a server of a's whose current directory is dir, 0 if there is none
// of which this user may know.
func (a account) occupant(dir string) int {
	procs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well formed
	for _, proc := range procs {
		pid, err := strconv.Atoi(filepath.Base(proc))
		if err != nil || !a.runs(pid) {
			continue
		}
		if args, _ := commandLine(pid); !strings.Contains(args, "postgres") {
			continue
		}
		if stands, _ := standsIn(pid, dir); stands {
			return pid
		}
	}
	return 0
}
