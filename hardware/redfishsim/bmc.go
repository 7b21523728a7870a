package redfishsim

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Config of a BMC.
type Config struct {
	Machine  *Machine // required
	Username string   // required
	Password string   // required
	// SessionLimit is how many sessions may be open; one more is answered with 503, as
	// iDRAC does. 0 means 8.
	SessionLimit int
	// RequestLogSize is how many requests RequestLog remembers. 0 means 256.
	RequestLogSize int
	Logger         *slog.Logger // nil is silent
	Knobs          Knobs        // in force from the start
}

// Knobs make a BMC misbehave.
type Knobs struct {
	Latency time.Duration // real time added to each request
}

// Request is one request that a BMC answered.
type Request struct {
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Status    int       `json:"status"` // 0: the reply was lost on purpose
	UserAgent string    `json:"user_agent,omitempty"`
	Time      time.Time `json:"time"` // on the machine's clock
}

// BMC serves one machine as Redfish under /redfish/v1. It demands a session token or Basic
// authentication for everything but the service root.
type BMC struct {
	config  Config
	machine *Machine
	log     *slog.Logger

	mu       sync.Mutex
	sessions map[string]string // ID to token
	nextID   int
	requests []Request
	latency  time.Duration
	lose     []matcher
	fail     []failure
}

type matcher struct{ method, prefix string }

type failure struct {
	matcher
	status int
}

// NewBMC checks the configuration and makes a BMC.
func NewBMC(c Config) (*BMC, error) {
	if c.Machine == nil || c.Username == "" || c.Password == "" {
		return nil, fmt.Errorf("%w: a BMC needs machine, user name and password", ErrInvalid)
	}
	if c.SessionLimit == 0 {
		c.SessionLimit = 8
	}
	if c.RequestLogSize == 0 {
		c.RequestLogSize = 256
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &BMC{config: c, machine: c.Machine, log: c.Logger, sessions: map[string]string{}, nextID: 1, latency: c.Knobs.Latency}, nil
}

// Machine returns the machine behind the BMC.
func (b *BMC) Machine() *Machine { return b.machine }

// SetLatency changes the time added to each request.
func (b *BMC) SetLatency(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.latency = d
}

// LoseReply lets the next request with this method and path prefix take effect, and then
// drops the connection in place of an answer. Calls add up.
func (b *BMC) LoseReply(method, pathPrefix string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lose = append(b.lose, matcher{method, pathPrefix})
}

// FailNext answers the next request with this method and path prefix with an error status,
// without effect. Calls add up.
func (b *BMC) FailNext(method, pathPrefix string, status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = append(b.fail, failure{matcher{method, pathPrefix}, status})
}

// RequestLog returns the latest requests, oldest first.
func (b *BMC) RequestLog() []Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Request(nil), b.requests...)
}

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

func (m matcher) matches(r *http.Request) bool {
	return r.Method == m.method && strings.HasPrefix(r.URL.Path, m.prefix)
}

// take removes and returns the first element that matches the request.
func take[T any](list *[]T, matches func(T) bool) (T, bool) {
	for i, v := range *list {
		if matches(v) {
			*list = append((*list)[:i:i], (*list)[i+1:]...)
			return v, true
		}
	}
	var none T
	return none, false
}

// ServeHTTP answers one Redfish request.
func (b *BMC) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	latency := b.latency
	failed, fails := take(&b.fail, func(f failure) bool { return f.matches(r) })
	_, loses := take(&b.lose, func(m matcher) bool { return m.matches(r) })
	b.mu.Unlock()

	if latency > 0 {
		timer := time.NewTimer(latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	var a answer
	switch {
	case fails:
		a = problem(failed.status, "the simulator was told to fail this request")
	case !b.allowed(r):
		a = problem(http.StatusUnauthorized, "no valid session or credentials")
	default:
		a = b.handle(r)
	}
	logged := a.status
	if loses {
		logged = 0
	}
	b.record(r, logged)
	if loses {
		panic(http.ErrAbortHandler)
	}
	b.write(w, r, a)
}

func (b *BMC) record(r *http.Request, status int) {
	entry := Request{Method: r.Method, Path: r.URL.Path, Status: status, UserAgent: r.UserAgent(), Time: b.machine.clock.Now().UTC()}
	b.log.LogAttrs(r.Context(), slog.LevelDebug, "bmc request",
		slog.String("machine", b.machine.spec.Name), slog.String("method", entry.Method), slog.String("path", entry.Path), slog.Int("status", status))
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.requests) >= b.config.RequestLogSize {
		b.requests = append(b.requests[:0], b.requests[1:]...)
	}
	b.requests = append(b.requests, entry)
}

// allowed checks the session token or Basic credentials. The service root and the login are
// open to all (DSP0266, 13.3).
func (b *BMC) allowed(r *http.Request) bool {
	path := strings.TrimSuffix(r.URL.Path, "/")
	if path == "/redfish" || path == root || (path == sessionsPath && r.Method == http.MethodPost) {
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

func (b *BMC) login(body []byte) answer {
	var cred struct{ UserName, Password string }
	if err := json.Unmarshal(body, &cred); err != nil || !b.known(cred.UserName, cred.Password) {
		return problem(http.StatusUnauthorized, "user name or password is wrong")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.sessions) >= b.config.SessionLimit {
		return problem(http.StatusServiceUnavailable, "the maximum number of user sessions is reached")
	}
	id, token := fmt.Sprint(b.nextID), rand.Text()
	b.nextID++
	b.sessions[id] = token
	header := http.Header{}
	header.Set("X-Auth-Token", token)
	header.Set("Location", sessionsPath+"/"+id)
	return answer{status: http.StatusCreated, header: header, body: b.session(id)}
}

func (b *BMC) logout(id string) answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.sessions[id]; !ok {
		return problem(http.StatusNotFound, "no such session")
	}
	delete(b.sessions, id)
	return answer{status: http.StatusNoContent}
}

// answer is a reply before it is written.
type answer struct {
	status int
	header http.Header
	body   object
}

type object = map[string]any

func problem(status int, message string) answer {
	return answer{status: status, body: object{"error": object{
		"code": "Base.1.18.GeneralError", "message": message,
		"@Message.ExtendedInfo": []any{object{"@odata.type": "#Message.v1_1_2.Message", "MessageId": "Base.1.18.GeneralError",
			"Message": message, "MessageSeverity": "Critical", "Resolution": "None."}},
	}}}
}

func refused(err error) answer {
	switch {
	case errors.Is(err, ErrNotFound):
		return problem(http.StatusNotFound, err.Error())
	case errors.Is(err, ErrConflict):
		return problem(http.StatusConflict, err.Error())
	}
	return problem(http.StatusBadRequest, err.Error())
}

func (b *BMC) write(w http.ResponseWriter, r *http.Request, a answer) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.Header().Set("OData-Version", "4.0")
	w.Header().Set("Cache-Control", "no-cache")
	if a.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="RedfishService"`)
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	var tag string
	if a.status == http.StatusOK {
		tag = etag(a.body)
		a.body["@odata.etag"] = tag
		w.Header().Set("ETag", tag)
		if r.Method == http.MethodGet && r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	var out bytes.Buffer
	if err := json.NewEncoder(&out).Encode(a.body); err != nil {
		b.log.Error("bmc reply", "path", r.URL.Path, "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(out.Bytes())
	}
}

// etag is weak and made of the representation, so equal contents have equal tags.
func etag(body object) string {
	h := fnv.New64a()
	_ = json.NewEncoder(h).Encode(body)
	return fmt.Sprintf("W/%q", fmt.Sprintf("%016x", h.Sum64()))
}
