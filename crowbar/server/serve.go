package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Bounds of the HTTP server. The API bounds the reading of bodies and each message of a stream
// by itself: a bound for all requests would cut streams off.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	stopTimeout       = 5 * time.Second // for requests that run when the server stops
)

// Serve answers and works until ctx ends or a part fails, and returns when everything has
// stopped and the store is closed. A ctx that ended is no error. It may be called once.
func (s *Server) Serve(ctx context.Context) error {
	// BMCs go on until the sessions on them are ended, the others stop before.
	bmcs, stopBMCs := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBMCs()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		parts, machines sync.WaitGroup
		mu              sync.Mutex
		errs            []error
	)
	run := func(ctx context.Context, parts *sync.WaitGroup, name string, part func(context.Context) error) {
		parts.Go(func() {
			defer cancel() // none goes on without the others
			err := part(ctx)
			if err == nil || errors.Is(err, context.Canceled) {
				return
			}
			s.log.Error("server part failed", "part", name, "error", err)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		})
	}
	run(ctx, &parts, "HTTP", s.serveHTTP)
	run(ctx, &parts, "engine", s.engine.Run)
	if s.site != nil {
		run(ctx, &parts, "simulated machines", s.site.Run)
		run(bmcs, &machines, "simulated BMCs", func(ctx context.Context) error { return s.site.ServeBMCs(ctx, s.bmcs) })
	}
	parts.Wait()
	if err := s.endSessions(bmcs); err != nil {
		errs = append(errs, err)
	}
	stopBMCs()
	machines.Wait()
	if err := s.Close(); err != nil {
		errs = append(errs, fmt.Errorf("close: %w", err))
	}
	return errors.Join(errs...)
}

// endSessions logs out of BMCs. One that does not answer keeps nobody from stopping for long.
func (s *Server) endSessions(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return s.redfish.Close(ctx)
}

func (s *Server) serveHTTP(ctx context.Context) error {
	server := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		// What waits in a request stops waiting when the server does.
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(s.listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		_ = server.Close() // what is left is cut off; that is not a failure of the server
	}
	<-ended
	return ctx.Err()
}
