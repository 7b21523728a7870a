// Package hardwaretest proves that a hardware.Configurator keeps the rules that the engine
// builds on: a plan has no effect, applying it makes the next plan empty, nothing is
// destroyed without consent or twice, an interrupted Apply goes on, no session and no
// credential gets away.
//
// A test of a Configurator that speaks HTTP runs every case on fresh machines, in a
// testing/synctest bubble where the machines allow it:
//
//	for _, c := range hardwaretest.Cases() {
//		t.Run(c.Name, func(t *testing.T) {
//			synctest.Test(t, func(t *testing.T) { c.Run(t, newRig) })
//		})
//	}
package hardwaretest

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// Rig is one fresh machine. Target logs in with User and Password.
type Rig struct {
	Target         hardware.Target
	User, Password string
	// Profile changes all that can be changed on this machine: BIOS, boot, and, where volumes can
	// be made, one volume on disks that are in none. It destroys nothing but their data.
	Profile hardware.Profile
	// Configurator returns a new Configurator whose requests to the machine go through
	// wrap, if that is not nil.
	Configurator func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) hardware.Configurator
	// State is counted behind the Configurator's back.
	State func() State
	// AddVolume makes a volume on a disk that Profile claims, as somebody else would. Nil where no
	// volumes can be made.
	AddVolume func(t *testing.T)
	// ChangeSetting changes something that Profile asks for and the machine has already, as
	// somebody else would. It may be nil.
	ChangeSetting func(t *testing.T)
	// EndSessions drops the sessions of a client that died, as a BMC does after a time.
	EndSessions func()
}

// State is what a case compares.
type State struct {
	Changes  uint64         // grows with every change of the machine
	Volumes  int            // now
	Wipes    map[string]int // by disk: how often its data was destroyed
	Boots    int            // how often firmware started
	Sessions int            // open now
	// Collisions counts changes that the machine cannot bear at the same time and had to: jobs
	// for BIOS and RAID at once.
	Collisions int
}

// Case is one rule with its test. NewRig is called for each machine the case needs.
type Case struct {
	Name string
	Rule string
	Run  func(t *testing.T, newRig func(*testing.T) *Rig)
}

func plan(t *testing.T, r *Rig, want hardware.Profile) *hardware.Plan {
	t.Helper()
	seen, err := r.Configurator(t, nil).Observe(t.Context(), r.Target)
	require.NoError(t, err)
	p, err := hardware.NewPlan(want, seen)
	require.NoError(t, err)
	return p
}

func allow(context.Context, hardware.Destruction) error { return nil }

func consent() *hardware.ApplyOptions { return &hardware.ApplyOptions{Authorize: allow} }

// Cases returns all rules.
func Cases() []Case {
	return []Case{
		{"PlanHasNoEffect", "observing and planning change nothing", planHasNoEffect},
		{"ApplyConverges", "after Apply the next plan is empty", applyConverges},
		{"PartsCommute", "a plan for the BIOS and one for RAID may be applied in either order", partsCommute},
		{"ApplyTwice", "a plan applied again writes nothing", applyTwice},
		{"ConsentFirst", "nothing is destroyed without consent", consentFirst},
		{"StalePlan", "a plan for a machine that has changed is refused", stalePlan},
		{"CrashAnywhere", "a run that dies at any request is continued by the next, and no data is destroyed twice", crashAnywhere},
		{"LostAnswers", "an answer that is lost never leads to a second volume, wipe or boot", lostAnswers},
		{"NoSessionLeft", "no session is left after success, error or cancellation at any request", noSessionLeft},
		{"NoCredentials", "errors never show credentials", noCredentials},
	}
}

func planHasNoEffect(t *testing.T, newRig func(*testing.T) *Rig) {
	r := newRig(t)
	before := r.State()
	require.NotEmpty(t, plan(t, r, r.Profile).Operations)
	require.Equal(t, before, r.State())
}

func applyConverges(t *testing.T, newRig func(*testing.T) *Rig) {
	r := newRig(t)
	p := plan(t, r, r.Profile)
	before := r.State()
	res, err := r.Configurator(t, nil).Apply(t.Context(), r.Target, p, consent())
	require.NoError(t, err)
	require.Len(t, res.Done, len(p.Operations), "each operation is verified and reported")
	require.Equal(t, p.Reboots(), res.Reboots, "as many reboots as planned")
	s := r.State()
	require.Equal(t, p.Reboots(), s.Boots-before.Boots, "resets of the machine")
	require.Zero(t, s.Collisions)
	require.Equal(t, volumes(p), s.Volumes-before.Volumes)
	require.True(t, plan(t, r, r.Profile).Empty())
}

// volumes is how many there are more after a plan.
func volumes(p *hardware.Plan) (n int) {
	for _, op := range p.Operations {
		switch op.Action {
		case hardware.ActionCreateVolume:
			n++
		case hardware.ActionDeleteVolume:
			n--
		}
	}
	return n
}

// destroyed is how often a plan destroys each disk's data.
func destroyed(p *hardware.Plan) map[string]int {
	out := map[string]int{}
	for _, op := range p.Operations {
		for _, disk := range op.Destroys {
			out[disk]++
		}
	}
	return out
}

func partsCommute(t *testing.T, newRig func(*testing.T) *Rig) {
	for _, backwards := range []bool{false, true} {
		r := newRig(t)
		parts := []hardware.Profile{{BIOS: r.Profile.BIOS}, {RAID: r.Profile.RAID}}
		if backwards {
			slices.Reverse(parts)
		}
		parts = append(parts, hardware.Profile{Boot: r.Profile.Boot}) // its order depends on the volumes
		for _, part := range parts {
			_, err := r.Configurator(t, nil).Apply(t.Context(), r.Target, plan(t, r, part), consent())
			require.NoError(t, err)
		}
		for _, part := range parts {
			require.True(t, plan(t, r, part).Empty())
		}
		require.Zero(t, r.State().Collisions)
	}
}

func applyTwice(t *testing.T, newRig func(*testing.T) *Rig) {
	r := newRig(t)
	p := plan(t, r, r.Profile)
	c := r.Configurator(t, nil)
	_, err := c.Apply(t.Context(), r.Target, p, consent())
	require.NoError(t, err)
	before := r.State()
	res, err := c.Apply(t.Context(), r.Target, p, nil)
	require.NoError(t, err, "what is in effect needs no consent")
	require.Len(t, res.Skipped, len(p.Operations))
	require.Equal(t, before, r.State())
}

func consentFirst(t *testing.T, newRig func(*testing.T) *Rig) {
	r := newRig(t)
	p := plan(t, r, hardware.Profile{RAID: r.Profile.RAID})
	if r.Profile.RAID == nil {
		require.Empty(t, p.Destroys())
		return
	}
	c := r.Configurator(t, nil)
	before := r.State()
	for _, opts := range []*hardware.ApplyOptions{nil, {}, {Authorize: func(context.Context, hardware.Destruction) error { return errors.New("no") }}} {
		_, err := c.Apply(t.Context(), r.Target, p, opts)
		require.ErrorIs(t, err, hardware.ErrNotAuthorized)
	}
	require.Equal(t, before, r.State())

	asked := map[string]bool{}
	_, err := c.Apply(t.Context(), r.Target, p, &hardware.ApplyOptions{Authorize: func(_ context.Context, d hardware.Destruction) error {
		require.Equal(t, before.Changes, r.State().Changes, "asked before anything is done")
		for _, disk := range d.Disks {
			asked[disk] = true
		}
		return nil
	}})
	require.NoError(t, err)
	for disk, wipes := range r.State().Wipes {
		require.Equal(t, wipes > before.Wipes[disk], asked[disk], "consent was asked for exactly the disks that lost data: %s", disk)
	}
}

func stalePlan(t *testing.T, newRig func(*testing.T) *Rig) {
	for _, keeps := range []bool{false, true} {
		r := newRig(t)
		change := r.ChangeSetting
		if change == nil {
			change = r.AddVolume
		}
		if change == nil {
			t.Skip("nothing on this machine makes a plan stale")
		}
		c := r.Configurator(t, nil)
		var p *hardware.Plan
		if keeps { // what was observed by the one that applies
			seen, err := c.Observe(t.Context(), r.Target)
			require.NoError(t, err)
			p, err = hardware.NewPlan(r.Profile, seen)
			require.NoError(t, err)
		} else {
			p = plan(t, r, r.Profile)
		}
		change(t)
		before := r.State()
		_, err := c.Apply(t.Context(), r.Target, p, consent())
		require.ErrorIs(t, err, hardware.ErrStalePlan)
		require.Equal(t, before, r.State())
	}
}

// atEach runs a case with a wrapper that acts at the n-th request, for every n that Apply
// reaches, and demands that there were enough of them to mean something.
func atEach(t *testing.T, run func(n int) (reached bool)) {
	t.Helper()
	n := 1
	for run(n) {
		n++
	}
	require.Greater(t, n, 5, "requests of one Apply")
}

func crashAnywhere(t *testing.T, newRig func(*testing.T) *Rig) {
	for _, effect := range []bool{true, false} {
		atEach(t, func(n int) bool {
			r := newRig(t)
			if r.AddVolume != nil {
				r.AddVolume(t)
			}
			p := plan(t, r, r.Profile)
			before := r.State()
			k := &killer{left: n, effect: effect}
			_, err := r.Configurator(t, k.wrap).Apply(t.Context(), r.Target, p, consent())
			if k.hit && err == nil {
				require.True(t, plan(t, r, r.Profile).Empty(), "only the logout may fail unnoticed")
			}
			r.EndSessions()
			_, err = r.Configurator(t, nil).Apply(t.Context(), r.Target, p, consent())
			require.NoError(t, err, "continued after request %d", n)
			require.True(t, plan(t, r, r.Profile).Empty())
			s := r.State()
			require.Equal(t, volumes(p), s.Volumes-before.Volumes)
			require.Zero(t, s.Collisions)
			for disk, wipes := range s.Wipes {
				require.Equal(t, destroyed(p)[disk], wipes-before.Wipes[disk], "%s after request %d: as often as planned", disk, n)
			}
			return k.hit
		})
	}
}

func lostAnswers(t *testing.T, newRig func(*testing.T) *Rig) {
	atEach(t, func(n int) bool {
		r := newRig(t)
		p := plan(t, r, r.Profile)
		before := r.State()
		k := &killer{left: n, effect: true, revive: true}
		_, err := r.Configurator(t, k.wrap).Apply(t.Context(), r.Target, p, consent())
		if err == nil {
			require.True(t, plan(t, r, r.Profile).Empty(), "success is success: request %d", n)
		} else {
			require.NotErrorIs(t, err, hardware.ErrRejected, "only a change sent twice is refused here")
		}
		s := r.State()
		require.LessOrEqual(t, s.Volumes-before.Volumes, volumes(p))
		require.LessOrEqual(t, s.Boots-before.Boots, p.Reboots(), "request %d", n)
		for disk, wipes := range s.Wipes {
			require.LessOrEqual(t, wipes-before.Wipes[disk], destroyed(p)[disk], disk)
		}
		return k.hit
	})
}

func noSessionLeft(t *testing.T, newRig func(*testing.T) *Rig) {
	atEach(t, func(n int) bool {
		r := newRig(t)
		p := plan(t, r, r.Profile)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		k := &canceller{left: n, cancel: cancel}
		_, err := r.Configurator(t, k.wrap).Apply(ctx, r.Target, p, consent())
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
		require.Zero(t, r.State().Sessions, "cancelled at request %d", n)
		return k.hit
	})
	r := newRig(t)
	if r.Profile.RAID == nil {
		return
	}
	_, err := r.Configurator(t, nil).Apply(t.Context(), r.Target, plan(t, r, r.Profile), nil)
	require.ErrorIs(t, err, hardware.ErrNotAuthorized)
	require.Zero(t, r.State().Sessions, "after an error")
}

func noCredentials(t *testing.T, newRig func(*testing.T) *Rig) {
	atEach(t, func(n int) bool {
		r := newRig(t)
		p := plan(t, r, r.Profile)
		k := &echo{left: n}
		_, err := r.Configurator(t, k.wrap).Apply(t.Context(), r.Target, p, consent())
		if err != nil {
			require.NotContains(t, err.Error(), r.Password)
			require.NotContains(t, err.Error(), base64.StdEncoding.EncodeToString([]byte(r.User+":"+r.Password)))
		}
		return k.hit
	})
}

// counter counts requests down to the one a wrapper acts at.
type counter struct {
	base http.RoundTripper
	mu   sync.Mutex
}

func (c *counter) down(left *int, hit *bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	*left--
	if *left == 0 {
		*hit = true
	}
	return *left
}

var errKilled = errors.New("the connection broke")

// killer breaks the connection at one request, before or after its effect, and from then
// on, as if the client had died, unless it revives.
type killer struct {
	counter
	left           int
	effect, revive bool
	hit            bool
}

func (k *killer) wrap(base http.RoundTripper) http.RoundTripper { k.base = base; return k }

func (k *killer) RoundTrip(r *http.Request) (*http.Response, error) {
	left := k.down(&k.left, &k.hit)
	if left > 0 || left < 0 && k.revive {
		return k.base.RoundTrip(r)
	}
	if left == 0 && k.effect {
		if resp, err := k.base.RoundTrip(r); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
	return nil, errKilled
}

// canceller cancels the caller's context at one request.
type canceller struct {
	counter
	left   int
	hit    bool
	cancel func()
}

func (c *canceller) wrap(base http.RoundTripper) http.RoundTripper { c.base = base; return c }

func (c *canceller) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.down(&c.left, &c.hit) == 0 {
		c.cancel()
	}
	return c.base.RoundTrip(r)
}

// echo refuses one request and quotes its headers and body, as some BMCs do.
type echo struct {
	counter
	left int
	hit  bool
}

func (e *echo) wrap(base http.RoundTripper) http.RoundTripper { e.base = base; return e }

func (e *echo) RoundTrip(r *http.Request) (*http.Response, error) {
	if e.down(&e.left, &e.hit) != 0 {
		return e.base.RoundTrip(r)
	}
	var said strings.Builder
	_ = r.Header.Write(&said)
	if r.Body != nil {
		_, _ = io.Copy(&said, r.Body)
		r.Body.Close()
	}
	return &http.Response{Status: "400 Bad Request", StatusCode: http.StatusBadRequest, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader(said.String())), Request: r}, nil
}
