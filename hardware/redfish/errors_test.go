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
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

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

// What is folded and cut for the message has been scrubbed before: the password is recognised
// whatever white space it has, and wherever the cut falls.
func TestCredentialsAreNotPrintedInParts(t *testing.T) {
	observe := func(t *testing.T, password string, pad int) error {
		c := through(t, roundTripper(func(q *http.Request) (*http.Response, error) {
			if q.URL.Path == "/redfish/v1/" {
				return reply(q, http.StatusOK, `{"Systems":{"@odata.id":"/s"},"Links":{"Sessions":{"@odata.id":"/login"}}}`, nil), nil
			}
			message, err := json.Marshal(map[string]any{"error": map[string]any{"message": strings.Repeat("x", pad) + " bad password " + password + " given"}})
			require.NoError(t, err)
			return reply(q, http.StatusUnauthorized, string(message), nil), nil
		}))
		_, err := c.Observe(t.Context(), hardware.Target{Node: "node1", URL: "http://bmc1",
			Credentials: func(context.Context) (string, string, error) { return user, password, nil }})
		require.ErrorIs(t, err, hardware.ErrUnauthorized)
		return err
	}
	for _, password := range []string{"correct  horse\tbattery", "secretsecret ", " correcthorse"} {
		err := observe(t, password, 0)
		require.Contains(t, err.Error(), "[redacted]")
		for word := range strings.FieldsSeq(password) {
			require.NotContains(t, err.Error(), word)
		}
	}
	for pad := 250; pad < 300; pad++ {
		require.NotContains(t, observe(t, password, pad).Error(), password[:3], "cut after %d", pad)
	}
}
