//go:build ceph && cgo

package rbd

// #cgo LDFLAGS: -lrados
// #include <rados/librados.h>
import "C"

import (
	"runtime"
	"unsafe"

	"github.com/ceph/go-ceph/rados"
)

// abandon frees a connection that did not come about. It has 4 threads and 9 file descriptors,
// which go-ceph's Shutdown leaves to the garbage collector, who sees no reason to come. When there
// are too many of them, librados ends the whole process at the next one, by a std::system_error
// that nobody can catch.
func abandon(conn *rados.Conn) {
	runtime.SetFinalizer(conn, nil) // go-ceph's: it would do it again
	C.rados_shutdown(C.rados_t(unsafe.Pointer(conn.Cluster())))
}
