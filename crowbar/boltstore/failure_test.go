package boltstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/crowbarkit/crowbarkit/crowbar"
)

func TestFullDiskIsNotDoneAndRecovers(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "store.db"), &Options{maxSize: 256 << 10})
	require.NoError(t, err)
	defer s.Close()
	small := func(key string) error {
		_, err := s.Txn(t.Context(), nil, []crowbar.Op{{Key: key, Value: []byte("v")}})
		return err
	}
	require.NoError(t, small("before"))
	before, err := s.List(t.Context(), "")
	require.NoError(t, err)

	_, err = s.Txn(t.Context(), nil, []crowbar.Op{
		{Key: "small", Value: []byte("v")}, {Key: "big", Value: make([]byte, 400<<10)},
	})
	require.ErrorIs(t, err, crowbar.ErrNotDone)
	require.NotErrorIs(t, err, crowbar.ErrUnknownOutcome)
	after, err := s.List(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, before, after, "nothing was written")

	require.NoError(t, small("after"))
	last, err := s.List(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, before.Revision+1, last.Revision)
}

func TestUnknownOutcomeStopsTheStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := Open(path, nil)
	require.NoError(t, err)
	_, err = s.Txn(t.Context(), nil, []crowbar.Op{{Key: "before", Value: []byte("v")}})
	require.NoError(t, err)

	watch := make(chan error, 1)
	go func() { watch <- s.Watch(t.Context(), "", 1, func(crowbar.Change) error { return nil }) }()
	// As when the meta page was written and its fsync failed.
	fsync := errors.New("fsync: input/output error")
	s.commit = func(db *bolt.DB, fn func(*bolt.Tx) error) error { return errors.Join(db.Update(fn), fsync) }
	_, err = s.Txn(t.Context(), nil, []crowbar.Op{{Key: "a", Value: []byte("v")}})
	require.ErrorIs(t, err, crowbar.ErrUnknownOutcome)
	require.ErrorIs(t, err, fsync)
	require.ErrorIs(t, <-watch, ErrFailed)
	_, err = s.Txn(t.Context(), nil, []crowbar.Op{{Key: "b", Value: []byte("v")}})
	require.ErrorIs(t, err, ErrFailed)
	_, err = s.Get(t.Context(), "before")
	require.ErrorIs(t, err, ErrFailed)
	require.NoError(t, s.Close())

	s, err = Open(path, nil)
	require.NoError(t, err)
	defer s.Close()
	_, err = s.Get(t.Context(), "a")
	require.NoError(t, err, "here it did happen")
	revision, err := s.Txn(t.Context(), nil, []crowbar.Op{{Key: "b", Value: []byte("v")}})
	require.NoError(t, err)
	require.EqualValues(t, 3, revision, "no revision is given twice")
}

func TestPanicInCommitStopsTheStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := Open(path, nil)
	require.NoError(t, err)
	s.commit = func(db *bolt.DB, fn func(*bolt.Tx) error) error {
		tx, err := db.Begin(true) // and never ended: bbolt's lock stays taken
		if err != nil {
			return err
		}
		_ = tx
		panic("page 7: assertion failed")
	}
	_, err = s.Txn(t.Context(), nil, []crowbar.Op{{Key: "a", Value: []byte("v")}})
	require.ErrorIs(t, err, crowbar.ErrUnknownOutcome)
	require.ErrorIs(t, err, ErrDamaged)
	require.NoError(t, s.Close(), "does not wait for the lost lock")
	s, err = Open(path, nil)
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

// A writer that waits for the disk must gather those who come meanwhile into one commit, and
// each must get the answer to its own transaction.
func TestQueuedTransactionsShareACommit(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "store.db"), nil)
	require.NoError(t, err)
	defer s.Close()
	commits, entered, release := 0, make(chan struct{}), make(chan struct{})
	s.commit = func(db *bolt.DB, fn func(*bolt.Tx) error) error {
		if commits++; commits == 1 {
			close(entered)
			<-release
		}
		return db.Update(fn)
	}
	var wait sync.WaitGroup
	txn := func(key string, conditions ...crowbar.Condition) (err error) {
		_, err = s.Txn(t.Context(), conditions, []crowbar.Op{{Key: key, Value: []byte("v")}})
		return err
	}
	wait.Go(func() { _ = txn("first") })
	<-entered
	const n = 20
	errs := make([]error, n)
	for i := range n {
		wait.Go(func() { errs[i] = txn(fmt.Sprint("k", i%10), crowbar.Condition{Key: fmt.Sprint("k", i%10)}) })
	}
	for len(s.queue) < n { // nothing else tells that they queue
		runtime.Gosched()
	}
	close(release)
	wait.Wait()
	require.Equal(t, 2, commits)
	for i := range 10 {
		a, b := errs[i], errs[i+10]
		require.True(t, (a == nil) != (b == nil), "one of two on k%d: %v, %v", i, a, b)
		require.ErrorIs(t, errors.Join(a, b), crowbar.ErrConflict)
	}
}

func TestWithdrawnTransactionWritesNothing(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "store.db"), nil)
	require.NoError(t, err)
	defer s.Close()
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.commit = func(db *bolt.DB, fn func(*bolt.Tx) error) error {
		once.Do(func() {
			close(entered)
			<-release
		})
		return db.Update(fn)
	}
	var wait sync.WaitGroup
	wait.Go(func() { _, _ = s.Txn(t.Context(), nil, []crowbar.Op{{Key: "first", Value: []byte("v")}}) })
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	wait.Go(func() {
		_, err := s.Txn(ctx, nil, []crowbar.Op{{Key: "withdrawn", Value: []byte("v")}})
		done <- err
	})
	for len(s.queue) < 1 { // nothing else tells that they queue
		runtime.Gosched()
	}
	cancel()
	err = <-done // while the writer still waits for its disk
	require.Equal(t, ctx.Err(), err)
	close(release)
	wait.Wait()
	// The writer takes requests in order: after this one it is past the withdrawn.
	_, err = s.Txn(t.Context(), nil, []crowbar.Op{{Key: "last", Value: []byte("v")}})
	require.NoError(t, err)
	_, err = s.Get(t.Context(), "withdrawn")
	require.ErrorIs(t, err, crowbar.ErrNotFound)
}
