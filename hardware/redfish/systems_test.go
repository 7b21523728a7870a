package redfish_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// A service of several systems: the only host is taken, else the URL has to say which.
func TestSeveralSystems(t *testing.T) {
	service := resources{
		"/redfish/v1/":        `{"Systems":{"@odata.id":"/redfish/v1/Systems"}}`,
		"/redfish/v1/Systems": `{"Members":[{"@odata.id":"/s/HGX"},{"@odata.id":"/s/0"}]}`,
		"/s/HGX":              `{"@odata.id":"/s/HGX","Id":"HGX","SerialNumber":"baseboard"}`,
		"/s/0":                `{"@odata.id":"/s/0","Id":"0","SerialNumber":"host","Bios":{"@odata.id":"/b"}}`,
		"/b":                  `{"Attributes":{}}`,
	}
	observe := func(url string) (*hardware.Snapshot, error) {
		return over(t, "bmc", service).Observe(t.Context(), hardware.Target{Node: "node1", URL: url})
	}
	seen, err := observe("http://bmc")
	require.NoError(t, err)
	require.Equal(t, "host", seen.System.Serial)
	seen, err = observe("http://bmc/s/HGX")
	require.NoError(t, err)
	require.Equal(t, "baseboard", seen.System.Serial)

	service["/s/HGX"] = service["/s/0"]
	_, err = observe("http://bmc")
	require.ErrorIs(t, err, hardware.ErrInvalid)
	require.ErrorContains(t, err, "/s/0", "the remedy is in the message")
}
