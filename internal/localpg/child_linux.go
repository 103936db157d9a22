package localpg

import "syscall"

// serverAttr puts a server into a process group of its own, so that a terminal's
// Ctrl-C is for this process to answer, and has the kernel end an attached one
// when this process dies in whatever way. SIGQUIT makes it drop its clients and go
// at once, and tidy up its shared memory, which SIGKILL would not.
func serverAttr(detached bool) *syscall.SysProcAttr {
	if detached {
		return &syscall.SysProcAttr{Setsid: true}
	}
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}
}

// programAttr puts a program into a process group of its own, which ends with this
// process.
func programAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
