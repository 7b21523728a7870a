package hardware

import (
	"encoding/json"
	"fmt"
)

type planJSON struct {
	Node       string      `json:"node,omitempty"`
	Profile    Profile     `json:"profile"`
	Operations []Operation `json:"operations"`
	Destroys   []string    `json:"destroys"`
	Reboots    int         `json:"reboots"`
	Hash       string      `json:"hash"`
}

// MarshalJSON gives {"operations":[…],"destroys":[…],"reboots":n} and what Apply needs.
func (p *Plan) MarshalJSON() ([]byte, error) {
	ops := p.Operations
	if ops == nil {
		ops = []Operation{}
	}
	return json.Marshal(planJSON{Node: p.Node, Profile: p.Profile, Operations: ops,
		Destroys: p.Destroys(), Reboots: p.Reboots(), Hash: p.Hash()})
}

// UnmarshalJSON reads what MarshalJSON wrote; a plan whose operations were edited is
// refused.
func (p *Plan) UnmarshalJSON(data []byte) error {
	var doc planJSON
	if err := json.Unmarshal(data, &doc); err != nil {
		return err
	}
	read := Plan{Node: doc.Node, Profile: doc.Profile, Operations: doc.Operations}
	if len(read.Operations) == 0 {
		read.Operations = nil // as NewPlan leaves it
	}
	for i := range read.Operations {
		op := &read.Operations[i]
		op.Before, op.After = decoded(op.Before), decoded(op.After)
	}
	if doc.Hash != read.Hash() {
		return fmt.Errorf("%w: the plan's operations do not match its hash", ErrInvalid)
	}
	*p = read
	return nil
}

// decoded gives what encoding/json read the type that NewPlan gave it.
func decoded(v any) any {
	if s, ok := scalar(v); ok {
		return s
	}
	items, ok := v.([]any)
	if !ok {
		return v
	}
	out := make([]string, 0, len(items))
	for _, item := range items {
		text, ok := item.(string)
		if !ok {
			return v
		}
		out = append(out, text)
	}
	return out
}
