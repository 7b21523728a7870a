package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/internal/wording"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// A hardwareError is an error of a BMC as a sentence with the place and the remedy.
type hardwareError struct {
	text     string
	problems []proposal.Problem // of a profile
	beside   map[string]any     // what programs get beside the error
	err      error
}

func (e *hardwareError) Error() string { return e.text }

func (e *hardwareError) Unwrap() error { return e.err }

// code is the kind of the error, for programs.
func (e *hardwareError) code() string {
	if said := (*client.Error)(nil); errors.As(e.err, &said) {
		return said.Code
	}
	if certificate := (*redfish.CertificateError)(nil); errors.As(e.err, &certificate) {
		return "certificate"
	}
	for _, kind := range []struct {
		err  error
		code string
	}{
		{context.Canceled, "interrupted"}, {hardware.ErrStalePlan, "stale_plan"}, {hardware.ErrNotAuthorized, "not_authorized"},
		{hardware.ErrInvalid, client.CodeInvalid}, {hardware.ErrUnauthorized, client.CodeUnauthorized},
		{hardware.ErrUnknownOutcome, "unknown_outcome"}, {hardware.ErrNotConverged, "not_converged"}, {hardware.ErrUnsupported, "unsupported"},
		{hardware.ErrRejected, "rejected"}, {hardware.ErrUnreachable, "unreachable"},
	} {
		if errors.Is(e.err, kind.err) {
			return kind.code
		}
	}
	return "failed"
}

// hardwarePrefix is how errors of hardware name their packages.
var hardwarePrefix = regexp.MustCompile(`(^|[^\w.-])(?:redfish|hardware): `)

// hardwareText is an error without the names of packages.
func hardwareText(err error) string {
	return hardwarePrefix.ReplaceAllString(err.Error(), "$1")
}

// explained makes the sentence of an error.
func (m *machines) explained(err error) error {
	if said := (*hardwareError)(nil); err == nil || err == errChanges || errors.As(err, &said) {
		return err
	}
	if said := (*client.Error)(nil); errors.As(err, &said) {
		return &hardwareError{text: m.explain(err), problems: said.Problems, err: err}
	}
	if invalid := (*hardware.ValidationError)(nil); errors.As(err, &invalid) && !errors.Is(err, hardware.ErrStalePlan) {
		return m.invalidProfile(invalid, err)
	}
	if certificate := (*redfish.CertificateError)(nil); errors.As(err, &certificate) {
		return &hardwareError{text: m.distrust(certificate), err: err}
	}
	if m.pins != nil {
		if broken := m.pins.err.Load(); broken != nil {
			return &hardwareError{text: fmt.Sprintf("--pin-file: %v", *broken), err: err}
		}
	}
	text, remedy := hardwareText(err), ""
	switch {
	case errors.Is(err, context.Canceled):
		text = "interrupted"
	case errors.Is(err, hardware.ErrUnauthorized) && m.user == "":
		remedy = "give an account with --user"
	case errors.Is(err, hardware.ErrUnauthorized):
		remedy = "check --user and the password, and what that account may do"
	case errors.Is(err, hardware.ErrStalePlan):
		remedy = "look at what it is now: crowbar hardware plan"
	case errors.Is(err, hardware.ErrUnknownOutcome), errors.Is(err, hardware.ErrNotConverged):
		remedy = "give the same command again: it looks what is there first"
	case errors.Is(err, hardware.ErrUnreachable) && (strings.Contains(text, "does not look like a TLS handshake") || strings.Contains(text, "HTTP response to HTTPS client")):
		remedy = "what answers there speaks plain HTTP; if that is meant, give http:// in --bmc"
	case errors.Is(err, hardware.ErrRejected) && strings.Contains(text, "HTTP request to an HTTPS server"):
		remedy = "give https:// in --bmc"
	case errors.Is(err, hardware.ErrUnreachable):
		remedy = "check --bmc and the network"
	}
	if remedy != "" {
		text += "; " + remedy
	}
	return &hardwareError{text: text, err: err}
}

// invalidProfile lists all problems, each with its path.
func (m *machines) invalidProfile(invalid *hardware.ValidationError, err error) error {
	where := m.file
	if m.target.Node != "" {
		where += " cannot be had on " + m.target.Node
	}
	e := &hardwareError{err: err}
	text := []string{}
	for _, p := range invalid.Problems {
		e.problems = append(e.problems, proposal.Problem(p))
		text = append(text, oneLine(p.Error()))
	}
	if len(text) == 1 {
		e.text = where + ": " + text[0]
		return e
	}
	e.text = fmt.Sprintf("%s: %s\n  %s", where, wording.Count(len(text), "problem"), strings.Join(text, "\n  "))
	return e
}

// distrust says why a certificate is refused, and what to do if it is good all the same.
func (m *machines) distrust(e *redfish.CertificateError) string {
	if e.Known != "" {
		line := pinLine(m.pinFile, e.Address)
		return fmt.Sprintf("the certificate of %s is not the one on record: it is SHA-256 %s, and %s has %s in line %d. "+
			"Nothing was sent. If it was renewed on purpose, remove that line; else somebody may be in between",
			e.Address, e.Offered, m.pinFile, e.Known, line)
	}
	return fmt.Sprintf("the certificate of %s is not trusted: %v. Nothing was sent. Its SHA-256 is %s; "+
		"give the CA that signed it with --ca, or record it with --pin-file", e.Address, e.Cause, e.Offered)
}
