package redfish

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/tidwall/gjson"
)

func (n *conn) credentials(ctx context.Context) (user, password string, err error) {
	if n.target.Credentials == nil {
		return "", "", nil
	}
	if user, password, err = n.target.Credentials(ctx); err != nil {
		return "", "", fmt.Errorf("redfish: %s: get credentials: %w", n.target.Node, err)
	}
	return user, password, nil
}

// login opens a session. The request outlives ctx, up to RequestTimeout: a session whose
// opening nobody waited for could not be closed.
func (n *conn) login(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return n.fail(ctx, "log in", err)
	}
	n.wire.token, n.wire.basic = "", false
	if sessions := local(n.root.Get(`Links.Sessions.\@odata\.id`).String()); sessions != "" {
		api := n.client.WithContext(context.WithoutCancel(ctx))
		resp, err := api.Post(sessions, map[string]string{"UserName": n.wire.user, "Password": n.wire.password})
		switch status := statusOf(err); {
		case err == nil:
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if token := resp.Header.Get("X-Auth-Token"); token != "" {
				n.wire.token, n.session = token, sessionURI(resp.Header, body)
				return nil
			}
		case status == http.StatusUnauthorized || status == http.StatusForbidden || status == 0:
			return n.fail(ctx, "log in", err)
		}
		// No session service, or all sessions taken (iDRAC answers 503, RAC0218).
		n.c.log.Debug("redfish: no session, using basic authentication", "node", n.target.Node, "status", statusOf(err))
	}
	n.wire.basic = true
	return nil
}

// sessionURI is where a new session is ended: where DSP0266 has it, else where the body says.
func sessionURI(header http.Header, body []byte) string {
	if uri := header.Get("Location"); uri != "" {
		return local(uri)
	}
	if !json.Valid(body) {
		return ""
	}
	return local(id(gjson.ParseBytes(body)))
}

// renew logs in again in place of a session that the BMC does not take any more. One that is
// refused right after that is refused for another reason: then it is left at that, and so that no
// request can fill the BMC with sessions, the old one is ended.
func (n *conn) renew(ctx context.Context) error {
	var err error
	if n.wire.user, n.wire.password, err = n.credentials(ctx); err != nil {
		return err
	}
	old := n.session
	n.session = ""
	if err := n.login(ctx); err != nil {
		n.session = old
		return err
	}
	n.refused = n.c.clock.Now().Sub(n.renewed) < time.Minute
	n.renewed = n.c.clock.Now()
	if n.session != "" {
		n.end(ctx, old)
	}
	return nil
}

// logout ends the session, also when ctx has ended, and once more if that fails: BMCs have few
// sessions to lose.
func (n *conn) logout(ctx context.Context) {
	for range 2 {
		if n.session == "" {
			return
		}
		err := n.end(ctx, n.session)
		if status := statusOf(err); err == nil || status == http.StatusNotFound || status == http.StatusUnauthorized {
			n.session = ""
			return
		}
		n.c.log.Warn("redfish: logout failed", "node", n.target.Node, "error", n.brief(err.Error()))
	}
}

func (n *conn) end(ctx context.Context, session string) error {
	refused := n.refused
	n.refused = true // a session that cannot be ended is no reason to open another
	resp, err := n.send(context.WithoutCancel(ctx), http.MethodDelete, session, nil, nil)
	n.refused = refused
	if err == nil {
		resp.Body.Close()
	}
	return err
}
