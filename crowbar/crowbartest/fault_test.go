package crowbartest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/crowbartest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFaultStoreWithoutFaultsIsAStore(t *testing.T) {
	crowbartest.RunStore(t, func(*testing.T) crowbartest.Harness {
		return crowbartest.Harness{Open: func() (crowbar.Store, error) {
			return crowbartest.NewFaultStore(crowbar.NewMemoryStore(), nil), nil
		}}
	})
}

func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		fault   crowbartest.Fault
		err     error
		written bool
		dead    bool
	}{
		"fail before":  {crowbartest.FailBefore, crowbar.ErrNotDone, false, false},
		"fail after":   {crowbartest.FailAfter, crowbar.ErrUnknownOutcome, true, false},
		"lose request": {crowbartest.LoseRequest, crowbar.ErrUnknownOutcome, false, false},
		"crash before": {crowbartest.CrashBefore, crowbartest.ErrCrashed, false, true},
		"crash after":  {crowbartest.CrashAfter, crowbartest.ErrCrashed, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			inner := crowbar.NewMemoryStore()
			defer inner.Close()
			s := crowbartest.NewFaultStore(inner, map[int]crowbartest.Fault{2: c.fault})
			put := func(key string) error {
				_, err := s.Txn(ctx, nil, []crowbar.Op{{Key: key, Value: []byte("v")}})
				return err
			}
			require.NoError(t, put("first"))
			_, err := s.Txn(ctx, nil, nil)
			require.NoError(t, err, "a check is not counted")
			watch := make(chan error, 1)
			go func() {
				watch <- s.Watch(ctx, "", 0, func(change crowbar.Change) error {
					if change.Key == "third" {
						return fmt.Errorf("saw the third")
					}
					return nil
				})
			}()
			require.ErrorIs(t, put("second"), c.err)
			_, err = inner.Get(ctx, "second")
			if c.written {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, crowbar.ErrNotFound)
			}
			require.Equal(t, 2, s.Count())

			if !c.dead {
				require.NoError(t, put("third"))
				require.ErrorContains(t, <-watch, "saw the third")
				s.FailNext(crowbartest.FailBefore)
				require.ErrorIs(t, put("fourth"), crowbar.ErrNotDone)
				require.NoError(t, put("fourth"))
				return
			}
			require.ErrorIs(t, <-watch, crowbartest.ErrCrashed)
			require.ErrorIs(t, put("third"), crowbartest.ErrCrashed)
			_, err = s.Get(ctx, "first")
			require.ErrorIs(t, err, crowbartest.ErrCrashed)
			_, err = s.List(ctx, "")
			require.ErrorIs(t, err, crowbartest.ErrCrashed)
			_, err = s.Lease(ctx, "l", time.Hour)
			require.ErrorIs(t, err, crowbartest.ErrCrashed)
			require.ErrorIs(t, s.Close(), crowbartest.ErrCrashed)
			_, err = inner.Get(ctx, "first")
			require.NoError(t, err, "the world lives on")
		})
	}
}

func ExampleFaultStore() {
	ctx := context.Background()
	world := crowbar.NewMemoryStore()
	defer world.Close()
	create := func(s crowbar.Store) error {
		_, err := s.Txn(ctx, []crowbar.Condition{{Key: "grant"}}, []crowbar.Op{{Key: "grant", Value: []byte("spent")}})
		return err
	}
	// The answer is lost; the effect is not. A second attempt must not spend twice.
	s := crowbartest.NewFaultStore(world, map[int]crowbartest.Fault{1: crowbartest.FailAfter})
	fmt.Println(errors.Is(create(s), crowbar.ErrUnknownOutcome))
	fmt.Println(errors.Is(create(s), crowbar.ErrConflict))
	// Output:
	// true
	// true
}
