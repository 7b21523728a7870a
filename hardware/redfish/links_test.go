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

// A token must not follow a redirect to another machine.
func TestRedirectsStayOnTheBMC(t *testing.T) {
	asked := map[string]int{}
	c := through(t, redfishsim.Transport(func(host string) http.Handler {
		asked[host]++
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil/redfish/v1/", http.StatusFound)
		})
	}))
	_, err := c.Observe(t.Context(), target("node1", "http://bmc1"))
	require.Error(t, err)
	require.Equal(t, map[string]int{"bmc1": 1}, asked)
}

// A link that is no path must not become part of the host: the login would go there.
func TestLinksStayOnTheBMC(t *testing.T) {
	for _, link := range []string{".evil.example/redfish/v1/Systems", "@evil.example/x", ":8443/x", "//evil.example/x", "http://evil.example/x"} {
		t.Run(link, func(t *testing.T) {
			requests := 0
			c := through(t, roundTripper(func(q *http.Request) (*http.Response, error) {
				requests++
				require.Equal(t, "http://bmc1", q.URL.Scheme+"://"+q.URL.Host)
				require.Nil(t, q.URL.User)
				if q.URL.Path == "/redfish/v1/" {
					return reply(q, http.StatusOK, `{"Systems":{"@odata.id":"`+link+`"},"Links":{"Sessions":{"@odata.id":"`+link+`"}}}`, nil), nil
				}
				return reply(q, http.StatusCreated, `{"@odata.id":"`+link+`"}`, http.Header{"X-Auth-Token": {"t"}, "Location": {link}}), nil
			}))
			_, err := c.Observe(t.Context(), target("node1", "http://bmc1"))
			require.Error(t, err)
			require.Greater(t, requests, 2, "login, systems and logout were asked for")
		})
	}
}

// A redirect makes no GET of a change, whose success would be the change's.
func TestRedirectedChangeIsAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Generic)
		c := r.configurator(t, func(base http.RoundTripper) http.RoundTripper {
			return roundTripper(func(q *http.Request) (*http.Response, error) {
				switch slash := strings.HasSuffix(q.URL.Path, "/"); {
				case q.Method != http.MethodGet && !slash:
					return reply(q, http.StatusMovedPermanently, "", http.Header{"Location": {q.URL.Path + "/"}}), nil
				case slash && q.URL.Path != "/redfish/v1/":
					q = q.Clone(q.Context())
					q.URL.Path = strings.TrimSuffix(q.URL.Path, "/")
				}
				return base.RoundTrip(q)
			})
		})
		require.NoError(t, c.Power(t.Context(), r.target, hardware.PowerReset))
		require.Equal(t, redfishsim.PowerPOST, r.machine.State().Power)
		require.Zero(t, r.bmc.Sessions(), "the logout is a change as well")
	})
}

// How a target's URL is asked: IPv6 with a zone, a path that needs escaping, slashes too many.
func TestEndpoints(t *testing.T) {
	const root = "/redfish/v1/"
	for given, want := range map[string][]string{
		"http://[fe80::1%25eth0]":              {"http://[fe80::1%25eth0]" + root, "http://[fe80::1%25eth0]/s"},
		"http://[fe80::1]:8000":                {"http://[fe80::1]:8000" + root, "http://[fe80::1]:8000/s"},
		"http://bmc1/redfish/v1//":             {"http://bmc1" + root, "http://bmc1/s"},
		"http://BMC1:80/redfish":               {"http://bmc1" + root, "http://bmc1/s"},
		"https://bmc1:443/":                    {"https://bmc1" + root, "https://bmc1/s"},
		"http://bmc1/redfish/v1/Systems/1%20x": {"http://bmc1" + root, "http://bmc1/redfish/v1/Systems/1%20x"},
	} {
		t.Run(given, func(t *testing.T) {
			var asked []string
			c := through(t, roundTripper(func(q *http.Request) (*http.Response, error) {
				asked = append(asked, q.URL.String())
				if q.URL.Path == root {
					return reply(q, http.StatusOK, `{"Systems":{"@odata.id":"/s"}}`, nil), nil
				}
				return reply(q, http.StatusUnauthorized, "", nil), nil
			}))
			_, err := c.Observe(t.Context(), hardware.Target{Node: "node1", URL: given})
			require.ErrorIs(t, err, hardware.ErrUnauthorized)
			require.Equal(t, want, asked)
		})
	}
	_, err := through(t, roundTripper(nil)).Observe(t.Context(), hardware.Target{Node: "node1", URL: "http://bmc1/?a=b"})
	require.ErrorIs(t, err, hardware.ErrInvalid)
}
