//go:build !linux

package rig

import "syscall"

func endsWithUs() *syscall.SysProcAttr { return nil }
