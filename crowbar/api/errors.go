package api

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/statemachine"
)

// What is wrong with requests, whatever the engine would say.
var (
	errRequest       = errors.New("request")
	errMethod        = errors.New("this path does not take that method")
	errNoRoute       = errors.New("no such path; the API is under /api/v1/ and /crowbar/")
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
	case is(crowbar.ErrNotFound, proposal.ErrNotFound, barclamp.ErrNoBarclamp, errNoRoute):
		return verdict{http.StatusNotFound, client.CodeNotFound}
	case is(crowbar.ErrConflict, proposal.ErrConflict, barclamp.ErrPlanChanged, statemachine.ErrStale):
		return verdict{http.StatusConflict, client.CodeConflict}
	case is(crowbar.ErrRefused, crowbar.ErrNoPlan, statemachine.ErrNotAllowed, statemachine.ErrGuard):
		return verdict{http.StatusForbidden, client.CodeRefused}
	case is(errRequest, crowbar.ErrInvalid, crowbar.ErrLimit, proposal.ErrInvalid, proposal.ErrPath,
		proposal.ErrOtherBarclamp):
		return verdict{http.StatusBadRequest, client.CodeInvalid}
	case r.Context().Err() != nil, is(crowbar.ErrClosed):
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
	default:
		body.Message, body.Problems = say(err)
	}
	if isCrowbarPath(r) {
		text := body.Message
		for _, p := range body.Problems {
			text += "\n" + p.String()
		}
		reply(w, v.status, map[string]string{"error": text})
		return
	}
	reply(w, v.status, map[string]client.ErrorBody{"error": body})
}

// say gives an error's message and, apart from it, what is wrong with a document.
func say(err error) (string, []proposal.Problem) {
	message := err.Error()
	var problems []proposal.Problem
	var invalid *proposal.ValidationError
	if errors.As(err, &invalid) {
		problems = invalid.Problems
		count := "1 problem"
		if n := len(problems); n > 1 {
			count = fmt.Sprintf("%d problems", n)
		}
		message = strings.Replace(message, invalid.Error(), count, 1)
	}
	return packageNames.ReplaceAllString(message, "$1"), problems
}

// packageNames is what errors name their package by; people are told without.
var packageNames = regexp.MustCompile(`(^|: )(?:(?:crowbar|statemachine|proposal|barclamp): )+`)
