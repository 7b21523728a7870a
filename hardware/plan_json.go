package hardware

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
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
	Checksum   string      `json:"checksum,omitempty"` // of all the rest
}

// MarshalJSON gives {"operations":[…],"destroys":[…],"reboots":n}, what Apply needs, and a
// checksum of it all.
func (p *Plan) MarshalJSON() ([]byte, error) {
	ops := p.Operations
	if ops == nil {
		ops = []Operation{}
	}
	doc := planJSON{Node: p.Node, Profile: p.Profile, Operations: ops,
		Destroys: p.Destroys(), Reboots: p.Reboots(), Hash: p.Hash()}
	body, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	if body, err = canonical(body); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	doc.Checksum = "sha256:" + hex.EncodeToString(sum[:])
	return json.Marshal(doc)
}

// UnmarshalJSON reads what MarshalJSON wrote. A plan in which anything was edited is ErrInvalid, the
// profile and what is only there to be read included: who reviews a plan and who applies it see
// the same. Layout and the order of names may be others. The checksum is against mistakes; against
// people it needs a signature beside it.
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
	written, err := read.MarshalJSON()
	if err != nil {
		return err
	}
	if written, err = canonical(written); err != nil {
		return err
	}
	given, err := canonical(data)
	if err != nil {
		return err
	}
	if !bytes.Equal(given, written) {
		return fmt.Errorf("%w: the plan was edited, or an older version wrote it: it does not match its checksum", ErrInvalid)
	}
	*p = read
	return nil
}

// canonical is JSON without layout, with sorted names and with the text of numbers as it was.
func canonical(data []byte) ([]byte, error) {
	var doc any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	return json.Marshal(doc)
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
