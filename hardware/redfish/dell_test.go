package redfish_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// Where the boot order is a job too, settings have to wait for its reset.
func TestBootOrderIsAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const profile = `{"bios":{"set":"Virtualization"},"boot":{"order":["disk"]}}`
		r := booted(t, redfishsim.Dell)
		plan := r.plan(t, profile)
		r.c = r.configurator(t, func(base http.RoundTripper) http.RoundTripper {
			return roundTripper(func(q *http.Request) (*http.Response, error) {
				if q.Method != http.MethodPatch || q.URL.Path != "/redfish/v1/Systems/System.Embedded.1" {
					return base.RoundTrip(q)
				}
				resp, err := base.RoundTrip(q)
				require.NoError(t, err)
				resp.Body.Close()
				require.NoError(t, r.machine.SetBIOS(map[string]any{"ProcX2Apic": "Enabled"})) // stands for the order
				job, err := r.machine.CommitBIOS()
				require.NoError(t, err)
				resp.StatusCode, resp.Body = http.StatusAccepted, io.NopCloser(bytes.NewReader(nil))
				resp.Header.Set("Location", "/redfish/v1/TaskService/Tasks/"+job)
				return resp, nil
			})
		})
		res, err := r.apply(t, plan)
		require.NoError(t, err)
		require.Equal(t, 2, res.Reboots)
		require.True(t, r.plan(t, profile).Empty())
	})
}
