// Package api serves an engine over HTTP.
//
//   - /api/v1/ is the API of this project, whose wire types package client holds.
//   - /crowbar/ has Crowbar's own verbs with Crowbar's replies, as far as the engine does them.
//   - /boot/ipxe tells machines what to boot.
//
// New makes the handler of a Config:
//
//	handler, err := api.New(api.Config{Engine: engine, Booter: booter})
//	server := &http.Server{Handler: handler, BaseContext: func(net.Listener) context.Context { return ctx }}
//
// Streams (events, a job) and the waiting of agents end with the request's context: a server
// that wants to stop ends BaseContext first.
//
// Operators are not authenticated: listen where operators alone can come, as on the loopback
// address. Web pages of other origins are refused. Nodes speak with the token of their boot.
//
// # Errors
//
// New returns an error for a Config without engine. An answer that says no is
// {"error":{"code","message","problems"}} under /api/v1/ and {"error":"message"} under
// /crowbar/: 400 invalid, 401 unauthorized, 403 refused, 404 not_found or no_path, 405 and 413
// invalid, 409 conflict or exists, 503 unavailable, and 500 internal, whose cause only the log has.
//
// # Concurrency
//
// The handler may be used by many goroutines. What it starts for a request ends with it.
package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/internal/clock"
	"github.com/crowbarkit/crowbarkit/pxe"
)

// Config is what the handler serves. Engine must be given.
type Config struct {
	Engine *crowbar.Engine
	// Booter decides what machines boot; nil: every machine boots its local disk.
	Booter pxe.Booter
	// Version of the server, as /api/v1/status shows it.
	Version string
	// Clock of the engine, for the time that nodes spend in states; nil is the system's.
	Clock Clock
	// Logger is told of failures whose cause no answer shows; nil is silent.
	Logger *slog.Logger
}

// Clock is the engine's.
type Clock interface {
	Now() time.Time
}

// api is the handler's state, which does not change.
type api struct {
	Config
	mux  *http.ServeMux
	boot http.Handler
}

// New makes the handler.
func New(config Config) (http.Handler, error) {
	if config.Engine == nil {
		return nil, errors.New("api: Config.Engine is missing")
	}
	if config.Clock == nil {
		config.Clock = clock.System()
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Booter == nil {
		config.Booter = pxe.BooterFunc(func(context.Context, pxe.Client) (*pxe.Decision, error) {
			return &pxe.Decision{Reason: "this server boots nothing"}, nil
		})
	}
	a := &api{
		Config: config,
		mux:    http.NewServeMux(),
		boot:   pxe.Handler(config.Booter, &pxe.HandlerOptions{Logger: config.Logger}),
	}
	a.routes()
	a.crowbarRoutes()
	// A browser that an operator uses may show pages of anybody; they must not reach the API.
	guarded := http.NewCrossOriginProtection()
	guarded.SetDenyHandler(a.handler(func(http.ResponseWriter, *http.Request) error { return errForeignOrigin }))
	return guarded.Handler(a), nil
}

// ServeHTTP keeps machines from the mux, which would redirect a path with a doubled slash:
// firmware does not follow.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path.Clean(r.URL.Path) == pxe.Path {
		a.boot.ServeHTTP(w, r)
		return
	}
	if _, pattern := a.mux.Handler(r); pattern == "" {
		a.noRoute(w, r)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// noRoute says in JSON what the mux says in plain text.
func (a *api) noRoute(w http.ResponseWriter, r *http.Request) {
	said := &statusOnly{header: http.Header{}}
	a.mux.ServeHTTP(said, r)
	if said.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", said.header.Get("Allow"))
		a.fail(w, r, errMethod)
		return
	}
	a.fail(w, r, fmt.Errorf("%w: %s; the API is under /api/v1/ and /crowbar/", errNoRoute, r.URL.Path))
}

// statusOnly is an http.ResponseWriter that drops the body.
type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header         { return s.header }
func (s *statusOnly) WriteHeader(status int)      { s.status = status }
func (s *statusOnly) Write(p []byte) (int, error) { return len(p), nil }

// routes are those of /api/v1/.
func (a *api) routes() {
	for pattern, serve := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /status": a.status,

		"GET /nodes":                    a.nodes,
		"GET /nodes/{node}":             a.node,
		"GET /nodes/{node}/why":         a.why,
		"GET /nodes/{node}/plan":        a.plan,
		"POST /nodes/{node}/allocate":   a.allocate,
		"POST /nodes/{node}/transition": a.transition,

		"POST /nodes/{node}/report":    a.report,
		"GET /nodes/{node}/orders":     a.orders,
		"POST /nodes/{node}/authorize": a.authorize,

		"GET /barclamps":            a.barclamps,
		"GET /barclamps/{barclamp}": a.barclamp,

		"GET /proposals":                             query(a.proposals, "barclamp"),
		"POST /proposals":                            query(a.createProposal),
		"POST /proposals/import":                     query(a.importProposal, "name", "message", "base"),
		"POST /proposals/validate":                   query(a.validateDocument),
		"GET /proposals/{barclamp}/{name}":           query(a.proposal, "revision"),
		"PUT /proposals/{barclamp}/{name}":           query(a.saveProposal, "message", "base"),
		"GET /proposals/{barclamp}/{name}/document":  query(a.document, "revision"),
		"GET /proposals/{barclamp}/{name}/history":   query(a.history, "before", "limit"),
		"GET /proposals/{barclamp}/{name}/diff":      query(a.diff, "from", "to"),
		"GET /proposals/{barclamp}/{name}/validate":  query(a.validateProposal, "revision"),
		"GET /proposals/{barclamp}/{name}/plan":      query(a.planProposal, "revision"),
		"POST /proposals/{barclamp}/{name}/merge":    query(anyRevision(a.mergeProposal)),
		"POST /proposals/{barclamp}/{name}/rollback": query(anyRevision(a.rollback)),
		"POST /proposals/{barclamp}/{name}/commit":   query(anyRevision(a.commit)),

		"GET /jobs":       a.jobs,
		"GET /jobs/{job}": a.job,
		"GET /events":     a.events,

		"POST /engine/pause":  a.pause,
		"POST /engine/resume": a.resume,
	} {
		a.handle(pattern, "/api/v1", serve)
	}
}

// handle registers a pattern below a base path.
func (a *api) handle(pattern, base string, serve func(http.ResponseWriter, *http.Request) error) {
	method, rest := cut(pattern)
	a.mux.Handle(method+" "+base+rest, a.handler(serve))
}

// anyRevision refuses what is sent for one revision only: these verbs say in the body which
// revisions they are about.
func anyRevision(serve func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Header.Get("If-Match") != "" || r.Header.Get("If-None-Match") != "" {
			return fmt.Errorf("%w: If-Match and If-None-Match are of use with PUT only; the body says which revision this is about", errRequest)
		}
		return serve(w, r)
	}
}

// query lets requests through whose query has no other names than these: one that is mistyped
// would be ignored, and a save without its base overwrites.
func query(serve func(http.ResponseWriter, *http.Request) error, names ...string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		for _, name := range slices.Sorted(maps.Keys(r.URL.Query())) {
			if !slices.Contains(names, name) {
				return fmt.Errorf("%w: query %q is not known here; known: %s", errRequest, name, cmp.Or(strings.Join(names, ", "), "none"))
			}
		}
		return serve(w, r)
	}
}

// handler answers with the error that serve returns, if it does.
func (a *api) handler(serve func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r); err != nil {
			a.fail(w, r, err)
		}
	})
}
