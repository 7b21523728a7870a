package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/internal/inprocess"
	"github.com/crowbarkit/crowbarkit/proposal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// against makes a client of a server that is only this handler.
func against(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Transport: inprocess.Transport(h), User: "ada"})
	require.NoError(t, err)
	return c
}

func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `[{"name":"d52-54-00-00-00-01.crowbar.internal","state":"discovered"}]`)
	}))
	defer server.Close()

	c, err := client.New(client.Config{BaseURL: server.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	nodes, err := c.Nodes(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range nodes {
		fmt.Println(n.Name, n.State)
	}
	// Output: d52-54-00-00-00-01.crowbar.internal discovered
}

func TestErrors(t *testing.T) {
	for code, want := range map[string]struct {
		status int
		is     error
	}{
		client.CodeNotFound:     {404, client.ErrNotFound},
		client.CodeConflict:     {409, client.ErrConflict},
		client.CodeRefused:      {403, client.ErrRefused},
		client.CodeInvalid:      {400, client.ErrInvalid},
		client.CodeUnauthorized: {401, client.ErrUnauthorized},
		client.CodeUnavailable:  {503, client.ErrUnreachable},
	} {
		t.Run(code, func(t *testing.T) {
			c := against(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(want.status)
				fmt.Fprintf(w, `{"error":{"code":%q,"message":"no","problems":[{"path":"/a","found":"b","expected":"c","hint":"d"}]}}`, code)
			})
			_, err := c.Status(t.Context())
			require.ErrorIs(t, err, want.is)
			var e *client.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, want.status, e.Status)
			require.Empty(t, cmp.Diff([]proposal.Problem{{Path: "/a", Found: "b", Expected: "c", Hint: "d"}}, e.Problems))
			require.Equal(t, "no\n  /a: found b, expected c (d)", err.Error())
			for _, other := range []error{client.ErrNotFound, client.ErrConflict, client.ErrRefused, client.ErrInvalid, client.ErrUnauthorized, client.ErrUnreachable} {
				require.Equal(t, other == want.is, errors.Is(err, other))
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url := "http://" + l.Addr().String()
	require.NoError(t, l.Close())
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:1") // not to be used

	c, err := client.New(client.Config{BaseURL: url})
	require.NoError(t, err)
	_, err = c.Nodes(t.Context())
	require.ErrorIs(t, err, client.ErrUnreachable)
	require.ErrorContains(t, err, url)
	require.ErrorContains(t, err, "is crowbar-server running? give --server or CROWBAR_SERVER")
	require.NotContains(t, err.Error(), "192.0.2.1")
	require.ErrorIs(t, c.WatchEvents(t.Context(), 0, func(client.Event) error { return nil }), client.ErrUnreachable)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Nodes(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, client.ErrUnreachable)
}

func TestNoCrowbarServer(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"a web page":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"a plain 404":  http.NotFound,
		"a JSON error": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); fmt.Fprint(w, `{"error":"x"}`) },
	} {
		_, err := against(t, h).Nodes(t.Context())
		require.ErrorContains(t, err, "is this its address?", name)
		var e *client.Error
		require.ErrorAs(t, err, &e, name)
		err = against(t, h).WatchEvents(t.Context(), 0, nil)
		require.ErrorContains(t, err, "is this its address?", name)
	}
}

func TestRequests(t *testing.T) {
	var seen *http.Request
	c, err := client.New(client.Config{
		BaseURL: "http://rack/prefix/", Token: "secret", UserAgent: "test",
		Transport: inprocess.Transport(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen = r
			fmt.Fprint(w, "{}")
		})),
	})
	require.NoError(t, err)
	require.Equal(t, "http://rack/prefix", c.URL())
	_, err = c.AwaitOrders(t.Context(), "a/b?c", 7, 1500*time.Millisecond)
	require.NoError(t, err)
	require.Equal(t, "/prefix/api/v1/nodes/a%2Fb%3Fc/orders?visit=7&wait_seconds=1.5", seen.RequestURI)
	require.Equal(t, "Bearer secret", seen.Header.Get("Authorization"))
	require.Equal(t, "test", seen.Header.Get("User-Agent"))
	require.Empty(t, seen.Header.Get("X-Crowbar-User"), "a node is no operator")

	seen = nil
	for _, name := range []string{"", ".", ".."} {
		_, err = c.Node(t.Context(), name)
		require.ErrorIs(t, err, client.ErrInvalid)
		require.Nil(t, seen, "must not reach another path")
	}
}

func TestNewRefuses(t *testing.T) {
	for _, config := range []client.Config{
		{BaseURL: "rack:3000"}, {BaseURL: "ftp://rack"}, {BaseURL: "http://"}, {BaseURL: "http://rack:port"}, {BaseURL: "::"},
		{User: "a\nb"}, {Token: "a\r\nX: y"}, {UserAgent: "\x00"},
	} {
		_, err := client.New(config)
		require.ErrorIs(t, err, client.ErrConfig)
	}
}

// A stream that is lost is taken up after the last event that was told, and what comes twice
// is told once.
func TestWatchEventsGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		c := against(t, func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.Header.Get("Last-Event-ID"))
			switch len(asked) {
			case 3, 4: // a restart
				w.WriteHeader(http.StatusServiceUnavailable)
				fmt.Fprint(w, `{"error":{"code":"unavailable","message":"stopping"}}`)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				n := 2*len(asked) + i
				fmt.Fprintf(w, ":\n\nid: %d\ndata: {\"sequence\":%d}\n\n", n, n)
			}
			fmt.Fprint(w, "id: 99\ndata: {\"seq") // cut off
		})
		var got []int64
		enough := errors.New("enough")
		start := time.Now()
		err := c.WatchEvents(t.Context(), 1, func(ev client.Event) error {
			got = append(got, ev.Sequence)
			if ev.Sequence == 12 {
				return enough
			}
			return nil
		})
		require.ErrorIs(t, err, enough)
		require.Equal(t, []int64{2, 3, 4, 5, 6, 10, 11, 12}, got)
		require.Equal(t, []string{"1", "4", "6", "6", "6"}, asked)
		require.Less(t, time.Since(start), 5*time.Second)
	})
}

func TestWatchEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := against(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.ErrorIs(t, c.WatchEvents(ctx, 0, nil), context.DeadlineExceeded)
	})
}

func TestWatchJob(t *testing.T) {
	var calls atomic.Int32
	c := against(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/2") {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":{"code":"not_found","message":"no job"}}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"id\":\"1\",\"status\":\"running\"}\n\n")
		if calls.Add(1) > 1 {
			fmt.Fprint(w, "data: {\"id\":\"1\",\"status\":\"failed\",\"reason\":\"why\"}\n\n")
			<-r.Context().Done()
		}
	})
	j, err := c.WaitJob(t.Context(), "1")
	require.NoError(t, err)
	require.Equal(t, "why", j.Reason)
	require.EqualValues(t, 2, calls.Load())
	_, err = c.WaitJob(t.Context(), "2")
	require.ErrorIs(t, err, client.ErrNotFound)
	stop := errors.New("stop")
	_, err = c.WatchJob(t.Context(), "1", func(*client.Job) error { return stop })
	require.ErrorIs(t, err, stop)
}

func TestBoot(t *testing.T) {
	c := against(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("mac") {
		case "52:54:00:00:00:01":
			fmt.Fprint(w, "#!ipxe\nexit 1\n", r.URL.Query().Get("arch"))
		case "52:54:00:00:00:02":
			http.Error(w, "Nothing to boot: not ours.", http.StatusNotFound)
		default:
			http.Error(w, "mac: wrong.", http.StatusBadRequest)
		}
	})
	script, err := c.Boot(t.Context(), "52:54:00:00:00:01", map[string][]string{"arch": {"x86_64"}})
	require.NoError(t, err)
	require.Equal(t, "#!ipxe\nexit 1\nx86_64", script)
	_, err = c.Boot(t.Context(), "52:54:00:00:00:02", nil)
	require.ErrorIs(t, err, client.ErrNotFound)
	require.ErrorContains(t, err, "Nothing to boot: not ours.")
	_, err = c.Boot(t.Context(), "", nil)
	require.ErrorIs(t, err, client.ErrInvalid)
}
