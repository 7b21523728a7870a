// Package clock holds the two clocks that the commands hand to engine, drivers and
// simulators. Each of those declares the two methods it needs as an interface of its own,
// so an embedder can bring any clock.
package clock

import "time"

// Clock tells the time and signals that some of it has passed.
type Clock interface {
	Now() time.Time
	// After is time.After on this clock; a timer that nobody receives from is collected.
	After(d time.Duration) <-chan time.Time
}

// System returns the real clock. Inside a testing/synctest bubble it is the bubble's.
func System() Clock { return system{} }

type system struct{}

func (system) Now() time.Time                         { return time.Now() }
func (system) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Scaled returns a clock that starts at the present time and runs factor times as fast as
// the real one, so that a simulated rack installs in seconds while its states still show
// minutes. A factor of 1 or less is the real clock.
func Scaled(factor float64) Clock {
	if factor <= 1 {
		return System()
	}
	return scaled{start: time.Now(), factor: factor}
}

type scaled struct {
	start  time.Time
	factor float64
}

func (c scaled) Now() time.Time {
	return c.start.Add(time.Duration(float64(time.Since(c.start)) * c.factor))
}

func (c scaled) After(d time.Duration) <-chan time.Time {
	out := make(chan time.Time, 1)
	time.AfterFunc(time.Duration(float64(d)/c.factor), func() { out <- c.Now() })
	return out
}
