package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/internal/wording"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/statemachine"
)

// What is wrong with requests, whatever the engine would say.
var (
	errRequest       = errors.New("request")
	errMethod        = errors.New("this path does not take that method")
	errNoRoute       = errors.New("no such path")
	errExists        = errors.New("exists already")
	errPrecondition  = errors.New("not saved")
	errForeignOrigin = errors.New("requests from web pages of another origin are refused")
)

// verdict is what an error means to a client.
type verdict struct {
	status int
	code   string
}

// classify is the one place that says which status and code an error has.
func classify(r *http.Request, err error) verdict {
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return verdict{http.StatusRequestEntityTooLarge, client.CodeInvalid}
	case is(errMethod):
		return verdict{http.StatusMethodNotAllowed, client.CodeInvalid}
	case is(errForeignOrigin):
		return verdict{http.StatusForbidden, client.CodeRefused}
	case is(crowbar.ErrUnauthorized):
		return verdict{http.StatusUnauthorized, client.CodeUnauthorized}
	case is(errNoRoute):
		return verdict{http.StatusNotFound, client.CodeNoPath}
	case is(errPrecondition):
		return verdict{http.StatusPreconditionFailed, client.CodeConflict}
	case is(errExists):
		return verdict{http.StatusConflict, client.CodeExists}
	case is(crowbar.ErrNotFound, proposal.ErrNotFound, barclamp.ErrNoBarclamp):
		return verdict{http.StatusNotFound, client.CodeNotFound}
	case is(crowbar.ErrConflict, proposal.ErrConflict, barclamp.ErrPlanChanged, statemachine.ErrStale):
		return verdict{http.StatusConflict, client.CodeConflict}
	case is(crowbar.ErrRefused, crowbar.ErrNoPlan, statemachine.ErrNotAllowed, statemachine.ErrGuard):
		return verdict{http.StatusForbidden, client.CodeRefused}
	case is(errRequest, crowbar.ErrInvalid, crowbar.ErrLimit, proposal.ErrInvalid, proposal.ErrPath,
		proposal.ErrOtherBarclamp):
		return verdict{http.StatusBadRequest, client.CodeInvalid}
	case r.Context().Err() != nil, is(crowbar.ErrClosed, crowbar.ErrPaused):
		return verdict{http.StatusServiceUnavailable, client.CodeUnavailable}
	}
	return verdict{http.StatusInternalServerError, client.CodeInternal}
}

// fail answers with an error, in the shape of the path's API.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	v := classify(r, err)
	body := client.ErrorBody{Code: v.code}
	switch v.code {
	case client.CodeInternal:
		a.Logger.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		body.Message = "the server failed; its log says why"
	case client.CodeUnavailable:
		body.Message = "the server is stopping; try again"
		if errors.Is(err, crowbar.ErrPaused) {
			body.Message = wording.Error(err)
		}
	default:
		body.Message, body.Problems, body.Conflicts = say(err)
	}
	if isCrowbarPath(r) {
		text := body.Message
		for _, p := range body.Problems {
			text += "\n" + p.String()
		}
		for _, c := range body.Conflicts {
			text += "\n" + c.String()
		}
		reply(w, v.status, map[string]string{"error": text})
		return
	}
	reply(w, v.status, map[string]client.ErrorBody{"error": body})
}

// say gives an error's message and, apart from it, what is wrong with a document, or what in
// it contradicts another one.
func say(err error) (string, []proposal.Problem, []proposal.Conflict) {
	var invalid *proposal.ValidationError
	var conflicts *proposal.MergeError
	short := func(long error, count string) string {
		return wording.Error(errors.New(strings.Replace(err.Error(), long.Error(), count, 1)))
	}
	switch {
	case errors.As(err, &invalid):
		return short(invalid, wording.Count(len(invalid.Problems), "problem")), invalid.Problems, nil
	case errors.As(err, &conflicts):
		return short(conflicts, wording.Count(len(conflicts.Conflicts), "conflict")), nil, conflicts.Conflicts
	}
	return wording.Error(err), nil, nil
}
