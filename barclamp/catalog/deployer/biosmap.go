package deployer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// ErrNoChoice means that no hardware sets are chosen for a node: there is no deployer proposal
// in force, or no row of its bios_map fits. Its hardware then stays as it is.
var ErrNoChoice = errors.New("deployer: no hardware sets")

func isNoChoice(err error) bool { return errors.Is(err, ErrNoChoice) }

// fallback is the pattern of the row that counts only where no other does.
const fallback = ".*"

// A Row of bios_map.
type Row struct {
	Pattern string `json:"pattern"` // a regular expression (RE2) that matches a role's whole name
	BIOSSet string `json:"bios_set"`
	RAIDSet string `json:"raid_set"`
}

// A Choice is what bios_map says about a node.
type Choice struct {
	BIOSSet string // one of hardware.BIOSSets
	RAIDSet string // one of hardware.RAIDSets
	Pattern string // of the row that decided
	Role    string // that the row matched; empty if it is the fallback
}

// Why says in a sentence what decided.
func (c Choice) Why() string {
	if c.Role == "" {
		return "no other row of bios_map matches a role of the node, so its row " + c.Pattern + " does"
	}
	return "role " + c.Role + " matches the row " + c.Pattern + " of bios_map"
}

// A ConflictError says that two roles of a node want different hardware.
type ConflictError struct {
	Node  string
	Roles [2]string
	Rows  [2]Row // the row that each role matches
}

// Error names both roles and both rows.
func (e *ConflictError) Error() string {
	side := func(i int) string {
		return fmt.Sprintf("role %s matches the row %s of bios_map (BIOS %s, RAID %s)",
			e.Roles[i], e.Rows[i].Pattern, e.Rows[i].BIOSSet, e.Rows[i].RAIDSet)
	}
	return fmt.Sprintf("deployer: node %s cannot have the hardware of both its roles: %s, but %s; take it out of one of the roles, or give the rows the same sets",
		e.Node, side(0), side(1))
}

// HardwareSets chooses the hardware sets of a node by the deployer proposal in force and the
// roles that the node has. Each role counts with the first row it matches; roles that match
// nothing but the row .* have no say unless no role has. Two roles with different sets are a
// *ConflictError; nothing to choose from is ErrNoChoice.
func HardwareSets(s barclamp.Site, n barclamp.Node) (Choice, error) {
	d, ok := barclamp.First(s, Name)
	if !ok {
		return Choice{}, fmt.Errorf("%w for %s: no deployer proposal is in force", ErrNoChoice, n.Name)
	}
	var rows []Row
	if err := json.Unmarshal([]byte(rawMap(d)), &rows); err != nil {
		return Choice{}, fmt.Errorf("deployer: bios_map of %s: %w", d.Key(), err)
	}
	patterns := make([]*regexp.Regexp, len(rows))
	for i, r := range rows {
		var err error
		if patterns[i], err = compile(r.Pattern); err != nil {
			return Choice{}, fmt.Errorf("deployer: bios_map of %s, row %d: %w", d.Key(), i, err)
		}
	}
	best, role := -1, ""
	for _, name := range n.Roles() {
		i := slices.IndexFunc(patterns, func(p *regexp.Regexp) bool { return p.String() != anchored(fallback) && p.MatchString(name) })
		switch {
		case i < 0:
			continue
		case best >= 0 && !rows[i].sameSets(rows[best]):
			return Choice{}, &ConflictError{Node: n.Name, Roles: [2]string{role, name}, Rows: [2]Row{rows[best], rows[i]}}
		case best < 0 || i < best:
			best, role = i, name
		}
	}
	if best < 0 {
		best = slices.IndexFunc(rows, func(r Row) bool { return r.Pattern == fallback })
	}
	if best < 0 {
		return Choice{}, fmt.Errorf("%w for %s: no row of bios_map matches its roles (%s)", ErrNoChoice, n.Name, strings.Join(n.Roles(), ", "))
	}
	r := rows[best]
	return Choice{BIOSSet: r.BIOSSet, RAIDSet: r.RAIDSet, Pattern: r.Pattern, Role: role}, nil
}

func (r Row) sameSets(o Row) bool { return r.BIOSSet == o.BIOSSet && r.RAIDSet == o.RAIDSet }

func anchored(pattern string) string { return "^(?:" + pattern + ")$" }

func compile(pattern string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(pattern); err != nil { // as written, so that "a)(b" does not pass
		return nil, err
	}
	return regexp.Compile(anchored(pattern))
}

func rawMap(d *proposal.Document) string {
	if raw := d.Get("bios_map").Raw; raw != "" {
		return raw
	}
	return "[]"
}

// Validate checks the rows of bios_map.
func (b *Barclamp) Validate(_ context.Context, _ barclamp.Site, d *proposal.Document) error {
	var problems barclamp.Problems
	base := d.AttributePointer("bios_map")
	var rows []json.RawMessage
	if err := json.Unmarshal([]byte(rawMap(d)), &rows); err != nil {
		problems.Add(base, "no list", "a list of rows {pattern, bios_set, raid_set}", "")
		return problems.Err()
	}
	for i, raw := range rows {
		at := base + "/" + strconv.Itoa(i)
		var r Row
		if err := json.Unmarshal(raw, &r); err != nil {
			problems.Add(at, string(raw), "an object whose pattern, bios_set and raid_set are strings", "")
			continue
		}
		if _, err := compile(r.Pattern); err != nil {
			problems.Add(at+"/pattern", strconv.Quote(r.Pattern)+": "+err.Error(), "a regular expression", "RE2 syntax: https://github.com/google/re2/wiki/Syntax")
		} else if r.Pattern == "" {
			problems.Add(at+"/pattern", "nothing", "a regular expression that matches role names", `".*" matches all`)
		}
		if !slices.Contains(hardware.BIOSSets(), r.BIOSSet) {
			problems.Add(at+"/bios_set", strconv.Quote(r.BIOSSet), "one of "+strings.Join(hardware.BIOSSets(), ", "), "")
		}
		if !slices.Contains(hardware.RAIDSets(), r.RAIDSet) {
			problems.Add(at+"/raid_set", strconv.Quote(r.RAIDSet), "one of "+strings.Join(hardware.RAIDSets(), ", "), "")
		}
	}
	return problems.Err()
}
