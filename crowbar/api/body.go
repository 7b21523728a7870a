package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Bounds of request bodies in bytes.
const (
	maxBody     = 1 << 20
	maxDocument = 10 << 20 // where a proposal's document may be in it
)

// bodyTimeout is how long a client may take to send a body.
const bodyTimeout = time.Minute

// readBody reads a JSON body of bounded size. A missing Content-Type is taken for JSON.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if given := r.Header.Get("Content-Type"); given != "" {
		if kind, _, err := mime.ParseMediaType(given); err != nil || kind != "application/json" {
			return nil, fmt.Errorf("%w: content type %q; send application/json", errRequest, given)
		}
	}
	// A writer that is not of a connection has no deadlines.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, fmt.Errorf("%w: body: larger than %d MB: %w", errRequest, limit>>20, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: body: %w", errRequest, err)
	}
	return raw, nil
}

// decode reads one JSON object whose members are all known; an empty body leaves into as it is.
func decode(w http.ResponseWriter, r *http.Request, limit int64, into any) error {
	raw, err := readBody(w, r, limit)
	if err != nil || len(bytes.TrimSpace(raw)) == 0 {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: body: %s", errRequest, strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: body: more than one JSON value", errRequest)
	}
	return nil
}

// number reads a parameter of the query that is a whole number from 0; absent is 0.
func number(r *http.Request, name string) (int64, error) {
	given := r.URL.Query().Get(name)
	if given == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(given, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: %s=%s: expected a whole number from 0", errRequest, name, given)
	}
	return n, nil
}

// revisionNumber is number for a revision.
func revisionNumber(r *http.Request, name string) (int, error) {
	n, err := number(r, name)
	if n > 1<<31-1 {
		return 0, fmt.Errorf("%w: %s=%d: there are not so many revisions", errRequest, name, n)
	}
	return int(n), err
}

// reply sends a value as JSON.
func reply(w http.ResponseWriter, status int, value any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // documents are shown with the characters they have
	if err := encoder.Encode(value); err != nil {
		status = http.StatusInternalServerError
		body.Reset()
		body.WriteString(`{"error":{"code":"internal","message":"the answer cannot be written"}}`)
	}
	write(w, status, body.Bytes())
}

// write sends JSON text as it is.
func write(w http.ResponseWriter, status int, text []byte) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(text)))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(text) // an error: the client went away
}

// ok is reply with 200.
func ok(w http.ResponseWriter, value any) error {
	reply(w, http.StatusOK, value)
	return nil
}

// actor is who an operator says he is. The names of those who are no operators are not his.
func actor(r *http.Request) string {
	name := strings.TrimSpace(r.Header.Get("X-Crowbar-User"))
	switch {
	case name == "", len(name) > 64, strings.ContainsFunc(name, unicode.IsControl),
		name == "engine", name == "node", name == "bmc":
		return "operator"
	}
	return name
}

// bearer is the token of a node's boot.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// cut separates the method from a pattern.
func cut(pattern string) (method, path string) {
	method, path, _ = strings.Cut(pattern, " ")
	return method, path
}

// each converts a list; the result is never nil, so that JSON has [] for none.
func each[From, To any](list []From, convert func(From) To) []To {
	converted := make([]To, len(list))
	for i, v := range list {
		converted[i] = convert(v)
	}
	return converted
}
