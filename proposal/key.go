package proposal

import (
	"fmt"
	"strings"
)

// Key names a proposal: which barclamp it configures, and which instance of it.
type Key struct {
	Barclamp string `json:"barclamp"` // of [A-Za-z0-9_-], not empty
	Name     string `json:"name"`     // as CheckName wants it; most barclamps have one, "default"
}

// String returns "nova/default".
func (k Key) String() string { return k.Barclamp + "/" + k.Name }

// ParseKey reads what String wrote. Its errors match ErrInvalid.
func ParseKey(s string) (Key, error) {
	barclamp, name, ok := strings.Cut(s, "/")
	if !ok {
		return Key{}, fmt.Errorf("%w: key %q: expected barclamp/name", ErrInvalid, s)
	}
	k := Key{Barclamp: barclamp, Name: name}
	return k, k.Check()
}

// Check returns what is wrong with either part; the error matches ErrInvalid.
func (k Key) Check() error {
	if !isBarclampName(k.Barclamp) {
		return fmt.Errorf("%w: barclamp name %q: expected letters, digits, _ and -", ErrInvalid, k.Barclamp)
	}
	return CheckName(k.Name)
}

// MaxName is the longest name of a proposal, in bytes.
const MaxName = 64

// CheckName returns an error matching ErrInvalid unless name can name a proposal: up to MaxName
// letters, digits and _, as in Crowbar; and one also matching ErrReservedName for template, nodes,
// commit and status, which are verbs at the place where Crowbar's REST paths have the name.
func CheckName(name string) error {
	switch name {
	case "template", "nodes", "commit", "status":
		return fmt.Errorf("%w: %w: %q", ErrInvalid, ErrReservedName, name)
	}
	if !consistsOf(name, "_") || len(name) > MaxName {
		return fmt.Errorf("%w: proposal name %s: expected 1 to %d letters, digits and _", ErrInvalid, quote(name), MaxName)
	}
	return nil
}

// NameFromID returns the proposal's name that the id of a barclamp's document tells: "x" for
// bc-nova-x (Dell) and nova-x (SUSE), "default" for the templates bc-template-nova and
// template-nova, and "" for an id of no such form.
func NameFromID(barclamp, id string) string {
	if isTemplateID(barclamp, id) {
		return "default"
	}
	for _, prefix := range [...]string{"bc-" + barclamp + "-", barclamp + "-"} {
		if name, ok := strings.CutPrefix(id, prefix); ok {
			return name
		}
	}
	return ""
}

func isTemplateID(barclamp, id string) bool {
	return strings.TrimPrefix(id, "bc-") == "template-"+barclamp
}

func isBarclampName(s string) bool { return consistsOf(s, "_-") }

func consistsOf(s, others string) bool {
	for _, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		if !letter && !digit && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return s != ""
}
