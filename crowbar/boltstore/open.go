package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/internal/history"
	"github.com/crowbarkit/crowbarkit/crowbar/internal/lease"
)

// FormatVersion is the format that this package writes, and the newest it reads.
const FormatVersion = 1

// What Open finds in the way of opening.
var (
	ErrLocked      = errors.New("boltstore: in use by another process")
	ErrNewerFormat = errors.New("boltstore: written by a newer release")
	ErrDamaged     = errors.New("boltstore: damaged, or not a store")
)

// Clock is the time that leases run on.
type Clock interface {
	Now() time.Time
}

// Options of Open; nil is the same as the zero value.
type Options struct {
	// Clock of the leases, nil = real time.
	Clock Clock
	// Logger is told of opening, closing and failed commits, nil = silent.
	Logger *slog.Logger
	// Wait is how long to wait for another process to let go of the file, 0 = not at all.
	// A server that is restarted wants a few seconds.
	Wait time.Duration
	// NoSync leaves out the fsync of every commit, for a store whose data may die with the
	// machine. A crash of the process alone loses nothing.
	NoSync bool
	// ReadOnly opens an existing file without writing to it; Txn with ops and Lease then fail
	// with crowbar.ErrNotDone. The file must not be open for writing elsewhere.
	ReadOnly bool
	// History is how many changes Watch can go back, 0 = 10,000. At most 64 MiB are kept.
	History int

	maxSize int // of the file, to make a disk full in tests
}

// Open opens the store in the file at path, and makes file and directory (readable by the
// owner alone, for records hold sealed secrets) if they do not exist.
//
// Errors: ErrLocked, ErrNewerFormat, ErrDamaged, or what the file system said (fs.ErrNotExist,
// fs.ErrPermission, …).
func Open(path string, opts *Options) (*Store, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	now := time.Now
	if o.Clock != nil {
		now = o.Clock.Now
	}
	if !o.ReadOnly {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, openError(path, err)
		}
	}

	s := &Store{
		path:     path,
		readOnly: o.ReadOnly,
		log:      o.Logger,
		leases:   lease.NewTable(now, crowbar.ErrLeaseHeld),
		queue:    make(chan *request, maxBatch),
		commit:   (*bolt.DB).Update,
	}
	err := guard(path, func() error { return s.open(o) })
	if err != nil {
		if s.file != nil {
			// Where bbolt panicked it kept the file open; elsewhere this fails and is harmless.
			unlock(s.file)
			_ = s.file.Close()
		}
		return nil, openError(path, err)
	}
	s.history = history.New(history.Config{
		Revision:   s.last.revision,
		MaxChanges: o.History,
		Compacted:  crowbar.ErrCompacted,
	})
	s.writer.Add(1)
	go s.write()
	s.log.Info("store opened", "path", path, "revision", s.last.revision, "read_only", o.ReadOnly)
	return s, nil
}

// open opens the file and reads what the store must know of it.
func (s *Store) open(o Options) error {
	db, err := bolt.Open(s.path, 0o600, &bolt.Options{
		// To bbolt 0 is for ever; this is one try.
		Timeout:  max(o.Wait, time.Nanosecond),
		NoSync:   o.NoSync,
		ReadOnly: o.ReadOnly,
		MaxSize:  o.maxSize,
		// Counting would make readers wait for each other.
		NoStatistics: true,
		// The default type gets slow on a large file with many free pages.
		FreelistType: bolt.FreelistMapType,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			s.file = f
			return f, err
		},
	})
	if err != nil {
		return err
	}
	s.db = db
	err = db.View(func(tx *bolt.Tx) error {
		info, err := s.file.Stat()
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return fmt.Errorf("%w: %d bytes, of %d", ErrDamaged, info.Size(), tx.Size())
		}
		return nil
	})
	if err == nil && !o.ReadOnly {
		err = db.Update(initialize)
	}
	if err == nil {
		err = db.View(func(tx *bolt.Tx) error {
			s.last = readPosition(tx)
			return checkFormat(tx)
		})
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	return nil
}

// initialize makes the buckets of a new file; another file it leaves as it is.
func initialize(tx *bolt.Tx) error {
	if k, _ := tx.Cursor().First(); k != nil {
		return checkFormat(tx)
	}
	if _, err := tx.CreateBucket([]byte(recordsBucket)); err != nil {
		return err
	}
	meta, err := tx.CreateBucket([]byte(metaBucket))
	if err != nil {
		return err
	}
	return meta.Put([]byte(formatKey), []byte(strconv.Itoa(FormatVersion)))
}

func checkFormat(tx *bolt.Tx) error {
	meta, records := tx.Bucket([]byte(metaBucket)), tx.Bucket([]byte(recordsBucket))
	if meta == nil {
		return fmt.Errorf("%w: a bbolt file without the bucket %q", ErrDamaged, metaBucket)
	}
	raw := string(meta.Get([]byte(formatKey)))
	version, err := strconv.Atoi(raw)
	switch {
	case err != nil || version < 1:
		return fmt.Errorf("%w: format version %q", ErrDamaged, raw)
	case version > FormatVersion:
		return fmt.Errorf("%w: format %d, this release reads up to %d; use the newer release", ErrNewerFormat, version, FormatVersion)
	case records == nil:
		return fmt.Errorf("%w: a store without the bucket %q", ErrDamaged, recordsBucket)
	}
	return nil
}

// openError names the path and what to do.
func openError(path string, err error) error {
	var problem *fs.PathError
	if errors.As(err, &problem) { // which may name the path once more
		err = fmt.Errorf("%s: %w", problem.Op, problem.Err)
		if problem.Path != path {
			err = problem
		}
	}
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("open %s: %w; stop it or give another --data-dir", path, ErrLocked)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return fmt.Errorf("open %s: %w (%w); restore a copy of it, or move it away to begin anew", path, ErrDamaged, err)
	case errors.Is(err, ErrDamaged):
		return fmt.Errorf("open %s: %w; restore a copy of it, or move it away to begin anew", path, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("open %s: %w; give this user the right to write there, or another --data-dir", path, err)
	case problem != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("open %s: %w; give another --data-dir", path, err)
	default:
		return fmt.Errorf("open %s: %w", path, err)
	}
}
