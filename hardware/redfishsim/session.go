package redfishsim

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
)

// Sessions returns how many sessions are open.
func (b *BMC) Sessions() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sessions)
}

// DropSessions ends all sessions, as a restart of the BMC does.
func (b *BMC) DropSessions() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.sessions)
}

// allowed checks the session token or Basic credentials. The service root and the login are
// open to all (DSP0266, 13.3).
func (b *BMC) allowed(r *request) bool {
	if r.path == "" || r.path == sessionsPath && r.Method == http.MethodPost {
		return true
	}
	if token := r.Header.Get("X-Auth-Token"); token != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, t := range b.sessions {
			if subtle.ConstantTimeCompare([]byte(t), []byte(token)) == 1 {
				return true
			}
		}
		return false
	}
	user, password, ok := r.BasicAuth()
	return ok && b.known(user, password)
}

func (b *BMC) known(user, password string) bool {
	same := func(x, y string) int { return subtle.ConstantTimeCompare([]byte(x), []byte(y)) }
	return same(user, b.config.Username)&same(password, b.config.Password) == 1
}

func (b *BMC) login(r *request) answer {
	var cred struct{ UserName, Password string }
	if err := json.Unmarshal(r.body, &cred); err != nil || !b.known(cred.UserName, cred.Password) {
		return general(http.StatusUnauthorized, "user name or password is wrong")
	}
	limit := b.Knobs().SessionLimit
	if limit == 0 {
		limit = b.config.SessionLimit
	}
	b.mu.Lock()
	if len(b.sessions) >= limit {
		b.mu.Unlock()
		return problem(http.StatusServiceUnavailable, b.p.sessionsFull)
	}
	id, token := fmt.Sprint(b.nextID), rand.Text()
	b.nextID++
	b.sessions[id] = token
	b.mu.Unlock()
	path := sessionsPath + "/" + id
	a := b.get(r, path)
	a.status = http.StatusCreated
	a.header = http.Header{"X-Auth-Token": {token}, "Location": {b.uri(path)}}
	return a
}

func (b *BMC) logout(id string) answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.sessions[id]; !ok {
		return general(http.StatusNotFound, "no such session")
	}
	delete(b.sessions, id)
	return answer{status: http.StatusNoContent}
}
