// Command barclamp is a barclamp of your own: ntp, which keeps clocks together. It proposes two
// servers and makes everybody else a client, and prints what it would do for a small site. Its
// test is main_test.go; to run it for real, add it to the registry of your engine.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/proposal"
)

//go:embed template.json
var template []byte

// NTP is the barclamp.
type NTP struct{ template *proposal.Document }

// NewNTP reads the template, which is part of the program.
func NewNTP() (*NTP, error) {
	d, err := proposal.Parse(template)
	return &NTP{d}, err
}

// Info names the roles: at least one server, and nobody is both.
func (n *NTP) Info() barclamp.Info {
	return barclamp.Info{
		Name: "ntp", Version: "1.0", Description: "Keeps clocks together", RunOrder: 50, Template: n.template,
		Roles: []barclamp.Role{
			{Name: "ntp-server", Constraint: barclamp.Constraint{Minimum: 1, Unique: true}},
			{Name: "ntp-client"},
		},
	}
}

// Propose takes the first two nodes as servers.
func (n *NTP) Propose(_ context.Context, s barclamp.Site) (*barclamp.Draft, error) {
	d := &barclamp.Draft{}
	for i, node := range barclamp.Candidates(s) {
		if i < 2 {
			d.Place("ntp-server", node.Name, "one of the first two nodes")
		} else {
			d.Place("ntp-client", node.Name, "takes its time from the servers")
		}
	}
	if len(d.Elements) == 0 {
		d.Explain("ntp-server", "", "no node has been discovered yet")
	}
	return d, nil
}

// Transition makes a client of a node that was discovered after the proposal was committed.
func (n *NTP) Transition(_ context.Context, _ barclamp.Site, e barclamp.Event) ([]barclamp.Step, error) {
	for _, role := range e.Node.Roles() {
		if role == "ntp-server" {
			return nil, nil
		}
	}
	return e.JoinSteps("ntp-client"), nil
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer) error {
	ntp, err := NewNTP()
	if err != nil {
		return err
	}
	draft, err := ntp.Propose(ctx, barclamptest.NewSite(3, 0))
	if err != nil {
		return err
	}
	for _, x := range draft.Explanations {
		fmt.Fprintf(w, "%s: %s (%s)\n", x.Role, x.Node, x.Reason)
	}
	return nil
}
