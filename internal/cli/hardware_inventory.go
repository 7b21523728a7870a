package cli

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/internal/wording"
)

func (m *machines) inventoryCommand() *cobra.Command {
	attributes := false
	c := &cobra.Command{
		Use: "inventory", Short: "show what a machine is made of and how it is set",
		Long: "Show the machine, its BMC, network ports, storage controllers with drives and volumes, boot, BIOS\n" +
			"settings by intent, firmware and running jobs, and what the BMC did not hand over. -o json prints all\n" +
			"that was read; plan --snapshot takes that. Nothing is changed.",
		Args: noNode,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var seen *hardware.Snapshot
			err := m.onBMC(cmd.Context(), redfish.Config{FirmwareInventory: true}, func(c *redfish.Configurator) (err error) {
				seen, err = c.Observe(cmd.Context(), m.target)
				return err
			})
			switch {
			case err != nil:
				return err
			case m.output == "json":
				return m.json(seen)
			case attributes:
				return m.reportAttributes(seen)
			}
			return m.report(seen)
		},
	}
	c.Flags().BoolVar(&attributes, "attributes", false, "show the BIOS attributes and the values they may have instead")
	return c
}

// report prints what was seen, a table for each kind of thing.
func (m *machines) report(s *hardware.Snapshot) error {
	tables := []*table{
		identityTable(s), interfaceTable(s), controllerTable(s), driveTable(s), volumeTable(s),
		intentTable(s.BIOS), bootTable(s.Boot), firmwareTable(s), jobTable(s), unreadableTable(s),
	}
	for i, t := range tables {
		if len(t.rows) < 2 {
			continue
		}
		if i > 0 {
			lines(m.Stdout, "")
		}
		if err := m.print(m.Stdout, t); err != nil {
			return err
		}
	}
	_, err := io.WriteString(m.Stdout, "\n"+wording.Count(s.Requests, "request")+"\n")
	return err
}

// identityTable is what there is one of.
func identityTable(s *hardware.Snapshot) *table {
	t := &table{}
	row := func(name string, parts ...string) {
		if text := list(parts...); text != "" {
			t.add(plain, name, text)
		}
	}
	named := func(name, value string) string {
		if value == "" {
			return ""
		}
		return name + " " + value
	}
	counted := func(n int, thing string) string {
		if n == 0 {
			return ""
		}
		return wording.Count(n, thing)
	}
	row("machine", s.Node)
	y := s.System
	row("system", strings.TrimSpace(y.Manufacturer+" "+y.Model), named("serial", y.Serial), y.Health)
	row("uuid", y.UUID)
	progress, post := y.BootProgress, ""
	if progress == "None" {
		progress = ""
	}
	if y.InPOST {
		post = "in POST"
	}
	row("power", string(y.Power), progress, post)
	row("bmc", s.BMC.Model, named("firmware", s.BMC.Firmware), named("Redfish", s.BMC.Redfish), named("treated as", s.BMC.Vendor), s.BMC.Health)
	p := s.Processors
	if p.Count > 0 {
		row("processors", strings.TrimSpace(fmt.Sprintf("%d x %s", p.Count, p.Model)), counted(p.Cores, "core"), counted(p.Threads, "thread"))
	}
	if s.MemoryBytes > 0 {
		row("memory", memory(s.MemoryBytes))
	}
	row("boot", overrideText(s.Boot), s.Boot.Mode)
	if b := s.SecureBoot; b != nil {
		row("secure boot", onOrOff(b.Current), pendingText(b.Current, b.Enabled), b.Mode)
	}
	if len(s.BIOS.Attributes) > 0 {
		registry, waiting := "", ""
		if s.BIOS.Registry == nil {
			registry = "no registry of their values"
		}
		if n := len(s.BIOS.Pending); n > 0 {
			waiting = wording.Count(n, "value") + " waiting for a reset"
		}
		row("bios", wording.Count(len(s.BIOS.Attributes), "attribute"), registry, waiting)
	}
	return t
}

// list is what there is of some parts.
func list(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

func onOrOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func pendingText(now, next bool) string {
	if now == next {
		return ""
	}
	return onOrOff(next) + " from the next reset on"
}

func overrideText(b hardware.Boot) string {
	switch {
	case b.Target == "" || b.Target == hardware.BootNone || b.Enabled == "Disabled" || b.Enabled == "":
		return "by its own order"
	case b.Enabled == "Once":
		return string(b.Target) + " once"
	}
	return string(b.Target)
}

func interfaceTable(s *hardware.Snapshot) *table {
	t := newTable("PORT", "NAME", "MAC", "SPEED", "LINK")
	for _, i := range s.Interfaces {
		speed := "-"
		if i.SpeedMbps > 0 {
			speed = fmt.Sprintf("%.4g Gb/s", float64(i.SpeedMbps)/1000)
		}
		t.add(plain, i.ID, orDash(i.Name), orDash(i.MAC), speed, orDash(i.Link))
	}
	return t
}

func controllerTable(s *hardware.Snapshot) *table {
	t := newTable("CONTROLLER", "MODEL", "FIRMWARE", "HEALTH", "VOLUMES", "RAID LEVELS")
	for _, c := range s.Storage {
		can := "cannot be made"
		switch {
		case c.Partial:
			can = "not all could be read"
		case c.Configurable:
			can = "can be made"
			if c.WholeDisksOnly {
				can += ", of whole disks only"
			}
			if c.OnReset {
				can += ", at a reset"
			}
		}
		levels := []string{}
		for _, l := range c.RAIDLevels {
			levels = append(levels, strings.TrimPrefix(string(l), "RAID"))
		}
		t.add(healthStyle(c.Health), c.ID, orDash(c.Model), orDash(c.Firmware), orDash(c.Health), can, orDash(strings.Join(levels, " ")))
	}
	return t
}

func driveTable(s *hardware.Snapshot) *table {
	t := newTable("DRIVE", "CONTROLLER", "SERIAL", "MODEL", "SIZE", "KIND", "HEALTH", "USED BY")
	for _, c := range s.Storage {
		for _, d := range c.Drives {
			used := []string{}
			for _, v := range c.Volumes {
				switch {
				case slices.Contains(v.Drives, d.Identity()):
					used = append(used, cmp.Or(v.Name, v.ID))
				case slices.Contains(v.Spares, d.Identity()):
					used = append(used, cmp.Or(v.Name, v.ID)+" (spare)")
				}
			}
			t.add(healthStyle(d.Health), d.ID, c.ID, orDash(d.Serial), orDash(d.Model), size(d.SizeBytes),
				orDash(strings.TrimSpace(d.Protocol+" "+d.Media)), orDash(d.Health), orDash(strings.Join(used, " ")))
		}
	}
	return t
}

func volumeTable(s *hardware.Snapshot) *table {
	t := newTable("VOLUME", "CONTROLLER", "NAME", "LEVEL", "SIZE", "HEALTH", "DRIVES")
	for _, c := range s.Storage {
		for _, v := range c.Volumes {
			drives := strings.Join(v.Drives, " ")
			if len(v.Spares) > 0 {
				drives += ", spare " + strings.Join(v.Spares, " ")
			}
			t.add(healthStyle(v.Health), v.ID, c.ID, orDash(v.Name), orDash(string(v.RAIDLevel)), size(v.SizeBytes), orDash(v.Health), drives)
		}
	}
	return t
}

func healthStyle(health string) style {
	switch health {
	case "Warning":
		return yellow
	case "Critical":
		return red
	}
	return plain
}

// intentTable is what the BIOS settings come to that all vendors have.
func intentTable(b hardware.BIOS) *table {
	t := newTable("INTENT", "NOW", "NEXT", "ATTRIBUTE", "VALUE")
	for _, intent := range hardware.Intents() {
		bound, ok := b.Intents[intent]
		if !ok {
			continue
		}
		meaning := func(value any) string {
			if value == nil {
				return "unknown"
			}
			for _, name := range slices.Sorted(maps.Keys(bound.Values)) {
				if bound.Values[name] == value {
					return name
				}
			}
			return "-"
		}
		now, next := b.Attributes[bound.Attribute], "-" // now is nil where the BMC shows only what pends
		if pending, ok := b.Pending[bound.Attribute]; ok {
			next = meaning(pending)
		}
		t.add(plain, string(intent), meaning(now), next, bound.Attribute, valueText(b.Attributes, bound.Attribute))
	}
	return t
}

// valueText is the value of an attribute. Some BMCs show none while another one pends.
func valueText(attributes map[string]any, name string) string {
	value, ok := attributes[name]
	if !ok || value == nil {
		return "unknown"
	}
	return orDash(fmt.Sprint(value))
}

// reportAttributes prints the BIOS as the vendor names it.
func (m *machines) reportAttributes(s *hardware.Snapshot) error {
	t := attributeTable(s.BIOS)
	if len(t.rows) < 2 {
		lines(m.Stdout, "%s shows no BIOS attributes", s.Node)
		return nil
	}
	if err := m.print(m.Stdout, t); err != nil {
		return err
	}
	if s.BIOS.Registry == nil {
		lines(m.Stdout, "\nWhat they may be is not known: this BMC publishes no registry of them, so a wrong value is found only when it is set.")
	}
	return nil
}

func attributeTable(b hardware.BIOS) *table {
	t := newTable("ATTRIBUTE", "VALUE", "PENDING", "MAY BE")
	names := slices.AppendSeq(slices.Collect(maps.Keys(b.Attributes)), maps.Keys(b.Pending))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		pending := "-"
		if _, ok := b.Pending[name]; ok {
			pending = valueText(b.Pending, name)
		}
		t.add(plain, name, valueText(b.Attributes, name), pending, orDash(mayBe(b.Registry, name)))
	}
	return t
}

// mayBe says which values the registry allows an attribute.
func mayBe(r *hardware.Registry, name string) string {
	if r == nil {
		return ""
	}
	a := r.Attributes[name]
	switch {
	case a.ReadOnly:
		return "read-only"
	case len(a.Values) > 0:
		return strings.Join(a.Values, " | ")
	case a.Type == hardware.TypeInteger && a.Min != nil && a.Max != nil:
		return fmt.Sprintf("%d to %d", *a.Min, *a.Max)
	case a.Type == hardware.TypeBoolean:
		return "true | false"
	}
	return strings.ToLower(string(a.Type))
}

func bootTable(b hardware.Boot) *table {
	t := newTable("BOOT OPTION", "NAME", "KIND", "")
	place := func(reference string) int {
		if i := slices.Index(b.Order, reference); i >= 0 {
			return i
		}
		return len(b.Order)
	}
	options := slices.SortedStableFunc(slices.Values(b.Options), func(x, y hardware.BootOption) int {
		return place(x.Reference) - place(y.Reference)
	})
	for _, o := range options {
		note := ""
		switch {
		case o.Disabled:
			note = "disabled"
		case place(o.Reference) == len(b.Order):
			note = "not in the order"
		}
		t.add(plain, o.Reference, orDash(o.Name), orDash(string(o.Target)), note)
	}
	if len(b.PendingOrder) > 0 {
		t.add(yellow, "next", strings.Join(b.PendingOrder, " "), "", "after the next reset")
	}
	return t
}

func firmwareTable(s *hardware.Snapshot) *table {
	t := newTable("FIRMWARE", "VERSION")
	for _, name := range slices.Sorted(maps.Keys(s.Firmware)) {
		// The BMC's list has the two that all machines have once more.
		if low := strings.ToLower(name); low != name && (low == "bios" || low == "bmc") && s.Firmware[low] == s.Firmware[name] {
			continue
		}
		t.add(plain, name, orDash(s.Firmware[name]))
	}
	return t
}

func jobTable(s *hardware.Snapshot) *table {
	t := newTable("JOB", "STATE", "DONE", "NAME", "")
	for _, j := range s.Jobs {
		t.add(yellow, j.ID, j.State, fmt.Sprintf("%d%%", j.Percent), orDash(j.Name), j.Message)
	}
	return t
}

func unreadableTable(s *hardware.Snapshot) *table {
	t := newTable("NOT READ", "WHY")
	for _, u := range s.Unreadable {
		why := strings.TrimPrefix(hardwarePrefix.ReplaceAllString(u.Reason, "$1"), s.Node+": ")
		if request, answer, ok := strings.Cut(why, ": "); ok && strings.HasPrefix(request, "GET "+u.Path) {
			why = answer
		}
		t.add(yellow, u.Path, why)
	}
	return t
}
