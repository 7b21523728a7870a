package crowbar

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrBrokenChain says that the event log is not what was written.
var ErrBrokenChain = errors.New("crowbar: event chain broken")

// An Event is one entry of the append-only log: what changed, who did it and why. It is
// written in the transaction of the change. Events form a chain: each holds the hash of the
// one before, so that a change made behind the engine's back shows.
type Event struct {
	Sequence int64     `json:"sequence"` // from 1, without gaps
	Time     time.Time `json:"time"`
	Actor    string    `json:"actor"`   // operator name, "engine", or a node's name
	Kind     string    `json:"kind"`    // node.state, proposal.committed, …
	Subject  string    `json:"subject"` // node name, barclamp/proposal, job ID
	Message  string    `json:"message"` // one sentence for people
	State    string    `json:"state,omitempty"`
	Previous string    `json:"previous_hash"`
	Hash     string    `json:"hash"`
}

// seal links the event to the one before it.
func (ev *Event) seal(before Event) error {
	ev.Sequence = before.Sequence + 1
	ev.Previous = before.Hash
	hash, err := ev.digest()
	if err != nil {
		return err
	}
	ev.Hash = hash
	return nil
}

// digest hashes everything but the hash itself; encoding/json writes struct fields in order.
func (ev Event) digest() (string, error) {
	ev.Hash = ""
	data, err := json.Marshal(ev)
	if err != nil {
		return "", fmt.Errorf("crowbar: event %d: %w", ev.Sequence, err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// VerifyEvents checks a run of the event log, oldest first: no gap, no change. It returns
// ErrBrokenChain naming the first event that is wrong.
func VerifyEvents(events []Event) error {
	for i, ev := range events {
		hash, err := ev.digest()
		if err != nil {
			return err
		}
		if hash != ev.Hash {
			return fmt.Errorf("%w: event %d was changed after it was written", ErrBrokenChain, ev.Sequence)
		}
		if i > 0 && (ev.Sequence != events[i-1].Sequence+1 || ev.Previous != events[i-1].Hash) {
			return fmt.Errorf("%w: event %d does not follow event %d", ErrBrokenChain, ev.Sequence, events[i-1].Sequence)
		}
	}
	return nil
}

func eventKey(sequence int64) string { return fmt.Sprintf("%s%016d", eventPrefix, sequence) }
