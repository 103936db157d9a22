//go:build !linux

package left

import "syscall"

// ProgramAttr puts a program into a process group of its own.
func ProgramAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
