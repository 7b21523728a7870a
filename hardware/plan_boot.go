package hardware

import (
	"fmt"
	"slices"
	"strings"
)

const waitsForReset = "; set already, waiting for a reset"

// planBoot plans override, order, and the mode where it is not a BIOS attribute.
func planBoot(want BootProfile, seen *Snapshot, ps *problems) []Operation {
	var ops []Operation
	add := func(op *Operation) {
		if op != nil {
			op.Component, op.Action, op.Destroys = ComponentBoot, ActionSet, []string{}
			ops = append(ops, *op)
		}
	}
	if want.Target != "" {
		add(planOverride(want.Target, seen.Boot, ps))
	}
	if want.Mode != "" && !seen.modeIsAttribute() {
		add(planMode(want.Mode, seen.Boot, ps))
	}
	if len(want.Order) > 0 {
		add(planOrder(want.Order, seen.Boot, ps))
	}
	return ops
}

func planOverride(want BootTarget, have Boot, ps *problems) *Operation {
	if len(have.Targets) > 0 && want != BootNone && !slices.Contains(have.Targets, want) {
		ps.add("/boot/target", fmt.Sprintf("%q", want), "one of "+join(have.Targets), "the machine offers no other override")
		return nil
	}
	// A BMC without an override reports no target, or a leftover one that is disabled.
	// sushy-tools reads back "Once" as "Continuous", so only the target is compared.
	target := have.Target
	if target == "" || have.Enabled == "Disabled" || have.Enabled == "" {
		target = BootNone
	}
	once := have.Enabled == "Once" && want != BootNone
	if target == want && !once {
		return nil
	}
	before := string(target)
	if once {
		before += " (once)"
	}
	return &Operation{ID: "boot-set-override=" + string(want), Target: TargetOverride,
		Before: before, After: string(want), Reason: "the profile asks for it"}
}

func (s *Snapshot) modeIsAttribute() bool {
	_, bound := s.BIOS.Intents[BootMode]
	return bound
}

// modeOf turns Redfish's BootSourceOverrideMode into a value of the intent boot_mode.
func modeOf(redfish string) string {
	switch redfish {
	case "UEFI":
		return "uefi"
	case "Legacy":
		return "bios"
	}
	return ""
}

func planMode(want string, have Boot, ps *problems) *Operation {
	if modeOf(have.Mode) == "" {
		ps.add("/boot/mode", "a machine that does not tell its boot mode", "a BIOS attribute or an override mode for it",
			"set the vendor's attribute under /bios/attributes instead")
		return nil
	}
	if modeOf(have.Mode) == want {
		return nil
	}
	after := map[string]string{"uefi": "UEFI", "bios": "Legacy"}[want]
	return &Operation{ID: "boot-set-mode=" + after, Target: TargetMode, Before: have.Mode, After: after, Reason: "boot_mode should be " + want}
}

// planOrder spells out the wanted order and compares it with the one that will hold.
func planOrder(want []string, have Boot, ps *problems) *Operation {
	coming := have.Order
	if len(have.PendingOrder) > 0 {
		coming = have.PendingOrder
	}
	after, ok := orderOf(want, coming, have.Options, ps)
	if !ok || slices.Equal(after, have.Order) && slices.Equal(after, coming) {
		return nil
	}
	reason := "the profile asks for " + strings.Join(want, ", ") + " first"
	switch {
	case len(have.PendingOrder) > 0 && slices.Equal(after, coming):
		reason += waitsForReset
	case len(have.PendingOrder) > 0:
		reason += "; another order is pending"
	}
	// The ID is of the wish: which options there are changes with the volumes of the same plan.
	return &Operation{ID: "boot-set-order=" + strings.Join(want, ","), Target: TargetOrder, Before: append([]string{}, have.Order...), After: after,
		Reason: reason, Reboot: have.OrderOnReset && !slices.Equal(after, have.Order)}
}

// orderOf replaces targets by the options of that kind as they stand in order, then those of the
// kind that are not in it, and lets the rest of order follow.
func orderOf(want, order []string, options []BootOption, ps *problems) ([]string, bool) {
	byReference, placed := map[string]BootOption{}, map[string]bool{}
	for _, ref := range order {
		byReference[ref] = BootOption{Reference: ref} // until it is described
	}
	all := slices.Clone(order)
	for _, o := range options {
		if _, known := byReference[o.Reference]; !known {
			all = append(all, o.Reference)
		}
		byReference[o.Reference] = o
	}
	var out []string
	place := func(ref string) {
		if !placed[ref] {
			placed[ref] = true
			out = append(out, ref)
		}
	}
	ok := true
	bad := func(i int, expected, hint string) {
		ps.add(fmt.Sprintf("/boot/order/%d", i), fmt.Sprintf("%q", want[i]), expected, hint)
		ok = false
	}
	for i, item := range want {
		if kind := BootTarget(item); kind.Valid() {
			found := false
			for _, ref := range all {
				if o := byReference[ref]; o.Target == kind && !o.Disabled {
					found = true
					place(ref)
				}
			}
			if !found {
				bad(i, "a kind of boot option that is there and enabled: "+list(all, byReference), "")
			}
			continue
		}
		o, known := byReference[item]
		switch {
		case !known:
			bad(i, "a boot option: "+list(all, byReference), "")
		case o.Disabled:
			bad(i, "a boot option that is enabled: "+list(all, byReference), "enable it in the machine's setup")
		case placed[item]:
			bad(i, "a boot option once", "it is among those of an entry before; put it first")
		default:
			place(item)
		}
	}
	for _, ref := range order {
		place(ref)
	}
	return out, ok
}

// list names boot options for people.
func list(references []string, byReference map[string]BootOption) string {
	var out []string
	for _, ref := range references {
		o := byReference[ref]
		text := ref
		if o.Name != "" {
			text += fmt.Sprintf(" (%s)", o.Name)
		}
		if o.Target != "" {
			text += " " + string(o.Target)
		}
		if o.Disabled {
			text += " disabled"
		}
		out = append(out, text)
	}
	if len(out) == 0 {
		return "the machine tells none"
	}
	return strings.Join(out, ", ")
}

// planSecureBoot comes after the BIOS: the same reset may bring UEFI mode first.
func planSecureBoot(want BootProfile, bios BIOSProfile, then layers, seen *Snapshot, ps *problems) []Operation {
	if want.SecureBoot == "" {
		return nil
	}
	have, on := seen.SecureBoot, want.SecureBoot == "on"
	bad := func(found, expected, hint string) []Operation {
		ps.add("/boot/secure_boot", found, expected, hint)
		return nil
	}
	switch {
	case have == nil:
		return bad("a machine without secure boot", "a machine that has it", unreadableHint(seen, "secureboot"))
	case on && seen.mode(want, bios, then) == "bios":
		return bad(`"on" for a machine in boot mode bios`, "boot mode uefi", `set /boot/mode to "uefi" too`)
	case have.Enabled == on && have.Current == on:
		return nil
	case on && have.Enabled && have.Mode == "SetupMode":
		return bad("a machine in SetupMode, where it is enabled and not in force", "one whose keys are enrolled", "reset the secure boot keys to their defaults")
	}
	reason := "the profile asks for it"
	if have.Enabled == on {
		reason += waitsForReset
	}
	return []Operation{{
		ID: "boot-set-secure_boot=" + want.SecureBoot, Component: ComponentBoot, Action: ActionSet, Target: TargetSecureBoot,
		Before: onOff(!on), After: want.SecureBoot, Reason: reason, Reboot: have.Current != on, Destroys: []string{},
	}}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// mode is the boot mode after the plan: uefi, bios, or empty where the machine does not tell.
// then are the BIOS settings after it.
func (s *Snapshot) mode(want BootProfile, bios BIOSProfile, then layers) string {
	binding, bound := s.BIOS.Intents[BootMode]
	switch {
	case want.Mode != "":
		return want.Mode
	case bios.Intents[BootMode] != "":
		return bios.Intents[BootMode]
	case !bound:
		return modeOf(s.Boot.Mode)
	}
	value, _ := then.value(binding.Attribute)
	for _, mode := range BootMode.Values() {
		if same(binding.Values[mode], value) {
			return mode
		}
	}
	return ""
}
