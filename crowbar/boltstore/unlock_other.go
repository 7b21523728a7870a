//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package boltstore

import "os"

// unlock does nothing: here closing the file ends its lock.
func unlock(*os.File) {}
