// Package wording is how errors, nodes and numbers are written for people, the same in the
// API's answers, on the command line and in the demo.
package wording

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/barclamp"
)

// prefixes is what errors name their package and their kind by. The kind is in an answer's
// code or in the exit status; people want the sentence that follows.
var prefixes = regexp.MustCompile(`(^|: )(?:(?:crowbar|statemachine|proposal|barclamp|boltstore|client|sim|catalog): |` +
	`(?:request|exists already|invalid(?: configuration)?|refused|not found|wrong configuration|simulated and real nodes do not mix|` +
	`the directory holds another site|conflict: the record changed since it was read|conflict: there is a newer revision): )+`)

// Error is an error's sentence without the names of packages and kinds of errors.
func Error(err error) string { return prefixes.ReplaceAllString(err.Error(), "$1") }

// Count is a number of things: "1 node", "2 nodes".
func Count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Ordinal is "1st", "2nd", "11th".
func Ordinal(n int) string {
	suffix := "th"
	if tens := n % 100; tens < 11 || tens > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprintf("%d%s", n, suffix)
}

// Node is the name of a node without the domain, which is the same for all.
func Node(name string) string {
	short, _, _ := strings.Cut(name, ".")
	return short
}

// infrastructure says which barclamps have their roles on every node.
func infrastructure(name string) bool {
	return slices.Contains([]string{"deployer", "provisioner", "network", "ipmi", "bios", "raid"}, name)
}

// Roles names what a node serves and counts the other roles: "nova-controller (+6)". What does
// not fit into width columns is counted, too; 0 is no limit. It is "" for a node without roles.
func Roles(memberships []barclamp.Membership, width int) string {
	var all, services []string
	for _, m := range memberships {
		if slices.Contains(all, m.Role) {
			continue
		}
		all = append(all, m.Role)
		if !infrastructure(m.Proposal.Barclamp) {
			services = append(services, m.Role)
		}
	}
	slices.Sort(services)
	for {
		text := strings.Join(services, " ")
		if others := len(all) - len(services); others > 0 {
			text = strings.TrimSpace(fmt.Sprintf("%s (+%d)", text, others))
		}
		if width <= 0 || len(text) <= width || len(services) == 0 {
			return text
		}
		services = services[:len(services)-1]
	}
}
