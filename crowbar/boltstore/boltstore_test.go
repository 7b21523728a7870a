package boltstore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/boltstore"
	"github.com/crowbarkit/crowbarkit/crowbar/crowbartest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(writerEnv); path != "" {
		writeUntilKilled(path)
		return
	}
	goleak.VerifyTestMain(m)
}

func harness(path string) crowbartest.Harness {
	return crowbartest.Harness{
		Open:       func() (crowbar.Store, error) { return boltstore.Open(path, nil) },
		Persistent: true,
	}
}

func TestStore(t *testing.T) {
	crowbartest.RunStore(t, func(t *testing.T) crowbartest.Harness {
		return harness(filepath.Join(t.TempDir(), "store.db"))
	})
}

func TestStoreModel(t *testing.T) {
	n := 0
	dir := t.TempDir()
	crowbartest.RunStoreModel(t, func() crowbartest.Harness {
		n++
		path := filepath.Join(dir, fmt.Sprint(n))
		return crowbartest.Harness{
			Open:       func() (crowbar.Store, error) { return boltstore.Open(path, &boltstore.Options{NoSync: true}) },
			Persistent: true,
		}
	})
}

func put(t *testing.T, s crowbar.Store, key, value string) int64 {
	t.Helper()
	revision, err := s.Txn(t.Context(), nil, []crowbar.Op{{Key: key, Value: []byte(value)}})
	require.NoError(t, err)
	return revision
}

func TestOpenLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	first, err := boltstore.Open(path, nil)
	require.NoError(t, err)
	_, err = boltstore.Open(path, nil)
	require.ErrorIs(t, err, boltstore.ErrLocked)
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, "--data-dir")
	_, err = boltstore.Open(path, &boltstore.Options{ReadOnly: true})
	require.ErrorIs(t, err, boltstore.ErrLocked)

	opened := make(chan error, 1)
	go func() {
		second, err := boltstore.Open(path, &boltstore.Options{Wait: time.Minute})
		if err == nil {
			err = second.Close()
		}
		opened <- err
	}()
	require.NoError(t, first.Close())
	require.NoError(t, <-opened, "the second waits for the first to let go")
}

func TestOpenNotWritable(t *testing.T) {
	dir := t.TempDir()
	notADirectory := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(notADirectory, nil, 0o600))
	_, err := boltstore.Open(filepath.Join(notADirectory, "store.db"), nil)
	require.ErrorContains(t, err, filepath.Join(notADirectory, "store.db"))
	require.ErrorContains(t, err, "--data-dir")

	if os.Getuid() == 0 {
		t.Log("root may write anywhere: the rest is not tested")
		return
	}
	require.NoError(t, os.Chmod(dir, 0o500))
	_, err = boltstore.Open(filepath.Join(dir, "store.db"), nil)
	require.ErrorIs(t, err, fs.ErrPermission)
	require.ErrorContains(t, err, dir)
	require.ErrorContains(t, err, "--data-dir")
}

func TestOpenMakesPrivateFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "er", "store.db")
	s, err := boltstore.Open(path, nil)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	for p, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(p)
		require.NoError(t, err)
		require.Equal(t, want, info.Mode().Perm(), p)
	}
}

func TestOpenNewerFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := boltstore.Open(path, nil)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	edit(t, path, func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte("7")) })
	for _, readOnly := range []bool{false, true} {
		_, err = boltstore.Open(path, &boltstore.Options{ReadOnly: readOnly})
		require.ErrorIs(t, err, boltstore.ErrNewerFormat)
		require.ErrorContains(t, err, "format 7")
	}
	edit(t, path, func(*bolt.Tx) error { return nil }) // the lock was let go
}

// edit changes the file behind the store's back.
func edit(t *testing.T, path string, fn func(*bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Nanosecond})
	require.NoError(t, err)
	require.NoError(t, db.Update(fn))
	require.NoError(t, db.Close())
}

func TestOpenDamaged(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "store.db")
	s, err := boltstore.Open(whole, nil)
	require.NoError(t, err)
	for i := range 200 {
		put(t, s, fmt.Sprintf("nodes/%03d", i), fmt.Sprintf("%01000d", i))
	}
	require.NoError(t, s.Close())
	content, err := os.ReadFile(whole)
	require.NoError(t, err)
	page := os.Getpagesize()
	fill := func(b []byte) {
		for i := range b {
			b[i] = 0xa5
		}
	}

	for name, damage := range map[string]func([]byte) []byte{
		"text":           func([]byte) []byte { return []byte("{\"not\": \"a store\"}\n") },
		"truncated":      func(b []byte) []byte { return b[:3*page] },
		"truncated late": func(b []byte) []byte { return b[:len(b)/2] },
		"no meta":        func(b []byte) []byte { fill(b[:2*page]); return b },
		"no data":        func(b []byte) []byte { fill(b[2*page:]); return b },
		"zeros":          func(b []byte) []byte { clear(b); return b },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store.db")
			require.NoError(t, os.WriteFile(path, damage(append([]byte(nil), content...)), 0o600))
			for range 2 { // the second finds no lock left
				_, err := boltstore.Open(path, nil)
				require.ErrorIs(t, err, boltstore.ErrDamaged)
				require.ErrorContains(t, err, path)
				require.ErrorContains(t, err, "restore a copy of it")
			}
		})
	}

	t.Run("another bbolt file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "store.db")
		edit(t, path, func(tx *bolt.Tx) error {
			_, err := tx.CreateBucket([]byte("theirs"))
			return err
		})
		_, err := boltstore.Open(path, nil)
		require.ErrorIs(t, err, boltstore.ErrDamaged)
		edit(t, path, func(tx *bolt.Tx) error {
			require.Nil(t, tx.Bucket([]byte("meta")), "left as it was")
			return nil
		})
	})
}

func TestReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	_, err := boltstore.Open(path, &boltstore.Options{ReadOnly: true})
	require.ErrorIs(t, err, fs.ErrNotExist)
	s, err := boltstore.Open(path, nil)
	require.NoError(t, err)
	revision := put(t, s, "a", "1")
	require.NoError(t, s.Close())

	s, err = boltstore.Open(path, &boltstore.Options{ReadOnly: true})
	require.NoError(t, err)
	defer s.Close()
	other, err := boltstore.Open(path, &boltstore.Options{ReadOnly: true})
	require.NoError(t, err, "readers share")
	defer other.Close()
	listing, err := s.List(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, listing.Records, 1)
	_, err = s.Txn(t.Context(), []crowbar.Condition{{Key: "a", Revision: revision}}, nil)
	require.NoError(t, err)
	_, err = s.Txn(t.Context(), nil, []crowbar.Op{{Key: "a"}})
	require.ErrorIs(t, err, crowbar.ErrNotDone)
	_, err = s.Lease(t.Context(), "l", time.Hour)
	require.ErrorIs(t, err, crowbar.ErrNotDone)
}

func TestWatchCompacts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := boltstore.Open(path, &boltstore.Options{History: 10})
	require.NoError(t, err)
	var last int64
	for i := range 25 {
		last = put(t, s, "k", fmt.Sprint(i))
	}
	enough := errors.New("enough")
	watch := func(after int64) (first int64, err error) {
		err = s.Watch(t.Context(), "", after, func(c crowbar.Change) error {
			first = c.Revision
			return enough
		})
		return first, err
	}
	_, err = watch(last - 11)
	require.ErrorIs(t, err, crowbar.ErrCompacted)
	first, err := watch(last - 10)
	require.ErrorIs(t, err, enough)
	require.Equal(t, last-9, first)
	require.NoError(t, s.Close())

	s, err = boltstore.Open(path, nil)
	require.NoError(t, err)
	defer s.Close()
	_, err = watch(last - 1)
	require.ErrorIs(t, err, crowbar.ErrCompacted, "the history did not outlive the process")
	next := put(t, s, "k", "new")
	first, err = watch(last)
	require.ErrorIs(t, err, enough)
	require.Equal(t, next, first)
}

func TestWatcherThatFallsBehindIsTold(t *testing.T) {
	s, err := boltstore.Open(filepath.Join(t.TempDir(), "store.db"), &boltstore.Options{History: 10, NoSync: true})
	require.NoError(t, err)
	defer s.Close()
	put(t, s, "k", "first")
	seen := 0
	err = s.Watch(t.Context(), "", 0, func(crowbar.Change) error {
		seen++
		for i := range 20 {
			put(t, s, "k", fmt.Sprint(i))
		}
		return nil
	})
	require.ErrorIs(t, err, crowbar.ErrCompacted)
	require.Equal(t, 1, seen)
}

type manualClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *manualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manualClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestLeaseRunsOnTheClock(t *testing.T) {
	clock := &manualClock{now: time.Date(2012, 7, 1, 0, 0, 0, 0, time.UTC)}
	s, err := boltstore.Open(filepath.Join(t.TempDir(), "store.db"), &boltstore.Options{Clock: clock})
	require.NoError(t, err)
	defer s.Close()
	first, err := s.Lease(t.Context(), "engine", time.Minute)
	require.NoError(t, err)
	clock.advance(time.Minute - 1)
	_, err = s.Lease(t.Context(), "engine", time.Minute)
	require.ErrorIs(t, err, crowbar.ErrLeaseHeld)
	clock.advance(1)
	require.NoError(t, first.Renew(t.Context()), "expired, but nobody took it")
	clock.advance(time.Minute)
	second, err := s.Lease(t.Context(), "engine", time.Minute)
	require.NoError(t, err)
	require.Greater(t, second.Token(), first.Token())
}

func TestCloseWaitsForWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := boltstore.Open(path, nil)
	require.NoError(t, err)
	var mu sync.Mutex
	acknowledged := 0
	var wait sync.WaitGroup
	started := make(chan struct{}, 100)
	for i := range 8 {
		wait.Go(func() {
			for n := 0; ; n++ {
				_, err := s.Txn(context.Background(), nil, []crowbar.Op{{Key: fmt.Sprint(i, "/", n), Value: []byte("v")}})
				if err != nil {
					if !errors.Is(err, crowbar.ErrClosed) {
						t.Errorf("txn: %v", err)
					}
					return
				}
				mu.Lock()
				acknowledged++
				mu.Unlock()
				select {
				case started <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 20 {
		<-started
	}
	require.NoError(t, s.Close())
	wait.Wait()
	s, err = boltstore.Open(path, nil)
	require.NoError(t, err)
	defer s.Close()
	listing, err := s.List(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, listing.Records, acknowledged)
}
