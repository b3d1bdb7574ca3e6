package rig

import "syscall"

// endsWithUs lets the system end a program when this one is gone, however it
// ended.
func endsWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
