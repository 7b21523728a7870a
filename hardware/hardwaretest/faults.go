package hardwaretest

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// fault is what happens to one request of a Configurator, the n-th since it was armed, and to
// those after it.
type fault struct {
	base        http.RoundTripper
	then, later func(http.RoundTripper, *http.Request) (*http.Response, error) // nil: nothing

	mu   sync.Mutex
	left int
	hit  bool
}

func (f *fault) wrap(base http.RoundTripper) http.RoundTripper { f.base = base; return f }

func (f *fault) arm(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = n
}

// next counts a request and returns what happens to it.
func (f *fault) next() func(http.RoundTripper, *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.hit:
		return f.later
	case f.left > 0:
		f.left--
		if f.hit = f.left == 0; f.hit {
			return f.then
		}
	}
	return nil
}

// reached reports whether a request was hit. A kept session is ended by a goroutine of its own, so
// it may still come.
func (f *fault) reached() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hit
}

func (f *fault) RoundTrip(r *http.Request) (*http.Response, error) {
	if act := f.next(); act != nil {
		return act(f.base, r)
	}
	return f.base.RoundTrip(r)
}

var errKilled = errors.New("the connection broke")

func dead(http.RoundTripper, *http.Request) (*http.Response, error) { return nil, errKilled }

// lost has its effect, and the answer is lost.
func lost(base http.RoundTripper, r *http.Request) (*http.Response, error) {
	if resp, err := base.RoundTrip(r); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	return nil, errKilled
}

// dying is a client that dies at a request, before or after its effect.
func dying(effect bool) *fault {
	if effect {
		return &fault{then: lost, later: dead}
	}
	return &fault{then: dead, later: dead}
}

// cancelling is a caller that gives up at a request, before or after its effect.
func cancelling(cancel func(), effect bool) *fault {
	return &fault{then: func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		if !effect {
			cancel()
			return base.RoundTrip(r)
		}
		resp, err := base.RoundTrip(r)
		cancel()
		if err == nil && r.Context().Err() != nil {
			resp.Body.Close()
			return nil, r.Context().Err()
		}
		return resp, err
	}}
}

// refusing is a BMC that refuses a request and quotes its headers and body, as some do.
func refusing() *fault {
	return &fault{then: func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		var said strings.Builder
		_ = r.Header.Write(&said)
		if r.Body != nil {
			_, _ = io.Copy(&said, r.Body)
			r.Body.Close()
		}
		return &http.Response{Status: "400 Bad Request", StatusCode: http.StatusBadRequest, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{}, Body: io.NopCloser(strings.NewReader(said.String())), Request: r}, nil
	}}
}

// atEach runs a case with a fault at the n-th request, for every n that is reached, and demands
// that there were enough of them to mean something.
func atEach(t *testing.T, run func(n int) (reached bool)) {
	t.Helper()
	n := 1
	for run(n) {
		n++
	}
	require.Greater(t, n, 5, "requests of one call")
}

func crashAnywhere(t *testing.T, newRig func(*testing.T) *Rig) {
	for _, effect := range []bool{true, false} {
		atEach(t, func(n int) bool {
			r := newRig(t)
			if r.AddVolume != nil {
				r.AddVolume(t)
			}
			f := dying(effect)
			c := r.open(t, f.wrap)
			p := planFor(t, r, c)
			before := r.State()
			f.arm(n)
			_, err := c.Apply(t.Context(), r.Target, p, consent())
			if f.reached() && err == nil {
				require.True(t, plan(t, r, r.Profile).Empty(), "only the logout may fail unnoticed")
			}
			r.EndSessions()
			next := r.open(t, nil)
			_, err = next.Apply(t.Context(), r.Target, p, consent())
			require.NoError(t, err, "continued after request %d", n)
			r.end(t, next)
			require.True(t, plan(t, r, r.Profile).Empty())
			s := r.State()
			require.Equal(t, volumes(p), s.Volumes-before.Volumes)
			require.Zero(t, s.Collisions)
			for disk, wipes := range s.Wipes {
				require.Equal(t, destroyed(p)[disk], wipes-before.Wipes[disk], "%s after request %d: as often as planned", disk, n)
			}
			return f.reached()
		})
	}
}

func lostAnswers(t *testing.T, newRig func(*testing.T) *Rig) {
	atEach(t, func(n int) bool {
		r := newRig(t)
		var changed atomic.Bool
		f := &fault{then: func(base http.RoundTripper, q *http.Request) (*http.Response, error) {
			before := r.State().Changes
			resp, err := lost(base, q)
			changed.Store(r.State().Changes != before)
			return resp, err
		}}
		c := r.open(t, f.wrap)
		p := planFor(t, r, c)
		before := r.State()
		f.arm(n)
		_, err := c.Apply(t.Context(), r.Target, p, consent())
		switch {
		case err == nil:
			require.True(t, plan(t, r, r.Profile).Empty(), "success is success: request %d", n)
		case changed.Load():
			require.ErrorIs(t, err, hardware.ErrUnknownOutcome, "what request %d came to is in doubt", n)
		default:
			require.NotErrorIs(t, err, hardware.ErrRejected, "only a change sent twice is refused here")
		}
		s := r.State()
		require.LessOrEqual(t, s.Volumes-before.Volumes, volumes(p))
		require.LessOrEqual(t, s.Boots-before.Boots, p.Reboots(), "request %d", n)
		for disk, wipes := range s.Wipes {
			require.LessOrEqual(t, wipes-before.Wipes[disk], destroyed(p)[disk], disk)
		}
		return f.reached()
	})
}

func noSessionLeft(t *testing.T, newRig func(*testing.T) *Rig) {
	for _, effect := range []bool{false, true} {
		for name, call := range map[string]func(context.Context, *Rig, hardware.Configurator, *hardware.Plan) error{
			"Apply": func(ctx context.Context, r *Rig, c hardware.Configurator, p *hardware.Plan) error {
				_, err := c.Apply(ctx, r.Target, p, consent())
				return err
			},
			"Power": func(ctx context.Context, r *Rig, c hardware.Configurator, _ *hardware.Plan) error {
				return c.Power(ctx, r.Target, hardware.PowerReset)
			},
		} {
			atEach(t, func(n int) bool {
				r := newRig(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				f := cancelling(cancel, effect)
				c := r.open(t, f.wrap)
				p := planFor(t, r, c)
				f.arm(n)
				err := call(ctx, r, c, p)
				if err != nil {
					require.ErrorIs(t, err, context.Canceled)
				} else if !f.reached() {
					r.end(t, c)
				}
				require.Zero(t, r.State().Sessions, "%s cancelled at request %d, after its effect: %v", name, n, effect)
				return f.reached()
			})
		}
	}
	r := newRig(t)
	if r.Profile.RAID == nil {
		return
	}
	c := r.open(t, nil)
	_, err := c.Apply(t.Context(), r.Target, planFor(t, r, c), nil)
	require.ErrorIs(t, err, hardware.ErrNotAuthorized)
	require.Zero(t, r.State().Sessions, "after an error")
}

func noCredentials(t *testing.T, newRig func(*testing.T) *Rig) {
	atEach(t, func(n int) bool {
		r := newRig(t)
		f := refusing()
		c := r.open(t, f.wrap)
		p := planFor(t, r, c)
		f.arm(n)
		_, err := c.Apply(t.Context(), r.Target, p, consent())
		if err != nil {
			require.NotContains(t, err.Error(), r.Password)
			require.NotContains(t, err.Error(), base64.StdEncoding.EncodeToString([]byte(r.User+":"+r.Password)))
		}
		return f.reached()
	})
}

// wrongPassword comes after the right one: what is kept of that is lent to nobody.
func wrongPassword(t *testing.T, newRig func(*testing.T) *Rig) {
	r := newRig(t)
	c := r.open(t, nil)
	p := planFor(t, r, c)
	before := r.State()
	stranger := r.Target
	stranger.Credentials = func(context.Context) (string, string, error) { return r.User, r.Password + "?", nil }
	_, err := c.Observe(t.Context(), stranger)
	require.ErrorIs(t, err, hardware.ErrUnauthorized)
	_, err = c.Apply(t.Context(), stranger, p, consent())
	require.ErrorIs(t, err, hardware.ErrUnauthorized)
	require.ErrorIs(t, c.Power(t.Context(), stranger, hardware.PowerReset), hardware.ErrUnauthorized)
	require.Equal(t, before, r.State())
}

func powerIsSeen(t *testing.T, newRig func(*testing.T) *Rig) {
	r := newRig(t)
	c := r.open(t, nil)
	for _, step := range []struct {
		action hardware.PowerAction
		on     bool
	}{
		{hardware.PowerReset, true}, {hardware.PowerOn, true}, {hardware.PowerOff, false}, {hardware.PowerShutdown, false},
		{hardware.PowerOn, true}, {hardware.PowerShutdown, false}, {hardware.PowerReset, true},
	} {
		before := r.State()
		require.NoError(t, c.Power(t.Context(), r.Target, step.action), step.action)
		s := r.State()
		require.Equal(t, step.on, s.On, step.action)
		if step.action == hardware.PowerReset && before.On {
			require.True(t, s.Reset.After(before.Reset), "it was reset before the call returned")
		}
	}
}
