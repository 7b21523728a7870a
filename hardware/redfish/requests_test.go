package redfish_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware/redfish"
)

// What it costs to configure a node, from the first connection to the logout: BMCs take a second
// for a request, and crash of too many (metal3-io/ironic-image#688). Each of these has its use; who adds
// one has to say what for.
func TestRequestsOfAConfiguredNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const profile = `{"bios":{"set":"Virtualization"},"boot":{"target":"pxe"}}`
		r := newRig(t, 4, nil)
		c, err := redfish.New(redfish.Config{Transport: r.transport(), KeepSession: time.Minute, ResetAtOnce: true, PollInterval: 40 * time.Second})
		require.NoError(t, err)
		r.c = c
		r.plan(t, profile) // another of this model was seen before: the registry is known
		time.Sleep(2 * time.Minute)
		synctest.Wait()

		before := len(r.bmc.RequestLog())
		_, err = c.Apply(t.Context(), r.target, r.plan(t, profile), nil)
		require.NoError(t, err)
		require.NoError(t, c.Close(t.Context()))
		var sent []string
		for _, q := range r.bmc.RequestLog()[before:] {
			sent = append(sent, q.Method+" "+q.Path)
		}
		const sys = "/redfish/v1/Systems/1"
		require.Equal(t, []string{
			"GET /redfish/v1/", "POST /redfish/v1/SessionService/Sessions",
			"GET /redfish/v1/Systems", "GET /redfish/v1/Managers/1", "GET /redfish/v1/TaskService",
			"GET " + sys + "/Bios", "GET " + sys + "/Bios/Settings", "GET " + sys + "/Storage", "GET " + sys + "/EthernetInterfaces",
			"GET " + sys + "/BootOptions", "GET " + sys + "/SecureBoot",
			"PATCH " + sys, "GET " + sys, // the override, which must hold before the reset
			"PATCH " + sys + "/Bios/Settings", "POST " + sys + "/Actions/ComputerSystem.Reset",
			"GET " + sys, "GET " + sys, // off, and past its POST
			"GET " + sys + "/Bios", "GET " + sys + "/Bios/Settings",
			"DELETE /redfish/v1/SessionService/Sessions/2",
		}, sent)
	})
}
