package hardware

import (
	"context"
	"errors"
	"time"
)

// Errors that a Configurator returns, wrapped with the node and what was being done.
var (
	// ErrInvalid is a profile or snapshot that cannot be planned; see ValidationError.
	ErrInvalid = errors.New("hardware: invalid")
	// ErrUnreachable means the BMC gave no answer and nothing that changes it is in doubt.
	ErrUnreachable = errors.New("hardware: unreachable")
	// ErrUnauthorized means the BMC refused the credentials.
	ErrUnauthorized = errors.New("hardware: credentials refused")
	// ErrStalePlan means the machine is no longer the one that was planned for.
	ErrStalePlan = errors.New("hardware: stale plan")
	// ErrNotAuthorized means an operation destroys data and nobody allowed it.
	ErrNotAuthorized = errors.New("hardware: destruction not authorized")
	// ErrUnknownOutcome means a change was sent, its answer was lost, and the machine does
	// not (yet) show the effect. Neither success nor failure: observe before acting again.
	ErrUnknownOutcome = errors.New("hardware: unknown outcome")
	// ErrNotConverged means a change was accepted but did not show within its time.
	ErrNotConverged = errors.New("hardware: not converged")
	// ErrUnsupported means the machine or its BMC cannot do this.
	ErrUnsupported = errors.New("hardware: unsupported")
	// ErrRejected means the BMC answered a change with a refusal.
	ErrRejected = errors.New("hardware: rejected by the BMC")
)

// Target is one machine's management controller.
type Target struct {
	// Node names the machine in plans, errors and logs.
	Node string
	// URL is where the BMC answers, such as https://192.0.2.10. A path selects the system
	// where one BMC manages several: https://192.0.2.10/redfish/v1/Systems/2.
	URL string
	// Credentials is asked at each login, so that a rotated password is picked up. Nil
	// means the BMC needs none.
	Credentials func(context.Context) (user, password string, err error)
}

// Configurator sees and changes the hardware of machines. Implementations are safe for
// concurrent use and serialise the changes of one machine.
type Configurator interface {
	// Observe reads inventory, current and pending settings, running jobs, registry and
	// vendor bindings. What could not be read is listed in Snapshot.Unreadable; an error
	// means that there is no useful snapshot at all.
	Observe(ctx context.Context, t Target) (*Snapshot, error)
	// Apply observes again, refuses a plan that no longer fits (ErrStalePlan), skips what is
	// in effect already, does the rest in order and verifies each operation. Called again
	// after a crash or an error it continues from what it observes. It reboots the machine
	// when an operation says so, at most once for all BIOS settings. The result is non-nil
	// also with an error and says how far it came.
	Apply(ctx context.Context, t Target, p *Plan, opts *ApplyOptions) (*Result, error)
	// Power changes the power state and returns when the transition was seen.
	Power(ctx context.Context, t Target, action PowerAction) error
}

// ApplyOptions adjust Apply; nil means the zero value.
type ApplyOptions struct {
	// Authorize is asked before each operation that destroys data; an error stops Apply
	// before the operation is sent. Nil refuses all destruction.
	Authorize func(context.Context, Destruction) error
	// Progress is told about each operation, from the goroutine that called Apply.
	Progress func(Progress)
}

// Destruction is data that an operation is about to destroy.
type Destruction struct {
	Operation   string   `json:"operation"` // Operation.ID
	Kind        Action   `json:"kind"`
	Node        string   `json:"node"`
	Disks       []string `json:"disks"` // Drive.Identity of each
	Description string   `json:"description"`
}

// Phase is how far an operation is.
type Phase string

// Phases of an operation.
const (
	PhaseStarted Phase = "started"
	PhaseWaiting Phase = "waiting" // sent; the machine has to take it over, often by a reboot
	PhaseDone    Phase = "done"    // verified by reading it back
)

// Progress is one step of an Apply.
type Progress struct {
	Operation string    `json:"operation,omitempty"` // Operation.ID; empty for what serves several, as a reboot does
	Phase     Phase     `json:"phase"`
	Message   string    `json:"message"`
	Done      int       `json:"done"`  // operations verified so far
	Total     int       `json:"total"` // operations of the plan
	At        time.Time `json:"at"`
}

// Result is what an Apply did.
type Result struct {
	Done     []string `json:"done"`     // IDs of operations done and verified by this call
	Skipped  []string `json:"skipped"`  // IDs of operations that were in effect already
	Left     []string `json:"left"`     // IDs of operations that are for somebody else to do: firmware to flash
	Reboots  int      `json:"reboots"`  // resets sent
	Requests int      `json:"requests"` // requests to the BMC, login and logout included
}

// PowerAction is a change of the power state.
type PowerAction string

// Power actions. All but PowerReset do nothing on a machine that is there already.
const (
	PowerOn       PowerAction = "on"
	PowerOff      PowerAction = "off"      // at once, as by the button held down
	PowerShutdown PowerAction = "shutdown" // asks the operating system; after a deadline as PowerOff
	PowerReset    PowerAction = "reset"    // restart at once; turns on a machine that is off
)

// Valid reports whether a is one of the power actions.
func (a PowerAction) Valid() bool {
	switch a {
	case PowerOn, PowerOff, PowerShutdown, PowerReset:
		return true
	}
	return false
}
