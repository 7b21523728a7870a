package hardware

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Plan is what it takes to bring one machine to a profile, in the order it is done.
type Plan struct {
	Node string
	// Profile is what the plan is for, with its sets expanded. Apply plans again from it, on
	// what it observes then.
	Profile    Profile
	Operations []Operation
}

// Component is the part of the machine an operation changes.
type Component string

// Components.
const (
	ComponentBIOS     Component = "bios"
	ComponentRAID     Component = "raid"
	ComponentBoot     Component = "boot"
	ComponentFirmware Component = "firmware"
)

// Action is what an operation does.
type Action string

// Actions.
const (
	ActionSet          Action = "set"
	ActionCreateVolume Action = "create_volume"
	ActionDeleteVolume Action = "delete_volume"
	ActionFlash        Action = "flash" // planned and reported; see FirmwareProfile
)

// Targets of ComponentBoot.
const (
	TargetOverride   = "override"    // After: a BootTarget
	TargetMode       = "mode"        // After: UEFI or Legacy, of the override
	TargetOrder      = "order"       // After: []string of BootOption.Reference
	TargetSecureBoot = "secure_boot" // After: on or off
)

// Operation is one change.
type Operation struct {
	// ID is the same whenever the same change is planned for the same machine, before and
	// after a crash: it names component, action, target and what it will be, not what it was.
	ID        string    `json:"id"`
	Component Component `json:"component"`
	Action    Action    `json:"action"`
	// Target is an attribute, controller/volume, one of the targets of ComponentBoot, or a
	// component of Snapshot.Firmware.
	Target string `json:"target"`
	// Before and After are nil, string, bool, int64, float64 or, of a boot order, []string.
	Before   any      `json:"before"`
	After    any      `json:"after"`
	Reason   string   `json:"reason"`
	Reboot   bool     `json:"reboot"`   // takes effect by a reset of the machine
	Destroys []string `json:"destroys"` // Drive.Identity of each disk whose data is lost, spares of a new volume among them
	// Volume is the volume to create or delete, nil for other actions. A volume to create
	// has no ID yet, and SizeBytes 0 where it takes all the disks give.
	Volume     *Volume `json:"volume,omitempty"`
	Controller string  `json:"controller,omitempty"` // Controller.ID of Volume
}

// NewPlan compares what is wanted with what was seen. It is pure: the same arguments give
// the same plan, and nothing is sent anywhere.
//
// Operations come in this order: RAID deletions, RAID creations, boot override, mode and order,
// BIOS attributes, secure boot, firmware. So the one reset that settings need comes after all
// that may need one of its own, and secure boot after the boot mode that it needs.
//
// What the machine cannot have is an error, all problems in one *ValidationError: an attribute it
// does not know, that is read-only or that its registry makes read-only or gives another value
// under the settings as they will be; a value outside its registry; too few disks, disks it does
// not have, mixed media; a boot target or option that it does not offer. A machine with jobs
// running in its BMC can be planned for: Apply waits.
func NewPlan(want Profile, seen *Snapshot) (*Plan, error) {
	if seen == nil {
		return nil, fmt.Errorf("%w: no snapshot", ErrInvalid)
	}
	var ps problems
	profile := want.Clone().resolve(&ps)
	if err := ps.err(); err != nil {
		return nil, err
	}
	plan := &Plan{Node: seen.Node, Profile: profile}
	add := func(ops []Operation) { plan.Operations = append(plan.Operations, ops...) }
	if profile.RAID != nil {
		add(planRAID(*profile.RAID, seen, &ps))
	}
	var boot BootProfile
	if profile.Boot != nil {
		boot = *profile.Boot
	}
	var bios BIOSProfile
	if profile.BIOS != nil {
		bios = *profile.BIOS
	}
	add(planBoot(boot, seen, &ps))
	mode := ""
	if seen.modeIsAttribute() {
		mode = boot.Mode
	}
	settings, then := planBIOS(bios, mode, seen, &ps)
	add(settings)
	add(planSecureBoot(boot, bios, then, seen, &ps))
	add(planFirmware(profile.Firmware, seen, &ps))
	if err := ps.err(); err != nil {
		return nil, err
	}
	return plan, nil
}

// Empty reports whether there is nothing to do: the machine has converged.
func (p *Plan) Empty() bool { return len(p.Operations) == 0 }

// Destroys lists the disks whose data the plan destroys, each once, sorted.
func (p *Plan) Destroys() []string {
	disks := []string{}
	for _, op := range p.Operations {
		disks = append(disks, op.Destroys...)
	}
	slices.Sort(disks)
	return slices.Compact(disks)
}

// Reboots is how often Apply will reset the machine: once for volumes that go at a reset, once
// for volumes that come at one, once for all settings. A boot order beside a change of volumes
// waits for the POST that finds them, and where an order takes a reset then has one more. What
// flashing takes is not counted.
func (p *Plan) Reboots() int {
	var deletes, creates, settings, order int
	unseen := false // volumes that no POST has found
	for _, op := range p.Operations {
		switch {
		case op.Action == ActionDeleteVolume && op.Reboot:
			deletes, unseen = 1, false
		case op.Action == ActionCreateVolume && op.Reboot:
			creates, unseen = 1, false
		case op.Component == ComponentRAID:
			unseen = true
		case op.Component == ComponentFirmware:
		case op.Target == TargetOrder && op.Component == ComponentBoot && p.changesVolumes():
			if unseen {
				settings = 1
			}
			if op.Reboot {
				order = 1
			}
		case op.Reboot:
			settings = 1
		}
	}
	return deletes + creates + settings + order
}

func (p *Plan) changesVolumes() bool {
	return slices.ContainsFunc(p.Operations, func(op Operation) bool { return op.Component == ComponentRAID })
}

// Hash identifies what the plan does: node and operations, as far as Operation.ID tells them
// apart. A plan read back from JSON has the same hash.
func (p *Plan) Hash() string { return p.hash(func(Operation) bool { return true }) }

// DestructiveHash is the Hash of the operations that destroy data only. It is what a grant
// is given for: settings may change under it, what is lost may not.
func (p *Plan) DestructiveHash() string {
	return p.hash(func(op Operation) bool { return len(op.Destroys) > 0 })
}

func (p *Plan) hash(counts func(Operation) bool) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", p.Node)
	for _, op := range p.Operations {
		if counts(op) {
			fmt.Fprintf(h, "%q %q\n", op.ID, op.Destroys)
		}
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Remaining plans for p's profile again, on a newer snapshot, and returns the operations of
// p that are still to do. If the machine needs any that p does not have, or p's profile
// cannot be planned on it any more, the error is ErrStalePlan. This is how Apply refuses a
// stale plan and continues one that was interrupted.
func (p *Plan) Remaining(seen *Snapshot) (*Plan, error) {
	now, err := NewPlan(p.Profile, seen)
	if err != nil {
		return nil, fmt.Errorf("%w for %s: %w", ErrStalePlan, p.Node, err)
	}
	planned := map[string]Operation{}
	for _, op := range p.Operations {
		planned[op.ID] = op
	}
	for _, op := range now.Operations {
		was, ok := planned[op.ID]
		if !ok {
			return nil, fmt.Errorf("%w for %s: the machine now needs %s, which was not planned", ErrStalePlan, p.Node, op.ID)
		}
		if !slices.Equal(was.Destroys, op.Destroys) {
			return nil, fmt.Errorf("%w for %s: %s would now destroy %v, planned %v", ErrStalePlan, p.Node, op.ID, op.Destroys, was.Destroys)
		}
	}
	return now, nil
}

// Destruction describes what the operation destroys on node, for ApplyOptions.Authorize.
func (op Operation) Destruction(node string) Destruction {
	d := Destruction{Operation: op.ID, Kind: op.Action, Node: node, Disks: slices.Clone(op.Destroys)}
	verb := "creates"
	if op.Action == ActionDeleteVolume {
		verb = "deletes"
	}
	name, level := op.Target, RAIDLevel("")
	if op.Volume != nil {
		name, level = op.Volume.Name, op.Volume.RAIDLevel
	}
	d.Description = fmt.Sprintf("%s %s volume %s on controller %s; all data on %s is lost",
		verb, level, name, op.Controller, strings.Join(op.Destroys, ", "))
	return d
}
