package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/crowbar/sim"
)

// Summary is the result of a demo as one object. Two runs with one seed differ in Seconds only.
type Summary struct {
	Nodes     []NodeSummary     `json:"nodes"`
	Proposals []ProposalSummary `json:"proposals"`
	Seconds   float64           `json:"seconds"` // real time
}

// NodeSummary is a node of the result. RAID, BIOS and DiskWipes are read back from the
// simulated BMC and disks.
type NodeSummary struct {
	Name      string         `json:"name"`
	State     string         `json:"state"`
	Roles     []string       `json:"roles"`
	Address   string         `json:"address"`
	RAID      []string       `json:"raid"` // levels of the volumes; JBOD if all disks stand alone
	BIOS      map[string]any `json:"bios"`
	DiskWipes map[string]int `json:"disk_wipes"` // by serial number
}

// ProposalSummary is a proposal of the result.
type ProposalSummary struct {
	Barclamp string `json:"barclamp"`
	Name     string `json:"name"`
	Status   string `json:"status"`
	Revision int    `json:"revision"`
}

func (d *show) result(ctx context.Context) error {
	nodes, err := d.client.Nodes(ctx)
	if err != nil {
		return err
	}
	proposals, err := d.client.Proposals(ctx, "")
	if err != nil {
		return err
	}
	summary := Summary{Nodes: []NodeSummary{}, Proposals: []ProposalSummary{}, Seconds: time.Since(d.started).Seconds()}
	for _, n := range nodes {
		machine, ok := d.server.Site().Machine(n.Name)
		if !ok {
			return fmt.Errorf("no simulated machine boots as node %s", n.Name)
		}
		summary.Nodes = append(summary.Nodes, summarize(n, machine))
	}
	for _, p := range proposals {
		summary.Proposals = append(summary.Proposals, ProposalSummary{Barclamp: p.Barclamp, Name: p.Name, Status: p.Status.Status, Revision: p.Status.Revision})
	}
	if d.config.JSON {
		encoder := json.NewEncoder(d.config.Out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(summary)
	}
	d.screen.heading("Ready after %.1f s", summary.Seconds)
	return d.table(summary, nodes)
}

func summarize(n client.Node, machine *sim.Machine) NodeSummary {
	s := NodeSummary{Name: n.Name, State: n.State, Roles: n.Roles, RAID: []string{}, BIOS: machine.BIOS(), DiskWipes: machine.DiskWipes()}
	if a, ok := n.Addresses["admin"]; ok {
		s.Address = a.String()
	}
	for _, level := range machine.RAID() {
		s.RAID = append(s.RAID, string(level))
	}
	if len(s.RAID) == 0 {
		s.RAID = append(s.RAID, "JBOD")
	}
	return s
}

// infrastructure are the barclamps whose roles every node has; the table counts them only.
var infrastructure = []string{"deployer", "provisioner", "network", "ipmi", "bios", "raid"}

func (d *show) table(summary Summary, nodes []client.Node) error {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tSTATE\tROLES\tADDRESS\tRAID\tDISKS WIPED\tREDFISH REQUESTS")
	for i, s := range summary.Nodes {
		wiped := 0
		for _, n := range s.DiskWipes {
			wiped += n
		}
		requests := "no BMC"
		if machine, ok := d.server.Site().Machine(s.Name); ok && machine.BMC() != nil {
			requests = fmt.Sprint(len(machine.BMC().RequestLog()))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d of %d\t%s\n", short(s.Name), s.State, roles(nodes[i]), s.Address,
			strings.Join(s.RAID, " "), wiped, len(s.DiskWipes), requests)
	}
	_ = w.Flush() // into memory
	if _, err := fmt.Fprintf(d.config.Out, "%s\n%s", b.String(), times(nodes)); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// roles names what the node serves, and counts what all nodes have.
func roles(n client.Node) string {
	var services []string
	others := 0
	for _, m := range n.Memberships {
		switch {
		case slices.Contains(infrastructure, m.Proposal.Barclamp):
			others++
		case !slices.Contains(services, m.Role):
			services = append(services, m.Role)
		}
	}
	slices.Sort(services)
	return fmt.Sprintf("%s (+%d)", strings.Join(services, " "), others)
}

// times is a table of how long each node was in each state, in the rack's own time.
func times(nodes []client.Node) string {
	var states []string
	spent := make([]map[string]time.Duration, len(nodes))
	for i, n := range nodes {
		spent[i] = map[string]time.Duration{}
		for _, v := range n.Visits {
			if v.Left.IsZero() {
				continue // it is still there
			}
			if !slices.Contains(states, v.State) {
				states = append(states, v.State)
			}
			spent[i][v.State] += v.Left.Sub(v.Entered)
		}
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "TIME IN\t%s\n", strings.ToUpper(strings.Join(states, "\t")))
	for i, n := range nodes {
		fmt.Fprint(w, short(n.Name))
		for _, state := range states {
			fmt.Fprintf(w, "\t%s", spent[i][state].Round(time.Second))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // into memory
	return b.String()
}

func all[T any](list []T, holds func(T) bool) bool {
	return !slices.ContainsFunc(list, func(v T) bool { return !holds(v) })
}
