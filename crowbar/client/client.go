package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/user"
	"strings"
	"time"
	"unicode"
)

// DefaultURL is where a crowbar-server listens unless it is told otherwise.
const DefaultURL = "http://127.0.0.1:3000"

// maxAnswer bounds what is read of one answer that is no stream.
const maxAnswer = 256 << 20

// Config says which server to talk to, and as whom. The zero value is the local server.
type Config struct {
	// BaseURL of the server, default DefaultURL. A path in it is kept.
	BaseURL string
	// Transport carries the requests; nil is a new one. Proxies of the environment are not
	// used: a machine of the site must be reached directly.
	Transport http.RoundTripper
	// Token of a node's boot, which its boot script told. Operators have none.
	Token string
	// User is who acts, for the server's events; default is the user of the operating
	// system. It proves nothing.
	User string
	// UserAgent is sent as such; default "crowbarkit".
	UserAgent string
}

// A Client asks one server.
type Client struct {
	base   *url.URL
	http   *http.Client
	config Config
}

// New checks the configuration and connects to nothing yet. Errors match ErrConfig.
func New(config Config) (*Client, error) {
	if config.BaseURL == "" {
		config.BaseURL = DefaultURL
	}
	base, err := url.Parse(strings.TrimRight(config.BaseURL, "/"))
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("%w: server %q is no URL; give one like %s", ErrConfig, config.BaseURL, DefaultURL)
	}
	base.RawQuery, base.Fragment = "", ""
	if config.Transport == nil {
		config.Transport = &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout: 10 * time.Second,
			IdleConnTimeout:     90 * time.Second,
			MaxIdleConnsPerHost: 8,
		}
	}
	if config.User == "" && config.Token == "" {
		config.User = osUser()
	}
	if config.UserAgent == "" {
		config.UserAgent = "crowbarkit"
	}
	for name, value := range map[string]string{"user": config.User, "token": config.Token, "user agent": config.UserAgent} {
		if strings.ContainsFunc(value, unicode.IsControl) {
			return nil, fmt.Errorf("%w: the %s has control characters", ErrConfig, name)
		}
	}
	return &Client{base: base, http: &http.Client{Transport: config.Transport}, config: config}, nil
}

func osUser() string {
	u, err := user.Current()
	if err != nil || u.Username == "" {
		return "operator"
	}
	return u.Username
}

// URL is the server's.
func (c *Client) URL() string { return c.base.String() }

// Close gives idle connections back; the client can be used even so.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// request is one call of the API.
type request struct {
	method string
	path   []string // elements, not escaped
	query  url.Values
	body   []byte // JSON; nil: none
	header http.Header
}

// at makes the path of an API call.
func at(elements ...string) []string { return append([]string{"api", "v1"}, elements...) }

// call sends body as JSON and decodes the answer; either may be nil.
func (c *Client) call(ctx context.Context, r request, body, answer any) error {
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("%w: request: %w", ErrInvalid, err)
		}
		r.body = raw
	}
	response, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return c.unreachable(ctx, err)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return c.stranger(response, err)
	}
	return nil
}

// send returns the response if its status is of the 2xx; its body must be closed.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	response, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 == 2 {
		return response, nil
	}
	defer response.Body.Close()
	return nil, c.refusal(response)
}

// do returns whatever was answered; its body must be closed.
func (c *Client) do(ctx context.Context, r request) (*http.Response, error) {
	elements := make([]string, len(r.path))
	for i, e := range r.path {
		if e == "" || e == "." || e == ".." { // JoinPath would leave the path
			return nil, &Error{Code: CodeInvalid, Message: fmt.Sprintf("%q is no name", e)}
		}
		elements[i] = url.PathEscape(e)
	}
	target := c.base.JoinPath(elements...)
	target.RawQuery = r.query.Encode()
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	request, err := http.NewRequestWithContext(ctx, r.method, target.String(), body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	for name, values := range r.header {
		request.Header[name] = values
	}
	if r.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if request.Header.Get("Accept") == "" {
		request.Header.Set("Accept", "application/json")
	}
	request.Header.Set("User-Agent", c.config.UserAgent)
	if c.config.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.config.Token)
	}
	if c.config.User != "" {
		request.Header.Set("X-Crowbar-User", c.config.User)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	return response, nil
}

// one asks for a single object.
func one[T any](ctx context.Context, c *Client, r request, body any) (*T, error) {
	var answer T
	if err := c.call(ctx, r, body, &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}

// many asks for a list.
func many[T any](ctx context.Context, c *Client, r request) ([]T, error) {
	var answer []T
	err := c.call(ctx, r, nil, &answer)
	return answer, err
}

// refusal reads {"error":{…}}.
func (c *Client) refusal(response *http.Response) error {
	raw, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	var answer struct {
		Error *ErrorBody `json:"error"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &answer)
	}
	if err != nil || answer.Error == nil || answer.Error.Code == "" {
		return c.stranger(response, err)
	}
	if answer.Error.Code == CodeNoPath {
		answer.Error.Message += fmt.Sprintf("; is %s the server's address? give --server or CROWBAR_SERVER", c.base.Redacted())
	}
	return &Error{
		Status:    response.StatusCode,
		Code:      answer.Error.Code,
		Message:   answer.Error.Message,
		Problems:  answer.Error.Problems,
		Conflicts: answer.Error.Conflicts,
	}
}

func (c *Client) stranger(response *http.Response, cause error) error {
	return &Error{
		Status:  response.StatusCode,
		Code:    CodeInternal,
		Message: fmt.Sprintf("%s answered %s and nothing that a crowbar-server says; is this its address? give --server or CROWBAR_SERVER", c.base.Redacted(), response.Status),
		cause:   cause,
	}
}

func (c *Client) unreachable(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var wrapped *url.Error
	if errors.As(cause, &wrapped) { // it would repeat method and URL
		cause = wrapped.Err
	}
	return &Error{
		Code:    CodeUnavailable,
		Message: fmt.Sprintf("no answer from %s (%v): is crowbar-server running? give --server or CROWBAR_SERVER", c.base.Redacted(), cause),
		cause:   cause,
	}
}
