package redfish_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
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
