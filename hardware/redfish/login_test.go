package redfish_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// Some BMCs mean 403 with 401: no such answer may cost a session.
func TestRefusedResourceCostsNoSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Generic)
		c := r.configurator(t, answering(func(q *http.Request) bool {
			return strings.HasSuffix(q.URL.Path, "/SecureBoot") || strings.HasSuffix(q.URL.Path, "EthernetInterfaces")
		}, http.StatusUnauthorized, `{}`))
		seen, err := c.Observe(t.Context(), r.target)
		require.NoError(t, err)
		require.Len(t, seen.Unreadable, 2)
		require.Zero(t, r.bmc.Sessions())
		require.LessOrEqual(t, r.logins(), 3, "the session may have been lost, and the new one is refused too")
	})
}

// A session that only its body gives the link of is ended as well.
func TestSessionWithoutLocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Generic)
		c := r.configurator(t, func(base http.RoundTripper) http.RoundTripper {
			return roundTripper(func(q *http.Request) (*http.Response, error) {
				resp, err := base.RoundTrip(q)
				if err == nil && q.Method == http.MethodPost {
					require.NotEmpty(t, resp.Header.Get("Location"))
					resp.Header.Del("Location")
				}
				return resp, err
			})
		})
		_, err := c.Observe(t.Context(), r.target)
		require.NoError(t, err)
		require.Equal(t, 1, r.logins())
		require.Zero(t, r.bmc.Sessions())
	})
}

// A caller's function that panics leaves no session, and the BMC free for the next.
func TestSessionEndsWithAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Generic)
		plan := r.plan(t, `{"raid":{"set":"SingleRaid10"}}`)
		require.PanicsWithValue(t, "the caller's", func() {
			_, _ = r.c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{Authorize: func(context.Context, hardware.Destruction) error { panic("the caller's") }})
		})
		require.Zero(t, r.bmc.Sessions())
		_, err := r.apply(t, plan)
		require.NoError(t, err)
	})
}

// A login outlives the caller who gives up meanwhile: else nobody knows the session to end it.
func TestLoginOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0, nil)
		ctx, cancel := context.WithCancel(t.Context())
		c := r.configurator(t, func(base http.RoundTripper) http.RoundTripper {
			return roundTripper(func(q *http.Request) (*http.Response, error) {
				resp, err := base.RoundTrip(q)
				if err == nil && q.Method == http.MethodPost {
					cancel()
				}
				if q.Context().Err() != nil {
					return nil, q.Context().Err()
				}
				return resp, err
			})
		})
		_, err := c.Observe(ctx, r.target)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 1, r.logins())
		require.Zero(t, r.bmc.Sessions())
	})
}
