package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/statemachine"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

func (a *api) status(w http.ResponseWriter, _ *http.Request) error {
	return ok(w, a.wireSite())
}

func (a *api) wireSite() client.Status {
	s := client.Status{
		Version:   a.Version,
		Simulated: a.Engine.Simulated(),
		Paused:    a.Engine.Paused(),
		Busy:      a.Engine.Busy(),
		Nodes:     map[string]int{},
		LastEvent: a.Engine.LastEvent(),
	}
	for _, n := range a.Engine.Nodes() {
		s.Nodes[n.Lifecycle.State]++
	}
	return s
}

func (a *api) pause(w http.ResponseWriter, r *http.Request) error {
	body := struct {
		Reason string `json:"reason"`
	}{}
	if err := decode(w, r, maxBody, &body); err != nil {
		return err
	}
	if body.Reason == "" {
		body.Reason = "by " + actor(r)
	}
	if err := a.Engine.Pause(r.Context(), actor(r), body.Reason); err != nil {
		return err
	}
	return ok(w, a.wireSite())
}

func (a *api) resume(w http.ResponseWriter, r *http.Request) error {
	if err := decode(w, r, maxBody, &struct{}{}); err != nil {
		return err
	}
	if err := a.Engine.Resume(r.Context(), actor(r)); err != nil {
		return err
	}
	return ok(w, a.wireSite())
}

func (a *api) nodes(w http.ResponseWriter, _ *http.Request) error {
	return ok(w, each(a.Engine.Nodes(), a.wireNode))
}

func (a *api) node(w http.ResponseWriter, r *http.Request) error {
	n, err := a.Engine.Node(r.PathValue("node"))
	if err != nil {
		return err
	}
	return ok(w, a.fullNode(n))
}

func (a *api) why(w http.ResponseWriter, r *http.Request) error {
	x, err := a.Engine.Why(r.PathValue("node"))
	if err != nil {
		return err
	}
	return ok(w, wireExplanation(x))
}

func (a *api) plan(w http.ResponseWriter, r *http.Request) error {
	p, err := a.Engine.Plan(r.Context(), r.PathValue("node"))
	if err != nil {
		return err
	}
	return ok(w, wirePlan(p))
}

func (a *api) allocate(w http.ResponseWriter, r *http.Request) error {
	var opts client.AllocateOptions
	if err := decode(w, r, maxBody, &opts); err != nil {
		return err
	}
	n, err := a.Engine.Allocate(r.Context(), r.PathValue("node"), actor(r), crowbar.AllocateOptions(opts))
	if err != nil {
		return err
	}
	return ok(w, a.fullNode(n))
}

func (a *api) transition(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		State string `json:"state"`
	}
	if err := decode(w, r, maxBody, &body); err != nil {
		return err
	}
	n, err := a.operatorTransition(r, r.PathValue("node"), body.State)
	if err != nil {
		return err
	}
	return ok(w, a.fullNode(n))
}

func (a *api) operatorTransition(r *http.Request, name, state string) (*crowbar.Node, error) {
	if state == "" {
		return nil, fmt.Errorf("%w: no state given to go to", errRequest)
	}
	n, err := a.Engine.Transition(r.Context(), name, state, crowbar.By{Actor: lifecycle.ActorOperator, Name: actor(r)})
	var refused *statemachine.TransitionError
	if errors.As(err, &refused) || errors.Is(err, crowbar.ErrInvalid) {
		return nil, a.wayOut(name, state, err)
	}
	return n, err
}

// wayOut says where an operator can send a node that cannot go where he wanted.
func (a *api) wayOut(name, state string, cause error) error {
	x, err := a.Engine.Why(name)
	if err != nil {
		return cause
	}
	var ways []string
	for _, next := range x.Next {
		if next.To == state && next.Blocked != "" {
			_, why, _ := strings.Cut(next.Blocked, ": ") // the guard by name, and what it says
			return fmt.Errorf("%w: %s cannot go from %s to %s: %s", crowbar.ErrRefused, x.Node, x.State, state, cmp.Or(why, next.Blocked))
		}
		switch {
		case !slices.Contains(next.Actors, lifecycle.ActorOperator):
		case next.Event == lifecycle.EventAllocate:
			ways = append(ways, next.To+" (by crowbar node allocate "+x.Node+")")
		default:
			ways = append(ways, next.To)
		}
	}
	allowed := "an operator can send it nowhere from there; see what it waits for: crowbar node why " + x.Node
	if len(ways) > 0 {
		allowed = "an operator can send it to " + strings.Join(ways, ", ")
	}
	if errors.Is(cause, crowbar.ErrInvalid) {
		return fmt.Errorf("%w: no state is called %q; %s is in %s, and %s", crowbar.ErrInvalid, state, x.Node, x.State, allowed)
	}
	return fmt.Errorf("%w: %s cannot go from %s to %s by an operator's word; %s", crowbar.ErrRefused, x.Node, x.State, state, allowed)
}

// report, orders and authorize are for the node itself.
func (a *api) report(w http.ResponseWriter, r *http.Request) error {
	var body client.Report
	if err := decode(w, r, maxBody, &body); err != nil {
		return err
	}
	n, err := a.Engine.Report(r.Context(), r.PathValue("node"), bearer(r), crowbar.Report(body))
	if err != nil {
		return err
	}
	return ok(w, wireOrders(n))
}

// maxWait bounds a long poll, so that a connection which died unseen is not kept for ever. It
// is real time, as of all network traffic.
const maxWait = time.Minute

func (a *api) orders(w http.ResponseWriter, r *http.Request) error {
	visit, err := number(r, "visit")
	if err != nil {
		return err
	}
	wait := time.Duration(0)
	if given := r.URL.Query().Get("wait_seconds"); given != "" {
		seconds, err := strconv.ParseFloat(given, 64)
		if err != nil || !(seconds >= 0) { // not NaN either
			return fmt.Errorf("%w: wait_seconds=%s: expected a number from 0", errRequest, given)
		}
		wait = time.Duration(min(seconds, maxWait.Seconds()) * float64(time.Second))
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	n, err := a.Engine.AwaitOrders(ctx, r.PathValue("node"), bearer(r), visit)
	if err != nil && !(errors.Is(err, context.DeadlineExceeded) && r.Context().Err() == nil && n != nil) {
		return err
	}
	return ok(w, wireOrders(n))
}

func (a *api) authorize(w http.ResponseWriter, r *http.Request) error {
	var d barclamp.Destruction
	if err := decode(w, r, maxBody, &d); err != nil {
		return err
	}
	if err := a.Engine.AuthorizeNode(r.Context(), r.PathValue("node"), bearer(r), d); err != nil {
		return err
	}
	return ok(w, struct{}{})
}
