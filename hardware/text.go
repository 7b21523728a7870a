package hardware

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// Text prints the plan as a table for people, ending with what it costs.
func (p *Plan) Text() string {
	if p.Empty() {
		return "nothing to do\n"
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "COMPONENT\tACTION\tTARGET\tBEFORE\tAFTER\tREBOOT\tREASON")
	for _, op := range p.Operations {
		reboot := "no"
		if op.Reboot {
			reboot = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", op.Component, op.Action, op.Target, cell(op.Before), cell(op.After), reboot, op.Reason)
	}
	w.Flush()
	fmt.Fprintf(&b, "%s, %s", plural(len(p.Operations), "operation"), plural(p.Reboots(), "reboot"))
	if disks := p.Destroys(); len(disks) > 0 {
		fmt.Fprintf(&b, ", DESTROYS all data on %s", strings.Join(disks, ", "))
	}
	b.WriteString("\n")
	return b.String()
}

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func cell(v any) string {
	if v == nil || v == "" {
		return "-"
	}
	return fmt.Sprint(v)
}
