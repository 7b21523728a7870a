package rbd

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/crowbarkit/crowbarkit/storage"
)

// ErrNotBuilt is what Open returns in a program that was built without Ceph.
var ErrNotBuilt = errors.New("rbd: built without Ceph: build with cgo, librbd's headers (Debian: librbd-dev librados-dev) and -tags ceph; " +
	"with librbd older than Reef name its release too, as in -tags ceph,pacific for Debian 12 (octopus, pacific, quincy)")

// errUnavailable marks errors after which the connection is not trusted any more.
var errUnavailable = errors.New("rbd: the cluster does not answer")

// code returns the errno of an error of go-ceph, positive; 0: it has none.
func code(err error) syscall.Errno {
	var coded interface{ ErrorCode() int }
	if !errors.As(err, &coded) || coded.ErrorCode() >= 0 {
		return 0
	}
	return syscall.Errno(-coded.ErrorCode())
}

// is reports whether err has one of the codes.
func is(err error, codes ...syscall.Errno) bool {
	if err == nil {
		return false
	}
	c := code(err)
	for _, want := range codes {
		if c == want {
			return true
		}
	}
	return false
}

// kind is whether a call changes something.
type kind int

const (
	reads kind = iota
	changes
)

// typed wraps an error of go-ceph into those of package storage. What is typed already stays.
func typed(err error, k kind) error {
	if errors.Is(err, errUnavailable) {
		return err
	}
	var sentinel error
	switch code(err) {
	case 0:
		return err
	case syscall.ENOENT:
		sentinel = storage.ErrNotFound
	case syscall.EEXIST:
		sentinel = storage.ErrExists
	case syscall.EBUSY, syscall.ENOTEMPTY, syscall.EROFS: // EROFS: another client holds the exclusive lock
		sentinel = storage.ErrBusy
	case syscall.ENOSPC, syscall.EDQUOT:
		sentinel = storage.ErrNoSpace
	case syscall.EOPNOTSUPP, syscall.ENOSYS:
		sentinel = storage.ErrUnsupported
	case syscall.ETIMEDOUT, syscall.ENOTCONN, syscall.ESHUTDOWN: // ESHUTDOWN: this client is blocklisted
		if k == reads {
			return fmt.Errorf("%w: %w: %w", storage.ErrUnavailable, errUnavailable, err)
		}
		return fmt.Errorf("%w: %w: %w", storage.ErrUnknownOutcome, errUnavailable, err)
	default:
		return err
	}
	for _, known := range []error{storage.ErrNotFound, storage.ErrExists, storage.ErrBusy, storage.ErrNoSpace, storage.ErrUnsupported} {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", sentinel, err)
}

// before types an error of the first look at things: nothing was changed yet, so the outcome of
// a timeout is known.
func before(err error) error { return typed(err, reads) }
