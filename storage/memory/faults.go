package memory

import (
	"context"
	"time"
)

// A Fault is what goes wrong with calls.
type Fault struct {
	// Op is the operation it happens to, named as in storage.OpError: "create", "get",
	// "delete snapshot", …; "write" and "read" are those of data. "" = the next, whichever.
	Op string
	// Times is to how many calls it happens, 0 = 1.
	Times int
	// Delay passes before the call does anything; a call whose context ends meanwhile did
	// nothing.
	Delay time.Duration
	// Before is returned instead of doing anything: a lost request, a busy or broken back end.
	Before error
	// After is returned instead of the answer of a call that succeeded: a lost answer.
	After error
}

// Inject plans a fault, after those that were planned before.
func (d *Driver) Inject(f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.Times = max(f.Times, 1)
	d.faults = append(d.faults, f)
}

// fault takes the next fault of a call, waits, and returns what it fails with at once.
func (d *Driver) fault(ctx context.Context, op string) (Fault, error) {
	if err := ctx.Err(); err != nil {
		return Fault{}, err
	}
	f := d.next(op)
	if f.Delay > 0 {
		select {
		case <-d.config.Clock.After(f.Delay):
		case <-ctx.Done():
			return Fault{}, ctx.Err()
		}
	}
	return f, f.Before
}

func (d *Driver) next(op string) Fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, f := range d.faults {
		if f.Op != "" && f.Op != op {
			continue
		}
		if d.faults[i].Times--; d.faults[i].Times == 0 {
			d.faults = append(d.faults[:i], d.faults[i+1:]...)
		}
		return f
	}
	return Fault{}
}
