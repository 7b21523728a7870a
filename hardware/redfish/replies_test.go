package redfish_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// middleware comes between a Configurator and the BMC.
type middleware = func(http.RoundTripper) http.RoundTripper

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// reply is an answer that no BMC was asked for.
func reply(q *http.Request, status int, body string, header http.Header) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: q}
}

// answering answers what matches in the BMC's place, without effect.
func answering(matches func(*http.Request) bool, status int, body string) middleware {
	return func(base http.RoundTripper) http.RoundTripper {
		return roundTripper(func(q *http.Request) (*http.Response, error) {
			if matches(q) {
				return reply(q, status, body, nil), nil
			}
			return base.RoundTrip(q)
		})
	}
}

// reading matches reads by the end of their path.
func reading(suffix string) func(*http.Request) bool {
	return func(q *http.Request) bool { return q.Method == http.MethodGet && strings.HasSuffix(q.URL.Path, suffix) }
}

func isReset(q *http.Request) bool {
	return q.Method == http.MethodPost && strings.HasSuffix(q.URL.Path, "/ComputerSystem.Reset")
}

// edited changes resources as they are read.
func edited(edit func(q *http.Request, resource map[string]any, header http.Header)) middleware {
	return func(base http.RoundTripper) http.RoundTripper {
		return roundTripper(func(q *http.Request) (*http.Response, error) {
			resp, err := base.RoundTrip(q)
			if err != nil || resp.StatusCode != http.StatusOK || q.Method != http.MethodGet {
				return resp, err
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				return nil, err
			}
			var resource map[string]any
			if json.Unmarshal(body, &resource) == nil {
				edit(q, resource, resp.Header)
				if body, err = json.Marshal(resource); err != nil {
					return nil, err
				}
			}
			resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			return resp, nil
		})
	}
}

// editedSystem changes the system, also where it comes expanded in its collection.
func editedSystem(edit func(system map[string]any)) middleware {
	return edited(func(_ *http.Request, resource map[string]any, _ http.Header) {
		for _, o := range append(members(resource), resource) {
			if o["PowerState"] != nil && o["BiosVersion"] != nil {
				edit(o)
			}
		}
	})
}

func members(resource map[string]any) (out []map[string]any) {
	list, _ := resource["Members"].([]any)
	for _, m := range list {
		if o, ok := m.(map[string]any); ok {
			out = append(out, o)
		}
	}
	return out
}

// body reads a request's body and leaves it as it was.
func body(t *testing.T, q *http.Request) string {
	t.Helper()
	if q.Body == nil {
		return ""
	}
	data, err := io.ReadAll(q.Body)
	require.NoError(t, err)
	q.Body = io.NopCloser(bytes.NewReader(data))
	return string(data)
}

// through is a Configurator over a transport of the test's own.
func through(t *testing.T, transport http.RoundTripper) *redfish.Configurator {
	t.Helper()
	c, err := redfish.New(redfish.Config{Transport: transport})
	require.NoError(t, err)
	return c
}

// over is a Configurator to which h is the one host there is.
func over(t *testing.T, host string, h http.Handler) *redfish.Configurator {
	t.Helper()
	return through(t, redfishsim.Transport(func(asked string) http.Handler {
		if asked != host {
			t.Errorf("the client went to %s", asked)
			return nil
		}
		return h
	}))
}

// resources serves fixed ones by path, or by path and query.
type resources map[string]string

func (s resources) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, ok := s[r.URL.RequestURI()]
	if !ok {
		body, ok = s[r.URL.Path]
	}
	if !ok {
		w.WriteHeader(http.StatusNotFound)
	}
	_, _ = io.WriteString(w, body)
}
