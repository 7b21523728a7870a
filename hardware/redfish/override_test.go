package redfish_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// On iDRAC 10 the system's Boot is read-only; its settings object takes the override.
func TestOverrideByTheSettingsObject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const system, profile = "/redfish/v1/Systems/System.Embedded.1", `{"boot":{"target":"pxe"}}`
		r := booted(t, redfishsim.Dell)
		var sent []string
		idrac10 := func(base http.RoundTripper) http.RoundTripper {
			return editedSystem(func(o map[string]any) {
				o["@Redfish.Settings"] = map[string]any{"SettingsObject": map[string]any{"@odata.id": system + "/Settings"}}
			})(roundTripper(func(q *http.Request) (*http.Response, error) {
				if q.Method == http.MethodPatch {
					sent = append(sent, q.URL.Path)
				}
				switch {
				case q.Method == http.MethodPatch && q.URL.Path == system:
					return reply(q, http.StatusBadRequest, `{"error":{"code":"Base.1.0.GeneralError","message":"Boot is a read-only property"}}`, nil), nil
				case q.URL.Path == system+"/Settings":
					q = q.Clone(q.Context())
					q.URL.Path = strings.TrimSuffix(q.URL.Path, "/Settings")
				}
				return base.RoundTrip(q)
			}))
		}
		plan := r.plan(t, profile)
		_, err := r.configurator(t, idrac10).Apply(t.Context(), r.target, plan, nil)
		require.NoError(t, err)
		require.Equal(t, []string{system, system + "/Settings"}, sent)
		require.True(t, r.plan(t, profile).Empty())
	})
}
