package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/crowbar/sim"
	"github.com/crowbarkit/crowbarkit/internal/wording"
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

// defaultWidth is what tables fit into where no terminal says how wide it is.
const defaultWidth = 120

func (d *show) table(summary Summary, nodes []client.Node) error {
	width := d.config.Width
	if width <= 0 {
		width = defaultWidth
	}
	rows := [][]string{{"NODE", "STATE", "ADDRESS", "RAID", "WIPED", "REDFISH", "ROLES"}}
	for _, s := range summary.Nodes {
		wiped := 0
		for _, n := range s.DiskWipes {
			wiped += n
		}
		requests := "no BMC"
		if machine, ok := d.server.Site().Machine(s.Name); ok && machine.BMC() != nil {
			requests = fmt.Sprint(len(machine.BMC().RequestLog()))
		}
		rows = append(rows, []string{wording.Node(s.Name), s.State, s.Address, strings.Join(s.RAID, " "),
			fmt.Sprintf("%d of %d", wiped, len(s.DiskWipes)), requests})
	}
	taken := 0
	for _, w := range widths(rows) {
		taken += w + gap
	}
	for i, n := range nodes {
		rows[i+1] = append(rows[i+1], wording.Roles(n.Memberships, max(width-taken+len("ROLES")+gap, 1)))
	}
	_, err := fmt.Fprintf(d.config.Out, "%s\nWIPED: disks that lost data. REDFISH: requests that the BMC had. Simulated time in each state:\n\n%s",
		aligned(rows), times(nodes, width))
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// times is a table of how long each node was in each state, in the rack's own time, in as many
// pieces as the width wants.
func times(nodes []client.Node, width int) string {
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
	rows := make([][]string, len(nodes)+2) // names of states have two lines
	rows[0], rows[1] = []string{""}, []string{"NODE"}
	for i, n := range nodes {
		rows[i+2] = []string{wording.Node(n.Name)}
	}
	for _, state := range states {
		above, below, two := strings.Cut(strings.ToUpper(state), "-")
		if two {
			above += "-"
		} else {
			above, below = "", above
		}
		rows[0], rows[1] = append(rows[0], above), append(rows[1], below)
		for i := range nodes {
			rows[i+2] = append(rows[i+2], spent[i][state].Round(time.Second).String())
		}
	}
	var b strings.Builder
	all := widths(rows)
	for from := 1; from < len(all); {
		to, taken := from, all[0]
		for to < len(all) && (to == from || taken+gap+all[to] <= width) {
			taken += gap + all[to]
			to++
		}
		if from > 1 {
			b.WriteString("\n")
		}
		piece := make([][]string, len(rows))
		for i, r := range rows {
			piece[i] = append([]string{r[0]}, r[from:to]...)
		}
		if !slices.ContainsFunc(piece[0], func(cell string) bool { return cell != "" }) {
			piece = piece[1:]
		}
		b.WriteString(aligned(piece))
		from = to
	}
	return b.String()
}

// gap is the space between two columns.
const gap = 2

// widths are those of the columns; rows may lack their last ones.
func widths(rows [][]string) []int {
	all := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			all[i] = max(all[i], len(c))
		}
	}
	return all
}

// aligned is a table without trailing space.
func aligned(rows [][]string) string {
	all := widths(rows)
	var b strings.Builder
	for _, r := range rows {
		var line strings.Builder
		for i, c := range r {
			fmt.Fprintf(&line, "%-*s", all[i]+gap, c)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

func all[T any](list []T, holds func(T) bool) bool {
	return !slices.ContainsFunc(list, func(v T) bool { return !holds(v) })
}
