package cli_test

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
	"github.com/crowbarkit/crowbarkit/internal/clock"
)

// failure is what a program gets of one.
type failure struct {
	Error  client.ErrorBody
	Plan   *hardware.Plan
	Result *hardware.Result
}

// failsAsJSON runs a command with -o json that fails.
func (s *bmcShell) failsAsJSON(status int, code string, args ...string) (f failure) {
	s.t.Helper()
	got, stdout, stderr := s.run(append(args, "-o", "json")...)
	require.Equal(s.t, status, got, stderr)
	d := json.NewDecoder(strings.NewReader(stdout))
	require.NoError(s.t, d.Decode(&f), stdout)
	require.False(s.t, d.More(), "one value: %s", stdout)
	require.Equal(s.t, code, f.Error.Code, stdout)
	require.Contains(s.t, stderr, "crowbar: "+f.Error.Message)
	return f
}

// Whatever fails, a program gets one object that says which kind of failure it is.
func TestHardwareFailuresAsJSON(t *testing.T) {
	s := newBMCShell(t, false)
	inventory := []string{"hardware", "inventory"}
	smt := []string{"hardware", "apply", "--profile", s.file("smt.json", `{"bios":{"intents":{"smt":"off"}}}`)}
	s.failsAsJSON(1, "invalid", "hardware", "plan", "--profile", s.file("wrong.json", `{`))
	s.failsAsJSON(1, "failed", "hardware", "plan")
	s.failsAsJSON(1, "failed", "hardware", "inventory", "node7")
	s.failsAsJSON(1, "failed", "hardware", "power")
	s.failsAsJSON(1, "unreachable", append(inventory, "--bmc", "http://127.0.0.1:1")...)
	s.failsAsJSON(1, "unauthorized", append(inventory, "--user", "nobody")...)
	other := newBMCShell(t, true)
	other.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	other.failsAsJSON(1, "certificate", inventory...)
	kept := filepath.Join(s.dir, "plan.json")
	s.run("hardware", "plan", "--profile", s.file("compute.json", compute), "--out", kept)
	other.failsAsJSON(4, "stale_plan", "hardware", "apply", "--plan", kept, "--bmc", s.server.URL+"/redfish/v1/Systems/1")
	s.unchanged()

	s.bmc.FailNext(http.MethodPatch, "/redfish/v1/Systems/1/Bios/Settings", http.StatusBadRequest)
	f := s.failsAsJSON(1, "rejected", smt...)
	require.Len(t, f.Plan.Operations, 1)
	require.Empty(t, f.Result.Done)
	f = s.failsAsJSON(1, "unsupported", "hardware", "apply", "--profile", s.file("fw.json", `{"firmware":[{"component":"bios","version":"9"}]}`))
	require.Len(t, f.Result.Left, 1)
	require.Zero(t, s.bmc.Sessions())

	s.answers(func(string, string, []byte) (int, string) {
		return http.StatusNotFound, `{"error":{"code":"not_found","message":"there is no node7"}}`
	})
	s.failsAsJSON(1, "not_found", "hardware", "plan", "node7")
}

// After an interrupt in the middle of a restart nobody turns the machine on: that is said.
func TestHardwareInterruptedRestart(t *testing.T) {
	s := newBMCShell(t, false)
	s.ok("hardware", "power", "on")
	ctx := s.interruptedAfter(http.MethodPost, "/ComputerSystem.Reset")
	apply := []string{"hardware", "apply", "--profile", s.file("smt.json", `{"bios":{"intents":{"smt":"off"}}}`), "-o", "json"}
	code, stdout, stderr := s.runContext(ctx, apply...)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, s.address()+" may be off: it was asked to shut down or to reset, and nobody may have turned it on again. Give the same command again")
	var f failure
	require.NoError(t, json.Unmarshal([]byte(stdout), &f))
	require.Equal(t, "interrupted", f.Error.Code)
	require.Equal(t, 1, f.Result.Reboots)
	s.ok(apply...)
	require.Equal(t, redfishsim.PowerOn, s.machine.State().Power)
}

// A patientClock has time pass only while somebody waits on it, so that a POST does not end between
// two commands, however long those take. Hours, which are deadlines, do not pass.
type patientClock struct {
	mu  sync.Mutex
	now time.Time
}

func newPatientClock() *patientClock {
	return &patientClock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
}

func (c *patientClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *patientClock) After(d time.Duration) <-chan time.Time {
	if d >= time.Hour {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	out := make(chan time.Time, 1)
	out <- c.now
	return out
}

// An iLO shows no volumes before POST is over: off, the remedy is said; in POST it is waited for.
func TestHardwareWaitsForPOST(t *testing.T) {
	s := newBMCShellOf(t, false, redfishsim.HPE, newPatientClock())
	plan := []string{"hardware", "plan", "--profile", s.file("raid.json", `{"raid":{"set":"SingleRaid10"}}`)}
	s.fails(1, "this BMC shows volumes only when the machine is on and its POST has finished; turn the machine on and plan again when its POST has finished)", plan...)
	s.ok("hardware", "power", "on")
	require.Contains(t, s.ok("hardware", "inventory"), ", in POST\n")
	code, stdout, stderr := s.run(plan...)
	require.Equal(t, 2, code, stderr)
	require.Contains(t, stderr, "is in POST, and its BMC shows its volumes only after it; waiting for that, up to 20m\n")
	require.Contains(t, stdout, "1 operation, ")
	require.NotContains(t, s.ok("hardware", "inventory"), "in POST")

	s.ok("hardware", "power", "reset")
	s.fails(1, "/bios/attributes/X: ", "hardware", "plan", "--profile", s.file("wrong.json", `{"raid":{"set":"SingleRaid10"},"bios":{"attributes":{"X":1}}}`))
	s.ok("hardware", "apply", "--profile", filepath.Join(s.dir, "raid.json"), "--allow-destroy", allDisks)
	require.Equal(t, hardware.RAID10, s.machine.State().Volumes[0].RAIDLevel)
}

// A setting that pends on an iDRAC hides the one in force.
func TestHardwareInventoryOfWhatPends(t *testing.T) {
	s := newBMCShellOf(t, false, redfishsim.Dell, clock.Scaled(200))
	ctx := s.interruptedAfter(http.MethodPatch, "/Bios/Settings")
	code, _, stderr := s.runContext(ctx, "hardware", "apply", "--profile", s.file("smt.json", `{"bios":{"intents":{"smt":"off"}}}`))
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "interrupted")
	require.Regexp(t, `\nsmt +unknown +off +LogicalProc +unknown\n`, s.ok("hardware", "inventory"))
	require.Regexp(t, `\nLogicalProc +unknown +Disabled +Enabled \| Disabled\n`, s.ok("hardware", "inventory", "--attributes"))
	none := newBMCShellOf(t, false, redfishsim.OpenBMC, clock.Scaled(200))
	require.Equal(t, none.address()+" shows no BIOS attributes\n", none.ok("hardware", "inventory", "--attributes"))
	ilo := newBMCShellOf(t, false, redfishsim.HPE, clock.Scaled(200))
	require.Contains(t, ilo.ok("hardware", "inventory", "--attributes"), "this BMC publishes no registry of them")
}

// A flag that would be ignored is refused.
func TestHardwareFlagsThatDoNotFit(t *testing.T) {
	s := newBMCShell(t, false)
	p := s.file("p.json", compute)
	s.fails(1, "it is given twice, and was "+p+" before", "hardware", "plan", "--profile", p, "--profile", p)
	s.fails(1, "--snapshot and --bmc exclude each other", "hardware", "plan", "--profile", p, "--snapshot", p, "--bmc", s.server.URL)
	s.fails(1, "expected something like "+s.server.URL, "hardware", "inventory", "--bmc", s.server.URL+"?x=1")
	s.fails(1, "--ca and --pin-file are about certificates, and http:// in --bmc has none", "hardware", "inventory", "--ca", p)
	require.Empty(t, s.bmc.RequestLog())
	kept := filepath.Join(s.dir, "plan.json")
	_, _, stderr := s.run("hardware", "plan", "--profile", p, "--out", kept, "--bmc", s.server.URL, "--user", "root")
	require.Contains(t, stderr, "to carry it out: crowbar hardware apply --bmc "+s.server.URL+" --user root --plan "+kept+"\n")
	require.JSONEq(t, string(hardware.ProfileSchema()), s.ok("hardware", "schema"))
}

// HTTP for HTTPS, and the other way round.
func TestHardwareWrongScheme(t *testing.T) {
	plainly, secure := newBMCShell(t, false), newBMCShell(t, true)
	secure.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	plainly.fails(1, "speaks plain HTTP; if that is meant, give http:// in --bmc", "hardware", "inventory", "--bmc", "https://"+plainly.address())
	secure.fails(1, "give https:// in --bmc", "hardware", "inventory", "--bmc", "http://"+secure.address())
}

func TestHardwareUnreachable(t *testing.T) {
	s := newBMCShell(t, false)
	s.server.Close()
	s.fails(1, s.address()+": read the service root: unreachable: ", "hardware", "inventory")
	s.fails(1, "connection refused; check --bmc and the network", "hardware", "inventory")
	nothing := httptest.NewServer(http.NotFoundHandler())
	defer nothing.Close()
	s.fails(1, "no Redfish service answers at", "hardware", "inventory", "--bmc", nothing.URL)
}
