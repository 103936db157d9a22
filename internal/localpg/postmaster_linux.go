package localpg

import (
	"bytes"
	"fmt"
	"os"
)

// commandLine returns the arguments of a running process, separated by blanks.
func commandLine(pid int) (string, bool) {
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	args = bytes.ReplaceAll(bytes.TrimRight(args, "\x00"), []byte{0}, []byte{' '})
	return string(args), err == nil
}
