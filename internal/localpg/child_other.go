//go:build !linux

package localpg

import "syscall"

// serverAttr puts a server into a process group of its own, so that a terminal's
// Ctrl-C is for this process to answer. If this process is killed, its servers
// stay until the next Start finds what it left behind.
func serverAttr(detached bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: detached, Setpgid: !detached}
}

// programAttr puts a program into a process group of its own.
func programAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
