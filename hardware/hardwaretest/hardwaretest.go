// Package hardwaretest proves that a hardware.Configurator keeps the rules that the engine
// builds on: a plan has no effect, applying it makes the next plan empty, nothing is
// destroyed without consent or twice, an interrupted Apply goes on, no session and no
// credential gets away. A case that fails says which rule that was.
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
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// Rig is one fresh machine, turned on. Target logs in with User and Password.
type Rig struct {
	Target         hardware.Target
	User, Password string
	// Profile changes all that can be changed on this machine: BIOS, boot, and, where volumes can
	// be made, one volume on disks that are in none. It destroys nothing but their data.
	Profile hardware.Profile
	// Configurator returns a new Configurator whose requests to the machine go through
	// wrap, if that is not nil.
	Configurator func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) hardware.Configurator
	// Keeps means that Configurators keep a session after success for the next call, and end it
	// with a method Close(context.Context) error. Cases then observe with the one that applies.
	Keeps bool
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
	On       bool           // now, in POST as well
	Reset    time.Time      // when it was last reset or turned on
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

// Cases returns all rules.
func Cases() []Case {
	cases := []Case{
		{"PlanHasNoEffect", "observing and planning change nothing", planHasNoEffect},
		{"HalfAView", "what cannot be read leads to no other plan for volumes than the right one", halfAView},
		{"ApplyConverges", "after Apply the next plan is empty", applyConverges},
		{"PartsCommute", "a plan for the BIOS and one for RAID may be applied in either order", partsCommute},
		{"ApplyTwice", "a plan applied again writes nothing", applyTwice},
		{"ConsentFirst", "nothing is destroyed without consent", consentFirst},
		{"ConsentIsForWhatWasShown", "what changes while consent is asked for is not destroyed by it", consentIsForWhatWasShown},
		{"StalePlan", "a plan for a machine that has changed is refused", stalePlan},
		{"CrashAnywhere", "a run that dies at any request is continued by the next, and no data is destroyed twice", crashAnywhere},
		{"LostAnswers", "an answer that is lost never leads to a second volume, wipe or boot, and what it was to is in doubt or done", lostAnswers},
		{"NoSessionLeft", "no session is left after success, error or cancellation at any request", noSessionLeft},
		{"NoCredentials", "errors never show credentials", noCredentials},
		{"WrongPassword", "a wrong password is told from all else, and changes nothing", wrongPassword},
		{"PowerIsSeen", "Power returns when the machine is as it was asked to be", powerIsSeen},
	}
	for i, c := range cases {
		cases[i].Run = func(t *testing.T, newRig func(*testing.T) *Rig) {
			t.Helper()
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("the rule of %s: %s", c.Name, c.Rule)
				}
			})
			c.Run(t, func(t *testing.T) *Rig {
				t.Helper()
				r := newRig(t)
				r.check(t)
				return r
			})
		}
	}
	return cases
}

// check names what a rig lacks.
func (r *Rig) check(t *testing.T) {
	t.Helper()
	require.NotNil(t, r.Configurator, "Rig.Configurator is missing")
	require.NotNil(t, r.State, "Rig.State is missing")
	require.NotNil(t, r.EndSessions, "Rig.EndSessions is missing")
	require.NotNil(t, r.Target.Credentials, "Rig.Target.Credentials is missing")
	require.NotEmpty(t, r.Password, "Rig.Password is missing")
	require.True(t, r.State().On, "the machine of the Rig is off")
}

// keeper is a Configurator of a rig that Keeps.
type keeper interface{ Close(context.Context) error }

// open returns a new Configurator. What it keeps is ended with the test at the latest.
func (r *Rig) open(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) hardware.Configurator {
	t.Helper()
	c := r.Configurator(t, wrap)
	t.Cleanup(func() { r.end(t, c) })
	return c
}

// end ends what a Configurator keeps.
func (r *Rig) end(t *testing.T, c hardware.Configurator) {
	t.Helper()
	if !r.Keeps {
		return
	}
	k, ok := c.(keeper)
	require.True(t, ok, "Rig.Keeps, and its Configurator has no Close")
	require.NoError(t, k.Close(context.WithoutCancel(t.Context())))
}

// plan is what a Configurator of its own finds to do.
func plan(t *testing.T, r *Rig, want hardware.Profile) *hardware.Plan {
	t.Helper()
	c := r.open(t, nil)
	defer r.end(t, c)
	return planBy(t, r, c, want)
}

// planFor is what the Configurator that is to apply it finds, if it keeps sessions, else another.
func planFor(t *testing.T, r *Rig, c hardware.Configurator) *hardware.Plan {
	t.Helper()
	if r.Keeps {
		return planBy(t, r, c, r.Profile)
	}
	return plan(t, r, r.Profile)
}

func planBy(t *testing.T, r *Rig, c hardware.Configurator, want hardware.Profile) *hardware.Plan {
	t.Helper()
	seen, err := c.Observe(t.Context(), r.Target)
	require.NoError(t, err)
	p, err := hardware.NewPlan(want, seen)
	require.NoError(t, err)
	return p
}

func allow(context.Context, hardware.Destruction) error { return nil }

func consent() *hardware.ApplyOptions { return &hardware.ApplyOptions{Authorize: allow} }
