package redfish

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"

	"github.com/stmcginnis/gofish/schemas"

	"github.com/crowbarkit/crowbarkit/hardware"
)

var errNoLink = errors.New("the service has no link to it")

// requestError is a failed request with credentials removed. Its kind is one of the
// hardware errors.
type requestError struct {
	text   string
	kind   error
	status int   // 0 without an answer
	unsent bool  // it certainly never reached the BMC
	cause  error // what errors.Is and As may find besides, or nil
}

func (e *requestError) Error() string { return e.text }

func (e *requestError) Unwrap() []error {
	if e.cause != nil {
		return []error{e.kind, e.cause}
	}
	return []error{e.kind}
}

// fail says what a request's error means.
func (n *conn) fail(ctx context.Context, doing string, err error) error {
	var known *requestError
	if errors.As(err, &known) {
		return known
	}
	e := &requestError{kind: hardware.ErrUnreachable, status: statusOf(err), cause: ctx.Err()}
	message := err.Error()
	var certificate *CertificateError
	var unsent *unsentError
	switch {
	case errors.Is(err, errNoLink):
		e.kind, e.unsent = hardware.ErrUnsupported, true
	case errors.As(err, &certificate):
		e.unsent, e.cause, message = true, certificate, certificate.Error()
	case e.status == http.StatusUnauthorized, e.status == http.StatusForbidden && !isChange(doing):
		e.kind = hardware.ErrUnauthorized
	case e.status == http.StatusNotFound || e.status == http.StatusMethodNotAllowed || e.status == http.StatusNotImplemented:
		e.kind = hardware.ErrUnsupported
	case e.status != 0:
		e.kind = hardware.ErrRejected
	default:
		var op *net.OpError
		e.unsent = errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &op) && op.Op == "dial" || errors.As(err, &unsent)
	}
	var answered *schemas.Error
	if errors.As(err, &answered) {
		message = answer(answered)
	}
	e.text = fmt.Sprintf("redfish: %s: %s: %v: %s", n.target.Node, doing, e.kind, n.brief(message))
	return e
}

// isChange tells the refusal of a change from that of an account: 403 is also what a missing
// licence is answered with (Supermicro, metal3-io/ironic-image#688).
func isChange(doing string) bool {
	method, _, _ := strings.Cut(doing, " ")
	return method == http.MethodPatch || method == http.MethodPost || method == http.MethodDelete
}

// answer is what the BMC said.
func answer(e *schemas.Error) string {
	text := e.Message
	for _, info := range e.ExtendedInfos {
		if info.Message != "" {
			text = info.Message
			break
		}
	}
	return strings.TrimSpace(strconv.Itoa(e.HTTPReturnedStatusCode) + " " + text)
}

// brief is a text without the credentials, on one line that is not too long. They are taken out
// first: what is cut or folded is not recognised.
func (n *conn) brief(text string) string {
	text = strings.Join(strings.Fields(n.scrub(text)), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return text
}

// scrub removes the credentials from a text that may quote a request.
func (n *conn) scrub(text string) string {
	quoted, _ := json.Marshal(n.wire.password)
	quoted = quoted[1 : len(quoted)-1]
	basic := base64.StdEncoding.EncodeToString([]byte(n.wire.user + ":" + n.wire.password))
	for _, secret := range []string{n.wire.password, string(quoted), basic, n.wire.token} {
		if secret != "" && secret != "Og==" { // base64 of ":"
			text = strings.ReplaceAll(text, secret, "[redacted]")
		}
	}
	return text
}

func statusOf(err error) int {
	var e *schemas.Error
	if errors.As(err, &e) {
		return e.HTTPReturnedStatusCode
	}
	var r *requestError
	if errors.As(err, &r) {
		return r.status
	}
	return 0
}

// passing reports whether a failed read may succeed later: a BMC that restarts refuses
// connections, answers 503, or does not know its own resources yet.
func passing(err error) bool {
	var e *requestError
	var certificate *CertificateError
	return errors.As(err, &e) && !errors.As(err, &certificate) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) &&
		(e.status == 0 && e.kind != hardware.ErrRejected || e.status >= 500 || e.status == http.StatusTooManyRequests || e.status == http.StatusNotFound || e.status == http.StatusConflict)
}

// doubtful reports whether a failed change may have taken effect all the same.
func doubtful(err error) bool {
	var e *requestError
	return errors.As(err, &e) && !e.unsent && (e.status == 0 || e.status >= 500 && e.status != http.StatusNotImplemented)
}

func unknown(node, op string, err error) error {
	return fmt.Errorf("redfish: %s: %s: %w: %w", node, op, hardware.ErrUnknownOutcome, err)
}
