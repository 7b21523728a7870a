package redfishsim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Knobs make a BMC misbehave, for as long as they are set.
type Knobs struct {
	Latency time.Duration // real time added to each request
	Jitter  time.Duration // and up to so much more, at random
	// ErrorRate is the share of GETs that are answered 503 with Retry-After, from 0 to 1.
	ErrorRate float64
	// SessionLimit is how many sessions may be open, 0 for Config.SessionLimit.
	SessionLimit int
	// StuckJobs keeps jobs from going on: those that wait are passed over by POST, those that
	// run do not end. When it is taken back, or the BMC restarts, they begin anew (a restart
	// is what helps a stuck iDRAC, ironcore-dev/metal-operator#453).
	StuckJobs bool
	// SlowPower multiplies Times.POST, Off and Shutdown; 0 is 1.
	SlowPower float64
	// IgnoreShutdown accepts GracefulShutdown, and nothing happens, as with sushy-tools.
	IgnoreShutdown bool
	// NoLicence refuses writes to BIOS and secure boot with 403 (metal3-io/ironic-image#688).
	NoLicence bool
	// Malformed gives numbers as strings and leaves out links and members that real BMCs have
	// been seen to leave out (stmcginnis/gofish#99, #322, #409).
	Malformed bool
}

func (k Knobs) check() error {
	if k.Latency < 0 || k.Jitter < 0 || k.ErrorRate < 0 || k.ErrorRate > 1 || k.SessionLimit < 0 || k.SlowPower < 0 {
		return fmt.Errorf("%w: knobs %+v: negative, or a rate above 1", ErrInvalid, k)
	}
	return nil
}

// Knobs returns the knobs in force.
func (b *BMC) Knobs() Knobs { return *b.knobs.Load() }

// SetKnobs changes all knobs: those of the BMC for the next request, those of the machine
// from now on. Several BMCs of one machine share the latter.
func (b *BMC) SetKnobs(k Knobs) error {
	if err := k.check(); err != nil {
		return err
	}
	b.knobs.Store(&k)
	b.machine.setFaults(faults{stuckJobs: k.StuckJobs, ignoreShutdown: k.IgnoreShutdown, slow: k.SlowPower})
	return nil
}

// SetLatency changes the time added to each request.
func (b *BMC) SetLatency(d time.Duration) {
	for {
		now := b.knobs.Load()
		k := *now
		k.Latency = max(d, 0)
		if b.knobs.CompareAndSwap(now, &k) {
			return
		}
	}
}

// RestartBMC lets the BMC be gone for d on the machine's clock: requests are answered 503
// with Retry-After, and Transport refuses connections for the first half of it, as the
// network comes back before the service does (ironcore-dev/metal-operator#453). Sessions are lost, stuck
// jobs are freed. The machine itself is not touched.
func (b *BMC) RestartBMC(d time.Duration) {
	if k := b.Knobs(); k.StuckJobs {
		k.StuckJobs = false
		_ = b.SetKnobs(k) // only takes one back
	}
	now := b.machine.clock.Now()
	b.mu.Lock()
	clear(b.sessions)
	b.downFrom, b.downUntil = now, now.Add(d)
	b.mu.Unlock()
	_ = b.machine.do(func() error {
		b.machine.state.LastBMCReset = now
		b.machine.changed()
		return nil
	})
}

// down says for how long the BMC is still gone, and whether so far that it has no network.
func (b *BMC) down() (left time.Duration, unreachable bool) {
	b.mu.Lock()
	from, until := b.downFrom, b.downUntil
	b.mu.Unlock()
	if until.IsZero() {
		return 0, false
	}
	left = until.Sub(b.machine.clock.Now())
	return max(left, 0), left > until.Sub(from)/2
}

// refusesConnections is for Transport.
func (b *BMC) refusesConnections() bool { _, gone := b.down(); return gone }

// LoseReply lets the next request with this method and path prefix take effect, and then
// drops the connection in place of an answer. Calls add up.
func (b *BMC) LoseReply(method, pathPrefix string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lose = append(b.lose, matcher{method, pathPrefix})
}

// FailNext answers the next request with this method and path prefix with an error status,
// without effect. Calls add up.
func (b *BMC) FailNext(method, pathPrefix string, status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = append(b.fail, failure{matcher{method, pathPrefix}, status})
}

type matcher struct{ method, prefix string }

type failure struct {
	matcher
	status int
}

func (m matcher) matches(r *http.Request) bool {
	return r.Method == m.method && strings.HasPrefix(r.URL.Path, m.prefix)
}

// take removes and returns the first element that matches the request.
func take[T any](list *[]T, matches func(T) bool) (T, bool) {
	for i, v := range *list {
		if matches(v) {
			*list = append((*list)[:i:i], (*list)[i+1:]...)
			return v, true
		}
	}
	var none T
	return none, false
}

// retryLater is a 503 that says when to come back.
func retryLater(in time.Duration, text string) answer {
	a := problem(http.StatusServiceUnavailable, message{"Base.1.18.ServiceTemporarilyUnavailable", text})
	a.header = http.Header{"Retry-After": {strconv.Itoa(int((in + time.Second - 1) / time.Second))}}
	return a
}

// malform leaves out what some BMCs leave out, and makes numbers into strings, except in
// BIOS attributes and counts of collections.
func malform(path string, p *paths, o object) {
	if _, isCollection := o["Members"]; isCollection {
		return
	}
	switch path {
	case p.system:
		delete(o, "Memory")
		o["Status"] = nil
	case p.manager:
		delete(o, "Links")
	}
	delete(o, "Identifiers")
	stringify(o)
}

func stringify(o object) {
	for key, v := range o {
		switch v := v.(type) {
		case object:
			if key != "Attributes" {
				stringify(v)
			}
		case []any:
			for _, item := range v {
				if o, ok := item.(object); ok {
					stringify(o)
				}
			}
		default:
			textNumber(o, key)
		}
	}
}

func textNumber(o object, key string) {
	switch v := o[key].(type) {
	case int, int64, float64:
		o[key] = fmt.Sprint(v)
	}
}
