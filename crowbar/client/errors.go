package client

import (
	"errors"
	"strings"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// What the server's answers mean; an *Error matches one of them.
var (
	// ErrNotFound: there is no such node, barclamp, proposal, revision or job.
	ErrNotFound = errors.New("client: not found")
	// ErrConflict: somebody else was faster, or ErrExists. Look again, then decide anew.
	ErrConflict = errors.New("client: conflict")
	// ErrExists: what was to be made is there already. It is an ErrConflict, too.
	ErrExists = errors.New("client: exists already")
	// ErrRefused: a rule says no. Nothing was done.
	ErrRefused = errors.New("client: refused")
	// ErrInvalid: the request or the document in it is wrong; Error.Problems says where.
	ErrInvalid = errors.New("client: invalid")
	// ErrUnauthorized: the token is missing, wrong, or of an earlier boot of the node.
	ErrUnauthorized = errors.New("client: unauthorized")
	// ErrUnreachable: no answer, or the server is stopping.
	ErrUnreachable = errors.New("client: server not reachable")
	// ErrConfig: New was given something unusable.
	ErrConfig = errors.New("client: wrong configuration")
)

// The codes of the error body, and what each matches.
const (
	CodeNotFound     = "not_found"
	CodeNoPath       = "no_path" // the API has no such path: the server's address may be wrong
	CodeConflict     = "conflict"
	CodeExists       = "exists"
	CodeRefused      = "refused"
	CodeInvalid      = "invalid"
	CodeUnauthorized = "unauthorized"
	CodeUnavailable  = "unavailable" // the server is stopping, or did not answer at all
	CodeInternal     = "internal"    // the server's log has the cause
)

// Error is an answer that says no: {"error":{"code","message","problems":[…]}}.
type Error struct {
	Status   int                // of HTTP; 0 if there was no answer
	Code     string             // one of the codes above
	Message  string             // one sentence with the remedy
	Problems []proposal.Problem // everything wrong with a document, each with its path
	// Conflicts are the places where a save contradicts what others saved meanwhile.
	Conflicts []proposal.Conflict

	cause error
}

// Error returns the message, and a line for each problem and conflict.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.String())
	}
	for _, c := range e.Conflicts {
		b.WriteString("\n  " + c.String())
	}
	return b.String()
}

// Is matches the sentinel of the code.
func (e *Error) Is(target error) bool {
	switch e.Code {
	case CodeNotFound, CodeNoPath:
		return target == ErrNotFound
	case CodeConflict:
		return target == ErrConflict
	case CodeExists:
		return target == ErrExists || target == ErrConflict
	case CodeRefused:
		return target == ErrRefused
	case CodeInvalid:
		return target == ErrInvalid
	case CodeUnauthorized:
		return target == ErrUnauthorized
	case CodeUnavailable:
		return target == ErrUnreachable
	}
	return false
}

// Unwrap returns why there was no answer, if so.
func (e *Error) Unwrap() error { return e.cause }

// ErrorBody is the value of "error" in the body of every answer that says no.
type ErrorBody struct {
	Code      string              `json:"code"`
	Message   string              `json:"message"`
	Problems  []proposal.Problem  `json:"problems,omitempty"`
	Conflicts []proposal.Conflict `json:"conflicts,omitempty"`
}
