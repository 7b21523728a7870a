package redfishsim

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config of a BMC.
type Config struct {
	Machine  *Machine // required; its personality is the BMC's
	Username string   // required
	Password string   // required
	// SessionLimit is how many sessions may be open; one more is answered with 503, as
	// iDRAC does. 0 means the personality's, which is 8.
	SessionLimit int
	// RequestLogSize is how many requests RequestLog remembers. 0 means 256, less than 0 none.
	RequestLogSize int
	Logger         *slog.Logger // nil is silent
	Knobs          Knobs        // in force from the start
	// Seed of what is random about Knobs.
	Seed uint64
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
	p       *traits
	path    paths
	words   map[string]string // of a personality with URIs in lower case
	log     *slog.Logger
	knobs   atomic.Pointer[Knobs]

	mu                  sync.Mutex        // never held while the machine is asked
	sessions            map[string]string // ID to token
	nextID              int
	requests            []Request // a ring once it is full
	oldest              int
	lose                []matcher
	fail                []failure
	random              *rand.Rand
	downFrom, downUntil time.Time
}

// NewBMC checks the configuration and makes a BMC.
func NewBMC(c Config) (*BMC, error) {
	if c.Machine == nil || c.Username == "" || c.Password == "" {
		return nil, fmt.Errorf("%w: a BMC needs machine, user name and password", ErrInvalid)
	}
	p := c.Machine.traits
	if c.SessionLimit == 0 {
		c.SessionLimit = p.sessionLimit
	}
	if c.RequestLogSize == 0 {
		c.RequestLogSize = 256
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	b := &BMC{config: c, machine: c.Machine, p: p, path: p.paths(), log: c.Logger, sessions: map[string]string{}, nextID: 1,
		random: rand.New(rand.NewPCG(c.Seed, 0))}
	if p.lowerCase {
		b.words = b.vocabulary()
	}
	if c.Knobs == (Knobs{}) { // leave the machine alone, another BMC may have set its knobs
		b.knobs.Store(&Knobs{})
		return b, nil
	}
	return b, b.SetKnobs(c.Knobs)
}

// Machine returns the machine behind the BMC.
func (b *BMC) Machine() *Machine { return b.machine }

// RequestLog returns the latest requests, oldest first.
func (b *BMC) RequestLog() []Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append(append([]Request(nil), b.requests[b.oldest:]...), b.requests[:b.oldest]...)
}

// ServeHTTP answers one Redfish request.
func (b *BMC) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k := b.knobs.Load()
	wait, unlucky := k.Latency, false
	b.mu.Lock()
	failed, fails := take(&b.fail, func(f failure) bool { return f.matches(r) })
	_, loses := take(&b.lose, func(m matcher) bool { return m.matches(r) })
	if k.Jitter > 0 {
		wait += time.Duration(b.random.Int64N(int64(k.Jitter)))
	}
	if k.ErrorRate > 0 && r.Method == http.MethodGet {
		unlucky = b.random.Float64() < k.ErrorRate
	}
	b.mu.Unlock()

	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	left, _ := b.down()
	var a answer
	switch {
	case left > 0:
		a = retryLater(left, "the BMC is restarting")
	case fails:
		a = general(failed.status, "the simulator was told to fail this request")
	case unlucky:
		a = retryLater(time.Second, "the BMC is busy")
	default:
		a = b.answer(w, r)
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

// answer does what is asked, if whoever asks may.
func (b *BMC) answer(w http.ResponseWriter, r *http.Request) answer {
	if strings.TrimSuffix(r.URL.Path, "/") == "/redfish" {
		return answer{status: http.StatusOK, body: object{"v1": root + "/"}}
	}
	path, ok := b.canonical(r.URL.Path)
	ask := &request{Request: r, path: path}
	if !ok {
		ask.path = "/" // nothing is there
	}
	if !b.allowed(ask) {
		return general(http.StatusUnauthorized, "no valid session or credentials")
	}
	return b.handle(w, ask)
}

func (b *BMC) record(r *http.Request, status int) {
	if b.config.RequestLogSize < 0 && !b.log.Enabled(r.Context(), slog.LevelDebug) {
		return
	}
	entry := Request{Method: r.Method, Path: r.URL.Path, Status: status, UserAgent: r.UserAgent(), Time: b.machine.clock.Now().UTC()}
	b.log.LogAttrs(r.Context(), slog.LevelDebug, "bmc request",
		slog.String("machine", b.machine.spec.Name), slog.String("method", entry.Method), slog.String("path", entry.Path), slog.Int("status", status))
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case len(b.requests) < b.config.RequestLogSize:
		b.requests = append(b.requests, entry)
	case len(b.requests) > 0:
		b.requests[b.oldest] = entry
		b.oldest = (b.oldest + 1) % len(b.requests)
	}
}
