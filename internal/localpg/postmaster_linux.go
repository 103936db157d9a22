package localpg

import (
	"fmt"
	"os"
)

// commandLine returns the arguments of a running process.
func commandLine(pid int) (string, bool) {
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(args), err == nil
}
