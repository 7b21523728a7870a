package redfish_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// 412 and 428 are learned from: the change goes out again with a fresh ETag.
func TestETagRefused(t *testing.T) {
	for _, status := range []int{http.StatusPreconditionFailed, http.StatusPreconditionRequired} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 0, nil)
			const profile = `{"bios":{"set":"Virtualization"},"boot":{"target":"disk"}}`
			plan := r.plan(t, profile)
			r.bmc.FailNext(http.MethodPatch, "/redfish/v1/Systems/1", status)
			r.bmc.FailNext(http.MethodPatch, "/redfish/v1/Systems/1/Bios", status)
			_, err := r.c.Apply(t.Context(), r.target, plan, nil)
			require.NoError(t, err)
			require.True(t, r.plan(t, profile).Empty())
		})
	}
}

// iRMC answers 412, not 428, to a change without If-Match; here ETags are in headers only, so
// that a system read along with its collection has none.
func TestETagDemandedBy412(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Generic)
		plan := r.plan(t, `{"boot":{"target":"pxe"}}`)
		bare := func(q *http.Request) bool { return q.Method == http.MethodPatch && q.Header.Get("If-Match") == "" }
		c := r.configurator(t, func(base http.RoundTripper) http.RoundTripper {
			return answering(bare, http.StatusPreconditionFailed, `{"error":{"message":"If-Match is missing"}}`)(
				edited(func(_ *http.Request, o map[string]any, _ http.Header) {
					for _, o := range append(members(o), o) {
						delete(o, "@odata.etag")
					}
				})(base))
		})
		_, err := c.Apply(t.Context(), r.target, plan, nil)
		require.NoError(t, err)
		require.True(t, r.plan(t, `{"boot":{"target":"pxe"}}`).Empty())
	})
}

// Header and body spell one ETag in two ways: that is no change by somebody else.
func TestETagSpelledInTwoWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.HPE)
		plan := r.plan(t, `{"boot":{"target":"pxe"}}`)
		spelled := 0
		c := r.configurator(t, edited(func(_ *http.Request, o map[string]any, _ http.Header) {
			for _, m := range members(o) {
				if tag, ok := m["@odata.etag"].(string); ok {
					spelled++
					m["@odata.etag"] = strings.Trim(strings.TrimPrefix(tag, "W/"), `"`)
				}
			}
		}))
		_, err := c.Apply(t.Context(), r.target, plan, nil)
		require.NoError(t, err)
		require.Positive(t, spelled)
	})
}

// Without ETags nothing would tell of a change by somebody else, so what was observed a moment
// ago is read again.
func TestFreshObservationWithoutETags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var strip func(any)
		strip = func(v any) {
			switch v := v.(type) {
			case map[string]any:
				delete(v, "@odata.etag")
				for _, inner := range v {
					strip(inner)
				}
			case []any:
				for _, inner := range v {
					strip(inner)
				}
			}
		}
		r := booted(t, redfishsim.Generic)
		r.c = r.keeping(t, edited(func(_ *http.Request, o map[string]any, h http.Header) {
			h.Del("ETag")
			strip(o)
		}))
		plan := r.plan(t, `{"bios":{"set":"Virtualization","intents":{"smt":"on"}}}`)
		require.NoError(t, r.machine.SetBIOS(map[string]any{"LogicalProc": "Disabled"}))
		boots := r.machine.State().Boots
		_, err := r.c.Apply(t.Context(), r.target, plan, nil)
		require.ErrorIs(t, err, hardware.ErrStalePlan)
		require.Equal(t, boots, r.machine.State().Boots)
	})
}
