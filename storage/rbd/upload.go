package rbd

// An upload is an io.WriterAt that returns before its writes are done: up to writesAhead are
// under way. An error is returned by a later write, or by finish; afterwards it is of no use.
type upload struct {
	start    func(p []byte, off int64) (<-chan error, error) // p belongs to it until it is done
	result   func(done <-chan error) error
	progress func(done, total int64) // may be nil

	under []write // oldest first
	spare [][]byte
}

type write struct {
	p           []byte
	done        <-chan error
	read, total int64 // what had been read after it; 0: more is written of the same
}

// writesAhead is how many writes of an import are under way at once, each with a worker's slot
// and up to 4 MiB. A write waits for the cluster, which has time for others meanwhile.
const writesAhead = 4

// WriteAt begins to write a copy of p.
func (u *upload) WriteAt(p []byte, off int64) (int, error) {
	if len(u.under) == writesAhead {
		if err := u.oldest(); err != nil {
			return 0, err
		}
	}
	var copied []byte
	if n := len(u.spare); n > 0 {
		copied, u.spare = u.spare[n-1], u.spare[:n-1]
	}
	copied = append(copied[:0], p...)
	done, err := u.start(copied, off)
	if err != nil {
		return 0, err
	}
	u.under = append(u.under, write{p: copied, done: done})
	return len(p), nil
}

// read notes how much has been read, which is progress once what was read is written.
func (u *upload) read(done, total int64) {
	if n := len(u.under); n > 0 {
		u.under[n-1].read, u.under[n-1].total = done, total
	} else if u.progress != nil {
		u.progress(done, total)
	}
}

// oldest waits for the oldest write.
func (u *upload) oldest() error {
	w := u.under[0]
	if err := u.result(w.done); err != nil {
		return err
	}
	u.under = append(u.under[:0], u.under[1:]...)
	u.spare = append(u.spare, w.p)
	if w.read > 0 && u.progress != nil {
		u.progress(w.read, w.total)
	}
	return nil
}

// finish waits for all writes.
func (u *upload) finish() error {
	for len(u.under) > 0 {
		if err := u.oldest(); err != nil {
			return err
		}
	}
	return nil
}
