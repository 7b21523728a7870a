//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package boltstore

import (
	"os"
	"syscall"
)

// unlock lets go of bbolt's lock on a file that bbolt cannot close any more. Closing the
// file is not enough: bbolt's memory map keeps the locked file description alive.
func unlock(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
