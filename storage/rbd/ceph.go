//go:build ceph && cgo

package rbd

// #cgo LDFLAGS: -lrbd -lrados
// #include <errno.h>
// #include <stdlib.h>
// #include <rados/librados.h>
// #include <rbd/librbd.h>
import "C"

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"
)

// What go-ceph does not have, or has with a limit.

// A failure is a negative errno, as go-ceph's errors have it.
type failure int

func (f failure) Error() string  { return "rbd: " + syscall.Errno(-f).Error() }
func (f failure) ErrorCode() int { return int(f) }

// abandon frees a connection that did not come about. It has 4 threads and 9 file descriptors,
// which go-ceph's Shutdown leaves to the garbage collector, who sees no reason to come. When there
// are too many of them, librados ends the whole process at the next one, by a std::system_error
// that nobody can catch.
func abandon(conn *rados.Conn) {
	runtime.SetFinalizer(conn, nil) // go-ceph's: it would do it again
	C.rados_shutdown(C.rados_t(unsafe.Pointer(conn.Cluster())))
}

// trashList lists a pool's trash, however long it is. go-ceph lists up to 10,240.
func trashList(io *rados.IOContext) ([]rbd.TrashInfo, error) {
	for n := C.size_t(1024); ; { // librbd says how many there are
		entries := make([]C.rbd_trash_image_info_t, n)
		switch ret := C.rbd_trash_list(C.rados_ioctx_t(io.Pointer()), &entries[0], &n); {
		case ret == -C.ERANGE:
			continue
		case ret < 0:
			return nil, failure(ret)
		}
		defer C.rbd_trash_list_cleanup(&entries[0], n)
		list := make([]rbd.TrashInfo, n)
		for i := range list {
			list[i] = trashInfo(&entries[i])
		}
		return list, nil
	}
}

// trashGet returns an image in a pool's trash, or ENOENT.
func trashGet(io *rados.IOContext, id string) (rbd.TrashInfo, error) {
	c := C.CString(id)
	defer C.free(unsafe.Pointer(c))
	var entry C.rbd_trash_image_info_t
	if ret := C.rbd_trash_get(C.rados_ioctx_t(io.Pointer()), c, &entry); ret < 0 {
		return rbd.TrashInfo{}, failure(ret)
	}
	defer C.rbd_trash_get_cleanup(&entry)
	return trashInfo(&entry), nil
}

func trashInfo(entry *C.rbd_trash_image_info_t) rbd.TrashInfo {
	return rbd.TrashInfo{
		Id:               C.GoString(entry.id),
		Name:             C.GoString(entry.name),
		DeletionTime:     time.Unix(int64(entry.deletion_time), 0),
		DefermentEndTime: time.Unix(int64(entry.deferment_end_time), 0),
	}
}
