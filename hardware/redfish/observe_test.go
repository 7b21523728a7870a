package redfish_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

func TestObserveSimulator(t *testing.T) {
	r := newRig(t, 2, nil)
	seen, err := r.c.Observe(t.Context(), r.target)
	require.NoError(t, err)
	require.Empty(t, seen.Unreadable)
	require.Equal(t, "node1", seen.Node)
	require.Equal(t, "Simulated Server", seen.System.Model)
	require.Equal(t, hardware.StateOff, seen.System.Power)
	require.Equal(t, hardware.Processors{Count: 2, Cores: 32, Threads: 64, Model: "Simulated(R) CPU @ 2.40GHz"}, seen.Processors)
	require.Equal(t, int64(128<<30), seen.MemoryBytes)
	require.Equal(t, []hardware.Interface{{ID: "NIC.1", Name: "NIC.1", MAC: "52:54:00:00:00:01", SpeedMbps: 25000, Link: "LinkUp"}}, seen.Interfaces)
	require.Len(t, seen.Storage, 1)
	require.Len(t, seen.Storage[0].Drives, 2)
	require.Equal(t, "n1-D1", seen.Storage[0].Drives[1].Serial)
	require.True(t, seen.Storage[0].Configurable)
	require.Equal(t, map[string]string{"bios": "2.19.1", "bmc": "7.10.30.00"}, seen.Firmware)
	require.Len(t, seen.BIOS.Intents, len(hardware.Intents())-1, "every intent is bound, but nx, which this BIOS has not")
	require.True(t, seen.BIOS.Registry.Attributes["SysMemSize"].ReadOnly)
	require.Equal(t, len(r.bmc.RequestLog()), seen.Requests)
	require.LessOrEqual(t, seen.Requests, 20)
	require.Zero(t, r.bmc.Sessions())

	// A snapshot survives JSON: a plan made offline is the plan made online.
	data, err := json.Marshal(seen)
	require.NoError(t, err)
	var back hardware.Snapshot
	require.NoError(t, json.Unmarshal(data, &back))
	profile, err := hardware.ParseProfile([]byte(`{"bios":{"set":"Virtualization","attributes":{"AcPwrRcvryUserDelay":"90"}},"raid":{"set":"SingleRaid1"}}`))
	require.NoError(t, err)
	online, err := hardware.NewPlan(profile, seen)
	require.NoError(t, err)
	offline, err := hardware.NewPlan(profile, &back)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(online, offline))
}

func TestObserveOverSocket(t *testing.T) {
	r := newRig(t, 2, nil)
	server := httptest.NewServer(r.bmc)
	defer server.Close()
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // must not be used
	c, err := redfish.New(redfish.Config{})
	require.NoError(t, err)
	defer c.CloseIdleConnections()
	seen, err := c.Observe(t.Context(), target("node1", server.URL))
	require.NoError(t, err)
	require.Len(t, seen.Storage[0].Drives, 2)
	require.Zero(t, r.bmc.Sessions())
}

// tree serves a captured tree read-only, as a web server with index.json files would.
func tree(t *testing.T, name string) (http.Handler, hardware.Target) {
	t.Helper()
	root := filepath.Join("..", "..", "..", "shared", "data", "redfish", name)
	if _, err := os.Stat(root); err != nil {
		t.Skipf("captured tree not there: %v", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path.Clean("/"+r.URL.Path)), "index.json"))
		if r.Method != http.MethodGet || err != nil {
			http.Error(w, "not found", http.StatusNotFound)
			return
		}
		_, _ = w.Write(data)
	}), hardware.Target{Node: name, URL: "http://tree"}
}

func observeTree(t *testing.T, name string) *hardware.Snapshot {
	t.Helper()
	h, target := tree(t, name)
	c, err := redfish.New(redfish.Config{Transport: redfishsim.Transport(func(string) http.Handler { return h })})
	require.NoError(t, err)
	seen, err := c.Observe(t.Context(), target)
	require.NoError(t, err)
	return seen
}

// The values are read from the trees by eye.
func TestObserveHPE(t *testing.T) {
	seen := observeTree(t, "hpe-ilo-gen11-sim")
	require.Equal(t, "HPE", seen.System.Manufacturer)
	require.Equal(t, "ProLiant DL380a Gen11 -- SIMULATED", seen.System.Model)
	require.Equal(t, "OSRunning", seen.System.BootProgress)
	require.Equal(t, int64(512<<30), seen.MemoryBytes)
	require.Equal(t, "U58 v2.44 (01/17/2025)", seen.Firmware["bios"])
	require.Greater(t, len(seen.BIOS.Attributes), 250)
	require.Equal(t, int64(20), seen.BIOS.Attributes["NetworkBootRetryCount"])
	for intent, attribute := range map[hardware.Intent]string{
		hardware.Virtualization: "ProcVirtualization", hardware.IOMMU: "IntelProcVtd", hardware.SRIOV: "Sriov", hardware.SMT: "ProcHyperthreading",
	} {
		require.Equal(t, attribute, seen.BIOS.Intents[intent].Attribute)
	}
	require.Len(t, seen.Storage, 2)
	raid := seen.Storage[1]
	require.Equal(t, "DE00B000", raid.ID)
	require.Len(t, raid.Drives, 3, "a bay is empty")
	require.Equal(t, []hardware.Volume{{ID: "239", Name: "MR Volume 239", RAIDLevel: hardware.RAID1, SizeBytes: 1599774654464, Health: "OK",
		Drives: []string{driveOf(raid, "3").Serial, driveOf(raid, "4").Serial}}}, raid.Volumes)
	require.Equal(t, "8E10A08401C3", driveOf(raid, "3").Serial)
	require.Equal(t, "NVMe", driveOf(raid, "3").Protocol)
}

func driveOf(c hardware.Controller, id string) hardware.Drive {
	for _, d := range c.Drives {
		if d.ID == id {
			return d
		}
	}
	return hardware.Drive{}
}

func TestObserveDMTF(t *testing.T) {
	seen := observeTree(t, "dmtf-public-rackmount1")
	require.Equal(t, "437XR1138R2", seen.System.Serial)
	require.Equal(t, hardware.StateOn, seen.System.Power)
	require.Equal(t, hardware.Boot{Target: hardware.BootPXE, Enabled: "Once", Mode: "UEFI", Targets: []hardware.BootTarget{
		hardware.BootNone, hardware.BootPXE, hardware.BootCD, hardware.BootUSB, hardware.BootDisk}}, seen.Boot)
	require.Equal(t, &hardware.SecureBoot{Mode: "UserMode"}, seen.SecureBoot)
	require.Equal(t, int64(96<<30), seen.MemoryBytes)
	require.Equal(t, "Enabled", seen.BIOS.Attributes["ProcTurboMode"])
	require.Equal(t, "Disabled", seen.BIOS.Pending["ProcTurboMode"], "pending, and not yet in force")
	require.Equal(t, []hardware.Controller{{ID: "1", Model: "Simple Storage Controller", Health: "OK", Drives: []hardware.Drive{
		{ID: "SATA Bay 1", Model: "3000GT8", SizeBytes: 8e12, Health: "OK"}, {ID: "SATA Bay 2", Model: "3000GT7", SizeBytes: 4e12, Health: "Warning"}}}}, seen.Storage)

	// What is wanted pends already: that is not converged, a reset is owed.
	plan, err := hardware.NewPlan(hardware.Profile{BIOS: &hardware.BIOSProfile{Attributes: map[string]any{"ProcTurboMode": "Disabled"}}}, seen)
	require.NoError(t, err)
	require.Equal(t, 1, plan.Reboots())
	// And what is in force is not, if something else pends.
	plan, err = hardware.NewPlan(hardware.Profile{BIOS: &hardware.BIOSProfile{Attributes: map[string]any{"ProcTurboMode": "Enabled"}}}, seen)
	require.NoError(t, err)
	require.Len(t, plan.Operations, 1)
}

func TestObserveSupermicro(t *testing.T) {
	seen := observeTree(t, "supermicro-x10") // a capture without the Systems collection
	require.Equal(t, "Supermicro", seen.System.Manufacturer)
	require.Empty(t, seen.System.Serial, "blanks are no serial number")
	require.Equal(t, int64(64<<30), seen.MemoryBytes)
	require.NotEmpty(t, seen.Unreadable)
	_, err := hardware.NewPlan(hardware.Profile{RAID: &hardware.RAIDProfile{Set: "JBODOnly"}}, seen)
	require.ErrorIs(t, err, hardware.ErrInvalid, "no RAID plan for storage that cannot be seen")
}

func TestObserveDell(t *testing.T) {
	seen := observeTree(t, "dell-idrac-synthetic")
	require.Equal(t, "PowerEdge Mock", seen.System.Model)
	require.Equal(t, "SriovGlobalEnable", seen.BIOS.Intents[hardware.SRIOV].Attribute)
	require.True(t, len(seen.Storage) == 1 && seen.Storage[0].Partial, "its drive and volume are missing from the capture")
}

func TestObserveSurvivesBadTypes(t *testing.T) {
	replies := map[string]string{
		"/redfish/v1":           `{"Systems":{"@odata.id":"/redfish/v1/Systems"}}`,
		"/redfish/v1/Systems":   `{"Members":[{"@odata.id":"/redfish/v1/Systems/a/"}]}`,
		"/redfish/v1/Systems/a": `{"Model":7,"ProcessorSummary":{"Count":"2"},"MemorySummary":{"TotalSystemMemoryGiB":"16"},"Storage":{"@odata.id":"/S"},"EthernetInterfaces":{"@odata.id":"/E"},"Bios":{"@odata.id":"/B"}}`,
		"/S":                    `{"Members":[{"@odata.id":"/S/1"}]}`,
		"/S/1":                  `{"Id":"1","Drives":[{"@odata.id":"/D/1"},{"@odata.id":"/D/gone"}],"Volumes":{"@odata.id":"/V"}}`,
		"/D/1":                  `{"Id":"1","CapacityBytes":"1000","SerialNumber":" S1 "}`,
		"/V":                    `{"Members":null}`,
		"/E":                    `not json`,
		"/B":                    `{"Attributes":{"n":3.0,"list":[1],"nothing":null,"s":"x"}}`,
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := replies[strings.TrimSuffix(r.URL.Path, "/")]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, body)
	})
	c, err := redfish.New(redfish.Config{Transport: redfishsim.Transport(func(string) http.Handler { return h })})
	require.NoError(t, err)
	seen, err := c.Observe(t.Context(), hardware.Target{Node: "odd", URL: "http://odd"})
	require.NoError(t, err)
	require.Equal(t, 2, seen.Processors.Count)
	require.Equal(t, int64(16<<30), seen.MemoryBytes)
	require.Equal(t, map[string]any{"n": int64(3), "s": "x"}, seen.BIOS.Attributes)
	require.Equal(t, "S1", seen.Storage[0].Drives[0].Serial)
	require.Equal(t, int64(1000), seen.Storage[0].Drives[0].SizeBytes)
	require.True(t, seen.Storage[0].Partial)
	require.Len(t, seen.Unreadable, 2)
}

func TestBasicFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, nil)
		r.bmc.FailNext(http.MethodPost, "/redfish/v1/SessionService", http.StatusServiceUnavailable) // RAC0218
		_, err := r.c.Observe(t.Context(), r.target)
		require.NoError(t, err)
	})
}

func TestSessionLostOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var drop func()
		r := newRig(t, 4, func(rt http.RoundTripper) http.RoundTripper {
			return &canceller{base: rt, left: 22, cancel: func() { drop() }}
		})
		plan := r.plan(t, wholeProfile)
		drop = r.bmc.DropSessions
		_, err := r.c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{Authorize: allow})
		require.NoError(t, err)
		require.Zero(t, r.bmc.Sessions())
	})
}

func TestRetriesBusyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, nil)
		r.bmc.FailNext(http.MethodGet, "/redfish/v1/Systems/1/Bios", http.StatusServiceUnavailable)
		r.bmc.FailNext(http.MethodGet, "/redfish/v1/", http.StatusServiceUnavailable) // the root, before the login
		seen, err := r.c.Observe(t.Context(), r.target)
		require.NoError(t, err)
		require.Empty(t, seen.Unreadable)
	})
}

func TestErrors(t *testing.T) {
	r := newRig(t, 1, nil)
	wrong := r.target
	wrong.Credentials = func(context.Context) (string, string, error) { return user, "wrong", nil }
	broken := r.target
	broken.Credentials = func(context.Context) (string, string, error) { return "", "", errors.New("sealed") }
	for name, tt := range map[string]struct {
		target hardware.Target
		want   error
	}{
		"nobody there":       {target("node1", "http://elsewhere"), hardware.ErrUnreachable},
		"wrong password":     {wrong, hardware.ErrUnauthorized},
		"not a URL":          {target("node1", "192.0.2.1"), hardware.ErrInvalid},
		"credentials in URL": {target("node1", "https://root:"+password+"@bmc1"), hardware.ErrInvalid},
		"bad URL":            {target("node1", "http://root:"+password+"@bmc1/%zz"), hardware.ErrInvalid},
		"no such system":     {target("node1", "http://bmc1/redfish/v1/Systems/7"), hardware.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.c.Observe(t.Context(), tt.target)
			require.ErrorIs(t, err, tt.want)
			require.NotContains(t, err.Error(), password)
			require.Contains(t, err.Error(), "node1")
		})
	}
	_, err := r.c.Observe(t.Context(), broken)
	require.ErrorContains(t, err, "sealed")
	require.Zero(t, r.bmc.Sessions())

	_, err = redfish.New(redfish.Config{PollInterval: -1})
	require.Error(t, err)
}

// A BMC that quotes the request back in its error must not get the credentials printed,
// in whatever form they were sent.
func TestCredentialsAreNotPrinted(t *testing.T) {
	const odd = `p"ss\word`
	for name, root := range map[string]string{
		"session": `{"Links":{"Sessions":{"@odata.id":"/s"}},"Systems":{"@odata.id":"/S"}}`,
		"basic":   `{"Systems":{"@odata.id":"/S"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			var logged bytes.Buffer
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/redfish/v1/" {
					_, _ = io.WriteString(w, root)
					return
				}
				w.WriteHeader(http.StatusForbidden)
				_ = r.Header.Write(w)
				_, _ = io.Copy(w, r.Body)
			})
			c, err := redfish.New(redfish.Config{Transport: redfishsim.Transport(func(string) http.Handler { return h }),
				Logger: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))})
			require.NoError(t, err)
			_, err = c.Observe(t.Context(), hardware.Target{Node: "node1", URL: "http://bmc1",
				Credentials: func(context.Context) (string, string, error) { return user, odd, nil }})
			require.ErrorIs(t, err, hardware.ErrUnauthorized)
			require.Contains(t, err.Error(), "[redacted]")
			for _, secret := range []string{odd, `p\"ss`, base64.StdEncoding.EncodeToString([]byte(user + ":" + odd))} {
				require.NotContains(t, err.Error()+logged.String(), secret)
			}
		})
	}
}

func TestAtMostOneChangeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, nil)
		plan := r.plan(t, wholeProfile)
		errs := make(chan error, 3)
		for range cap(errs) {
			go func() {
				_, err := r.c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{Authorize: allow})
				errs <- err
			}()
		}
		for range cap(errs) {
			require.NoError(t, <-errs)
		}
		s := r.machine.State()
		require.Len(t, s.Volumes, 1)
		require.Equal(t, 1, s.Boots)
		require.Equal(t, 1, s.Disks["n1-D0"].Wipes)
	})
}
