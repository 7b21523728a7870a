package server

import (
	"sync/atomic"
	"time"

	"github.com/crowbarkit/crowbarkit/internal/clock"
)

// A siteClock is the one time of engine, drivers and simulated machines.
type siteClock struct {
	base  clock.Clock
	ahead atomic.Int64 // nanoseconds that base is behind
}

func newSiteClock(speed float64) *siteClock { return &siteClock{base: clock.Scaled(speed)} }

// notBefore moves the clock forward if it is behind t.
func (c *siteClock) notBefore(t time.Time) {
	if behind := t.Sub(c.Now()); behind > 0 {
		c.ahead.Add(int64(behind))
	}
}

func (c *siteClock) Now() time.Time { return c.base.Now().Add(time.Duration(c.ahead.Load())) }

func (c *siteClock) After(d time.Duration) <-chan time.Time { return c.base.After(d) }
