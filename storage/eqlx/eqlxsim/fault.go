package eqlxsim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Fault is what goes wrong with one command; the zero Fault is nothing.
type Fault struct {
	// Delay comes before the command runs.
	Delay time.Duration
	// Error, if set, is answered instead of running the command: "% Error - " and these words.
	Error string
	// Lose says what of the exchange gets lost.
	Lose Loss
	// Noise is printed before the reply, each on a line of its own, such as an event message.
	Noise []string
	// Event is a message with a prompt after it, though the command still runs; the reply then comes
	// when the next line has been typed.
	Event string
}

// A Loss is the point at which a connection breaks.
type Loss int

// From the earliest point to the latest.
const (
	LoseNothing Loss = iota
	LoseCommand      // closed before the command has its effect
	LoseReply        // closed after the effect, without a byte of the reply
	CutReply         // closed after the effect and half of the reply
	LosePrompt       // closed after the whole reply, without the prompt
	Hang             // the effect, then silence on an open connection
)

func lossNames() []string {
	return []string{"nothing", "command", "reply", "half-reply", "prompt", "hang"}
}

// String returns the name that ParseLoss reads.
func (l Loss) String() string {
	if l < 0 || int(l) >= len(lossNames()) {
		return fmt.Sprintf("Loss(%d)", int(l))
	}
	return lossNames()[l]
}

// ParseLoss reads the name of a Loss: nothing, command, reply, half-reply, prompt or hang. Any
// other is ErrConfig.
func ParseLoss(name string) (Loss, error) {
	i := slices.Index(lossNames(), name)
	if i < 0 {
		return 0, fmt.Errorf("%w: loss %q, expected one of: %s", ErrConfig, name, strings.Join(lossNames(), ", "))
	}
	return Loss(i), nil
}

// Every returns a Config.Fault that breaks each n-th command; the lines that set shells up are
// neither counted nor broken, or nobody would get in. n below 1 breaks nothing.
func Every(n int, lose Loss) func(int, string) Fault {
	counted := make(chan int, 1)
	counted <- 0
	return func(_ int, line string) Fault {
		if n < 1 || strings.HasPrefix(line, "stty ") || strings.HasPrefix(line, "cli-settings ") {
			return Fault{}
		}
		count := <-counted + 1
		counted <- count
		if count%n != 0 {
			return Fault{}
		}
		return Fault{Lose: lose}
	}
}
