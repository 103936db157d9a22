package left

import "syscall"

// ProgramAttr puts a program into a process group of its own, which ends with this
// process: what the program has started itself does not, and is found by its
// environment.
func ProgramAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
