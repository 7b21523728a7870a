package server_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/crowbar/server"
	"github.com/crowbarkit/crowbarkit/proposal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func Example() {
	dir, err := os.MkdirTemp("", "crowbar")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	s, err := server.Open(context.Background(), server.Config{DataDir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	stop() // at once
	fmt.Println(s.Serve(ctx))
	// Output: <nil>
}

// running serves a simulated site until stop is called.
func running(t *testing.T, dir string, simulation *server.Simulation) (s *server.Server, c *client.Client, stop func()) {
	t.Helper()
	s, err := server.Open(t.Context(), server.Config{DataDir: dir, Listen: "127.0.0.1:0", Simulation: simulation})
	require.NoError(t, err)
	transport := &http.Transport{}
	c, err = client.New(client.Config{BaseURL: s.URL(), Transport: transport})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	return s, c, func() {
		cancel()
		require.NoError(t, <-ended)
		c.Close()
	}
}

// until watches events, which begin with those of the past, for n nodes to have come into a
// state.
func until(t *testing.T, c *client.Client, n int, state string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	there := map[string]bool{}
	err := c.WatchEvents(ctx, 0, func(ev client.Event) error {
		if ev.Kind == "node.state" {
			there[ev.Subject] = ev.State == state || there[ev.Subject] && ev.State == "applying"
		}
		count := 0
		for _, is := range there {
			if is {
				count++
			}
		}
		if count == n {
			return context.Canceled
		}
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
}

// A simulated site goes from power-on to ready, over sockets, with a restart on the way.
func TestSimulatedSiteComesToReady(t *testing.T) {
	dir := t.TempDir()
	_, c, stop := running(t, dir, &server.Simulation{Nodes: 4, Speed: 300, WithoutBMC: []int{0}})
	until(t, c, 4, "discovered")
	ctx := t.Context()
	barclamps, err := c.Barclamps(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, barclamps)
	for _, b := range barclamps {
		_, err := c.CreateProposal(ctx, client.NewProposal{Barclamp: b.Name})
		require.NoError(t, err)
		_, err = c.Commit(ctx, proposal.Key{Barclamp: b.Name, Name: "default"}, 0)
		require.NoError(t, err)
	}
	nodes, err := c.Nodes(ctx)
	require.NoError(t, err)
	last, err := c.Events(ctx, 0, 0)
	require.NoError(t, err)
	stop()

	s, c, stop := running(t, dir, &server.Simulation{Speed: 300})
	defer stop()
	require.False(t, s.Now().Before(last[len(last)-1].Time), "time does not go back")
	require.Equal(t, 4, s.Site().Nodes())
	for _, n := range nodes {
		require.True(t, n.Simulated)
		plan, err := c.Plan(ctx, n.Name)
		require.NoError(t, err)
		_, err = c.Allocate(ctx, n.Name, client.AllocateOptions{PlanHash: plan.Hash})
		require.NoError(t, err)
	}
	until(t, c, 4, "ready")
	jobs, err := c.Jobs(ctx)
	require.NoError(t, err)
	for _, j := range jobs {
		done, err := c.WaitJob(ctx, j.ID)
		require.NoError(t, err)
		require.Equal(t, client.JobDone, done.Status, "%s: %s", done.Title, done.Reason)
	}
	skipped := 0
	for _, n := range nodes {
		x, err := c.Why(ctx, n.Name)
		require.NoError(t, err)
		if len(x.Skipped) > 0 {
			skipped++
			require.Contains(t, x.Sentence, "no BMC")
		}
	}
	require.Equal(t, 1, skipped)
}

func TestDefaultDataDir(t *testing.T) {
	env := func(values map[string]string) func(string) string {
		return func(name string) string { return values[name] }
	}
	if os.Geteuid() == 0 {
		require.Equal(t, "/var/lib/crowbar", server.DefaultDataDir(env(nil)))
		return
	}
	require.Equal(t, "/s/crowbar", server.DefaultDataDir(env(map[string]string{"XDG_STATE_HOME": "/s", "HOME": "/h"})))
	require.Equal(t, filepath.Join("/h", ".local/state/crowbar"), server.DefaultDataDir(env(map[string]string{"XDG_STATE_HOME": "relative", "HOME": "/h"})))
	require.Equal(t, "crowbar-data", server.DefaultDataDir(env(nil)))
}

func TestCloseWithoutServe(t *testing.T) {
	config := server.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Simulation: &server.Simulation{Nodes: 1}}
	for range 2 { // the first gave everything back
		s, err := server.Open(t.Context(), config)
		require.NoError(t, err)
		require.NoError(t, s.Close())
	}
}
