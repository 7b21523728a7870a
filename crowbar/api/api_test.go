package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/api"
	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/internal/apitest"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var rack = proposal.Key{Barclamp: "rack", Name: "default"}

// request sends a request as it is and returns status and body.
func request(t *testing.T, s *apitest.Site, method, path, body string, header ...string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestNewNeedsAnEngine(t *testing.T) {
	_, err := api.New(api.Config{})
	require.ErrorContains(t, err, "Engine")
}

// From the first report to an applied proposal, as operator and agents see it.
func TestTheWholeWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ctx := apitest.New(t), t.Context()
		c := s.Client()
		status, err := c.Status(ctx)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(&client.Status{Version: "test", Nodes: map[string]int{}}, status))

		name, agent := s.Discover(1)
		second, _ := s.Discover(2)
		nodes, err := c.Nodes(ctx)
		require.NoError(t, err)
		require.Len(t, nodes, 2)
		require.Nil(t, nodes[0].Facts)
		n, err := c.Node(ctx, name)
		require.NoError(t, err)
		require.Equal(t, "S001", n.Facts.Serial)
		require.Equal(t, []string{}, n.Roles)
		require.Equal(t, lifecycle.Discovered, n.State)
		require.Equal(t, "settled", n.Phase)

		created, err := c.CreateProposal(ctx, client.NewProposal{Barclamp: "rack", Name: "default", Message: "first"})
		require.NoError(t, err)
		require.Equal(t, []barclamp.Explanation{
			{Role: "rack-top", Node: name, Reason: "it is the first"},
			{Role: "rack-unit", Node: second, Reason: "it is not the first"},
		}, created.Explanations)
		require.Equal(t, "ada", created.Revision.Author)
		require.Equal(t, "draft", created.Revision.Status.Status)
		d, err := c.Diff(ctx, rack, client.Template, client.Latest)
		require.NoError(t, err)
		require.Equal(t, "rack-top: + "+name+"\nrack-unit: + "+second+"\n", d.Text())
		d, err = c.Diff(ctx, rack, "1", "1")
		require.NoError(t, err)
		require.True(t, d.Empty())

		done, err := c.Commit(ctx, rack, 0)
		require.NoError(t, err)
		require.Equal(t, "queued", done.Status.Status)
		require.Contains(t, done.Job.Waiting, "waits for 2 of 2 nodes")
		list, err := c.Proposals(ctx, "rack")
		require.NoError(t, err)
		require.Contains(t, list[0].Status.Waiting, "waits for 2 of 2 nodes")
		x, err := c.Why(ctx, name)
		require.NoError(t, err)
		require.Equal(t, "crowbar node allocate "+name, x.Command)
		require.NotEmpty(t, x.Waiting)

		plan, err := c.Plan(ctx, name)
		require.NoError(t, err)
		require.Equal(t, []string{"wwn-1"}, plan.Destructions[0].Disks)
		_, err = c.Allocate(ctx, name, client.AllocateOptions{})
		require.ErrorIs(t, err, client.ErrRefused)
		n, err = c.Allocate(ctx, name, client.AllocateOptions{PlanHash: plan.Hash, IntendedRole: "storage"})
		require.NoError(t, err)
		require.True(t, n.Allocated)
		require.Equal(t, "storage", n.IntendedRole)
		_, err = c.Allocate(ctx, second, client.AllocateOptions{AllowDestroy: true})
		require.NoError(t, err)

		for i, node := range []string{name, second} {
			s.Settled(node, lifecycle.HardwareInstalled) // its hooks spent the grant
			_, agent := s.Boot(i + 1)
			for sequence, state := range []string{lifecycle.Installing, lifecycle.Installed, lifecycle.Readying} {
				_, err := agent.Report(ctx, node, client.Report{Sequence: sequence + 1, State: state})
				require.NoError(t, err, state)
				synctest.Wait()
			}
		}
		job, err := c.WaitJob(ctx, done.Job.ID)
		require.NoError(t, err)
		require.Equal(t, client.JobDone, job.Status, job.Reason)
		n, err = c.Node(ctx, name)
		require.NoError(t, err)
		require.Equal(t, lifecycle.Ready, n.State)
		require.Equal(t, []string{"rack-top"}, n.Roles)
		require.Equal(t, "rack-top", n.Applied[0].Role)
		require.NotEmpty(t, n.Visits)

		_, err = agent.Report(ctx, name, client.Report{Sequence: 9})
		require.ErrorIs(t, err, client.ErrUnauthorized, "its boot is over")
		jobs, err := c.Jobs(ctx)
		require.NoError(t, err)
		require.Equal(t, done.Job.ID, jobs[0].ID)
		step, err := c.Job(ctx, jobs[1].ID)
		require.NoError(t, err)
		require.Equal(t, "wipe", step.Steps[0].Title)

		events, err := c.Events(ctx, 0, 0)
		require.NoError(t, err)
		page, err := c.Events(ctx, 3, 2)
		require.NoError(t, err)
		require.Equal(t, events[3:5], page)
		chain := make([]crowbar.Event, len(events))
		for i, ev := range events {
			chain[i] = crowbar.Event(ev)
		}
		require.NoError(t, crowbar.VerifyEvents(chain), "the wire keeps what the hashes cover")
	})
}

// A queued job does not change, but what it waits for does.
func TestWatchedJobSaysWhatItWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ctx := apitest.New(t), t.Context()
		c := s.Client()
		name, _ := s.Discover(1)
		_, err := c.CreateProposal(ctx, client.NewProposal{Barclamp: "rack"})
		require.NoError(t, err)
		done, err := c.Commit(ctx, rack, 0)
		require.NoError(t, err)
		var waiting []string
		enough := errors.New("enough")
		start := time.Now()
		_, err = c.WatchJob(ctx, done.Job.ID, func(j *client.Job) error {
			waiting = append(waiting, j.Waiting)
			if len(waiting) == 2 {
				return enough
			}
			time.AfterFunc(time.Minute+time.Second, func() { // between two looks
				if _, err := c.Allocate(ctx, name, client.AllocateOptions{AllowDestroy: true}); err != nil {
					t.Error(err)
				}
			})
			return nil
		})
		require.ErrorIs(t, err, enough)
		require.Contains(t, waiting[0], "is in discovered and not allocated")
		require.Contains(t, waiting[1], "is in hardware-installed")
		require.LessOrEqual(t, time.Since(start), time.Minute+2*time.Second)
	})
}

func TestOrdersAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ctx := apitest.New(t), t.Context()
		name, agent := s.Discover(1)
		_, err := s.Client().CreateProposal(ctx, client.NewProposal{Barclamp: "rack"})
		require.NoError(t, err)
		_, err = s.Client().Commit(ctx, rack, 0)
		require.NoError(t, err)
		start := time.Now()
		o, err := agent.AwaitOrders(ctx, name, 0, time.Minute)
		require.NoError(t, err)
		require.Equal(t, client.Orders{Node: name, State: lifecycle.Discovered, Phase: "settled", Visit: o.Visit}, *o)
		require.Zero(t, time.Since(start), "they are there")

		again, err := agent.AwaitOrders(ctx, name, o.Visit, 20*time.Second)
		require.NoError(t, err)
		require.Equal(t, o, again)
		require.Equal(t, 20*time.Second, time.Since(start))
		_, err = agent.AwaitOrders(ctx, name, o.Visit, 24*time.Hour)
		require.NoError(t, err)
		require.Equal(t, 80*time.Second, time.Since(start), "the server's bound")

		time.AfterFunc(5*time.Second, func() {
			if _, err := s.Engine.Allocate(ctx, name, "ada", crowbar.AllocateOptions{AllowDestroy: true}); err != nil {
				t.Error(err)
			}
		})
		o, err = agent.AwaitOrders(ctx, name, o.Visit, time.Minute)
		require.NoError(t, err)
		require.Equal(t, 85*time.Second, time.Since(start))
		require.Equal(t, lifecycle.Discovered, again.State)
		require.NotEqual(t, lifecycle.Discovered, o.State)

		gone, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err = agent.AwaitOrders(gone, name, 1000, time.Minute)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestAgentsAreKnownByTheirToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ctx := apitest.New(t), t.Context()
		name, agent := s.Discover(1)
		other, stranger := s.Discover(2)
		for who, c := range map[string]*client.Client{"another node": stranger, "no token": s.Client()} {
			_, err := c.Report(ctx, name, client.Report{Sequence: 9})
			require.ErrorIs(t, err, client.ErrUnauthorized, who)
			_, err = c.AwaitOrders(ctx, name, 0, 0)
			require.ErrorIs(t, err, client.ErrUnauthorized, who)
			require.ErrorIs(t, c.Authorize(ctx, name, barclamp.Destruction{Operation: "rack/wipe"}), client.ErrUnauthorized, who)
		}
		require.NotEqual(t, name, other)
		require.ErrorIs(t, agent.Authorize(ctx, name, barclamp.Destruction{Operation: "rack/wipe", Disks: []string{"wwn-1"}}), client.ErrRefused)
		_, err := agent.Report(ctx, name, client.Report{Sequence: 3, State: lifecycle.Ready})
		require.ErrorIs(t, err, client.ErrRefused)
		require.ErrorContains(t, err, "(allowed: ")
	})
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ctx := apitest.New(t), t.Context()
		c := s.Client()
		name, _ := s.Discover(1)

		_, err := c.Node(ctx, "nobody")
		require.ErrorIs(t, err, client.ErrNotFound)
		require.EqualError(t, err, `no node is called "nobody"; list them: crowbar node list`)
		_, err = c.Why(ctx, "nobody")
		require.ErrorIs(t, err, client.ErrNotFound)
		_, err = c.Barclamp(ctx, "nobody")
		require.ErrorIs(t, err, client.ErrNotFound)
		require.ErrorContains(t, err, "crowbar barclamp list")
		_, err = c.Proposal(ctx, rack, 0)
		require.ErrorIs(t, err, client.ErrNotFound)
		require.ErrorContains(t, err, "crowbar proposal list")
		_, err = c.Job(ctx, "7")
		require.ErrorIs(t, err, client.ErrNotFound)
		_, err = c.CreateProposal(ctx, client.NewProposal{Barclamp: "nobody"})
		require.ErrorIs(t, err, client.ErrNotFound)

		_, err = c.Transition(ctx, name, "nowhere")
		require.ErrorIs(t, err, client.ErrInvalid)
		_, err = c.Transition(ctx, name, "")
		require.ErrorIs(t, err, client.ErrInvalid)
		_, err = c.Transition(ctx, name, lifecycle.Ready)
		require.ErrorIs(t, err, client.ErrRefused)
		require.ErrorContains(t, err, "an operator can send it to hardware-installing (by crowbar node allocate "+name+"), debug, reset, delete")

		_, err = c.Allocate(ctx, name, client.AllocateOptions{AllowDestroy: true})
		require.ErrorIs(t, err, client.ErrRefused)
		require.ErrorContains(t, err, "no barclamp that installs nodes")

		_, err = c.CreateProposal(ctx, client.NewProposal{Barclamp: "rack", Name: "a-b"})
		require.ErrorIs(t, err, client.ErrInvalid)
		_, err = c.CreateProposal(ctx, client.NewProposal{Barclamp: "rack", Name: "template"})
		require.ErrorIs(t, err, client.ErrInvalid)
		_, err = c.CreateProposal(ctx, client.NewProposal{Barclamp: "rack", Document: json.RawMessage(`{"id":3}`)})
		require.ErrorIs(t, err, client.ErrInvalid)
		var invalid *client.Error
		require.ErrorAs(t, err, &invalid)
		require.NotEmpty(t, invalid.Problems)
		_, err = c.CreateProposal(ctx, client.NewProposal{Barclamp: "rack"})
		require.NoError(t, err)
		_, err = c.CreateProposal(ctx, client.NewProposal{Barclamp: "rack"})
		require.ErrorIs(t, err, client.ErrConflict)
		require.ErrorIs(t, err, client.ErrExists)
		require.ErrorContains(t, err, "proposal rack/default exists; look at it")
		_, err = c.Proposal(ctx, rack, 7)
		require.ErrorIs(t, err, client.ErrNotFound)

		_, err = c.Commit(ctx, rack, 1)
		require.NoError(t, err)
		d, err := c.Proposal(ctx, rack, 1)
		require.NoError(t, err)
		empty := strings.ReplaceAll(string(d.Document), name, "nobody")
		_, err = c.ImportProposal(ctx, []byte(empty), "default", client.SaveOptions{})
		require.NoError(t, err)
		_, err = c.Commit(ctx, rack, 0)
		require.ErrorIs(t, err, client.ErrInvalid)
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, "revision 2 of rack/default cannot be committed: 1 problem", invalid.Message)
		require.Equal(t, "/deployment/rack/elements/rack-top/0", invalid.Problems[0].Path)

		for _, file := range []string{"", "no JSON", "[]", `{"id":"bc-rack-default"}`, string([]byte{0xff})} {
			_, err = c.ImportProposal(ctx, []byte(file), "", client.SaveOptions{})
			require.ErrorIs(t, err, client.ErrInvalid, file)
			require.ErrorContains(t, err, "not a proposal", file)
		}
		_, err = c.ImportProposal(ctx, bytes.Replace(d.Document, []byte("bc-rack-default"), []byte("what"), 1), "", client.SaveOptions{})
		require.ErrorIs(t, err, client.ErrInvalid)
		require.ErrorContains(t, err, `id and deployment disagree: the id is "what", the deployment is of barclamp rack`)
	})
}

func TestPlanThatFailsIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ctx := apitest.New(t), t.Context()
		c := s.Client()
		name, _ := s.Discover(1)
		_, err := c.CreateProposal(ctx, client.NewProposal{Barclamp: "rack"})
		require.NoError(t, err)
		_, err = c.Commit(ctx, rack, 0)
		require.NoError(t, err)
		plan, err := c.Plan(ctx, name)
		require.NoError(t, err)
		s.Rack.SetDisk("wwn-2")
		_, err = c.Allocate(ctx, name, client.AllocateOptions{PlanHash: plan.Hash})
		require.ErrorIs(t, err, client.ErrConflict)
		s.Rack.FailPlan(errors.New("BMC does not answer"))
		_, err = c.Plan(ctx, name)
		require.ErrorIs(t, err, client.ErrRefused)
		require.ErrorContains(t, err, "BMC does not answer")
		_, err = c.Allocate(ctx, name, client.AllocateOptions{AllowDestroy: true})
		require.ErrorIs(t, err, client.ErrRefused)
	})
}

func TestEngineIsPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ctx := apitest.New(t), t.Context()
		status, err := s.Client().EnginePause(ctx, "")
		require.NoError(t, err)
		require.Equal(t, "by ada", status.Paused)
		status, err = s.Client().EngineResume(ctx)
		require.NoError(t, err)
		require.Empty(t, status.Paused)
		events, err := s.Client().Events(ctx, 0, 0)
		require.NoError(t, err)
		require.Equal(t, "ada", events[0].Actor)
	})
}

// What is wrong with a request itself, whatever it asks for.
func TestBadRequests(t *testing.T) {
	s := apitest.New(t)
	for name, c := range map[string]struct {
		method, path, body string
		header             []string
		status             int
		says               string
	}{
		"unknown member":     {"POST", "/api/v1/nodes/a/allocate", `{"allow_destory":true}`, nil, 400, "allow_destory"},
		"two values":         {"POST", "/api/v1/engine/pause", `{}{}`, nil, 400, "more than one"},
		"no JSON":            {"POST", "/api/v1/engine/pause", `{`, nil, 400, "body"},
		"wrong type":         {"POST", "/api/v1/engine/pause", `{"reason":1}`, nil, 400, "reason"},
		"content type":       {"POST", "/api/v1/engine/pause", `{}`, []string{"Content-Type", "text/plain"}, 400, "application/json"},
		"too large":          {"POST", "/api/v1/engine/pause", `{"reason":"` + strings.Repeat("x", 1<<20) + `"}`, nil, 413, "too large"},
		"document too large": {"POST", "/api/v1/proposals/import", strings.Repeat("x", 10<<20+1), nil, 413, "too large"},
		"no route":           {"GET", "/api/v1/nothing", "", nil, 404, "no such path"},
		"no route at all":    {"GET", "/", "", nil, 404, "no such path"},
		"wrong method":       {"DELETE", "/api/v1/nodes", "", nil, 405, "method"},
		"number":             {"GET", "/api/v1/events?after=-1", "", nil, 400, "whole number"},
		"number of text":     {"GET", "/api/v1/events?after=x", "", nil, 400, "whole number"},
		"last event":         {"GET", "/api/v1/events", "", []string{"Accept", "text/event-stream", "Last-Event-ID", "x"}, 400, "Last-Event-ID"},
		"revision":           {"GET", "/api/v1/proposals/a/b?revision=99999999999", "", nil, 400, "revision"},
		"wait":               {"GET", "/api/v1/nodes/a/orders?wait_seconds=NaN", "", nil, 400, "wait_seconds"},
		"foreign page":       {"POST", "/api/v1/engine/pause", `{}`, []string{"Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site"}, 403, "origin"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := request(t, s, c.method, c.path, c.body, c.header...)
			require.Equal(t, c.status, status, body)
			var answer struct {
				Error client.ErrorBody `json:"error"`
			}
			require.NoError(t, json.Unmarshal([]byte(body), &answer), body)
			require.NotEmpty(t, answer.Error.Code)
			require.Contains(t, answer.Error.Message, c.says)
		})
	}
	require.Empty(t, s.Engine.Paused())
}

// failingStore is a store whose disk is gone.
type failingStore struct {
	crowbar.Store
	fail bool
}

func (s *failingStore) List(ctx context.Context, prefix string) (crowbar.Listing, error) {
	if s.fail {
		return crowbar.Listing{}, errors.New("password hunter2 in /var/lib")
	}
	return s.Store.List(ctx, prefix)
}

func TestInternalErrorsAreNotShown(t *testing.T) {
	store := &failingStore{Store: crowbar.NewMemoryStore()}
	s := apitest.On(t, store)
	store.fail = true
	status, body := request(t, s, "GET", "/api/v1/events", "")
	require.Equal(t, http.StatusInternalServerError, status)
	require.JSONEq(t, `{"error":{"code":"internal","message":"the server failed; its log says why"}}`, body)
}

func TestBoot(t *testing.T) {
	s := apitest.New(t)
	for _, path := range []string{"/boot/ipxe", "//boot/ipxe", "/boot//ipxe"} {
		status, body := request(t, s, "GET", path+"?mac=52:54:00:00:00:01", "")
		require.Equal(t, http.StatusOK, status, path)
		require.Contains(t, body, "kernel /files/52:54:00:00:00:01")
	}
	script, err := s.Client().Boot(t.Context(), "52:54:00:00:00:01", nil)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(script, "#!ipxe\n"))
	_, err = s.Client().Boot(t.Context(), "52:54:00:00:00:01", map[string][]string{"serial": {"foreign"}})
	require.ErrorIs(t, err, client.ErrNotFound)
	_, err = s.Client().Boot(t.Context(), "no MAC", nil)
	require.ErrorIs(t, err, client.ErrInvalid)
}

// Over a real connection, that the server cuts off: the stream goes on after the last event.
func TestEventsOverSockets(t *testing.T) {
	s := apitest.New(t)
	server := httptest.NewServer(s.Handler)
	defer server.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c, err := client.New(client.Config{BaseURL: server.URL, Transport: transport})
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got := make(chan int64)
	ended := make(chan error, 1)
	go func() {
		ended <- c.WatchEvents(ctx, 1, func(ev client.Event) error {
			got <- ev.Sequence
			return nil
		})
	}()
	for i := range int64(6) {
		require.NoError(t, s.Engine.Pause(ctx, "ada", "again"))
		if i == 0 {
			continue // the first event is not wanted
		}
		require.Equal(t, i+1, <-got)
		if i == 3 {
			server.CloseClientConnections()
		}
	}
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

// A server that stops ends what waits in requests.
func TestStreamsEndWithTheServer(t *testing.T) {
	s := apitest.New(t)
	ctx, stop := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, "GET", "/api/v1/events", nil)
	r.Header.Set("Accept", "text/event-stream")
	reader, writer := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Handler.ServeHTTP(&pipeWriter{header: http.Header{}, PipeWriter: writer}, r)
		writer.Close()
	}()
	_, err := reader.Read(make([]byte, 3))
	require.NoError(t, err)
	stop()
	_, err = io.ReadAll(reader)
	require.NoError(t, err)
	<-ended
}

type pipeWriter struct {
	*io.PipeWriter
	header http.Header
}

func (w *pipeWriter) Header() http.Header { return w.header }
func (w *pipeWriter) WriteHeader(int)     {}
func (w *pipeWriter) Flush()              {}
