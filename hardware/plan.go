package hardware

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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
	Target    string    `json:"target"` // attribute; controller/volume
	Before    any       `json:"before"`
	After     any       `json:"after"`
	Reason    string    `json:"reason"`
	Reboot    bool      `json:"reboot"`   // takes effect by a reset of the machine
	Destroys  []string  `json:"destroys"` // Drive.Identity of each disk whose data is lost
	// Volume is the volume to create or delete, nil for other actions. A volume to create
	// has no ID yet, and SizeBytes 0 where it takes all the disks give.
	Volume     *Volume `json:"volume,omitempty"`
	Controller string  `json:"controller,omitempty"` // Controller.ID of Volume
}

// NewPlan compares what is wanted with what was seen. It is pure: the same arguments give
// the same plan, and nothing is sent anywhere. Operations come RAID first (deletions, then
// creations), then boot, then BIOS, so that the one reset the BIOS needs comes last.
//
// What the machine cannot have — an attribute it does not know or that is read-only, a
// value outside its registry, too few disks, mixed media — is an error, all problems in one
// *ValidationError. A machine with jobs running in its BMC can be planned for: Apply waits.
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
	if profile.RAID != nil {
		plan.Operations = append(plan.Operations, planRAID(*profile.RAID, seen, &ps)...)
	}
	if profile.Boot != nil {
		plan.Operations = append(plan.Operations, planBoot(*profile.Boot, seen)...)
	}
	if profile.BIOS != nil {
		plan.Operations = append(plan.Operations, planBIOS(*profile.BIOS, seen, &ps)...)
	}
	checkFirmware(profile.Firmware, seen, &ps)
	if err := ps.err(); err != nil {
		return nil, err
	}
	return plan, nil
}

func planBoot(want BootProfile, seen *Snapshot) []Operation {
	// A BMC without an override reports no target, or a leftover one that is disabled.
	// sushy-tools reads back "Once" as "Continuous", so only the target is compared.
	have := seen.Boot.Target
	if have == "" || seen.Boot.Enabled == "Disabled" || seen.Boot.Enabled == "" {
		have = BootNone
	}
	once := seen.Boot.Enabled == "Once" && want.Target != BootNone
	if have == want.Target && !once {
		return nil
	}
	before := string(have)
	if once {
		before += " (once)"
	}
	return []Operation{{
		ID: "boot-set-" + string(want.Target), Component: ComponentBoot, Action: ActionSet, Target: "override",
		Before: before, After: string(want.Target), Reason: "the profile asks for it", Destroys: []string{},
	}}
}

func checkFirmware(want []FirmwareProfile, seen *Snapshot, ps *problems) {
	for i, f := range want {
		have, known := seen.Firmware[f.Component]
		switch {
		case !known:
			ps.add(fmt.Sprintf("/firmware/%d/component", i), fmt.Sprintf("%q", f.Component),
				"one of "+strings.Join(sortedKeys(seen.Firmware), ", "), "the machine reports no such component")
		case have != f.Version:
			ps.add(fmt.Sprintf("/firmware/%d/version", i), fmt.Sprintf("%q on the machine", have), fmt.Sprintf("%q", f.Version),
				"update the firmware by the vendor's means, then plan again")
		}
	}
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

// Reboots is how often the machine will be reset: all BIOS settings share one.
func (p *Plan) Reboots() int {
	for _, op := range p.Operations {
		if op.Reboot {
			return 1
		}
	}
	return 0
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

type planJSON struct {
	Node       string      `json:"node,omitempty"`
	Profile    Profile     `json:"profile"`
	Operations []Operation `json:"operations"`
	Destroys   []string    `json:"destroys"`
	Reboots    int         `json:"reboots"`
	Hash       string      `json:"hash"`
}

// MarshalJSON gives {"operations":[…],"destroys":[…],"reboots":n} and what Apply needs.
func (p *Plan) MarshalJSON() ([]byte, error) {
	ops := p.Operations
	if ops == nil {
		ops = []Operation{}
	}
	return json.Marshal(planJSON{Node: p.Node, Profile: p.Profile, Operations: ops,
		Destroys: p.Destroys(), Reboots: p.Reboots(), Hash: p.Hash()})
}

// UnmarshalJSON reads what MarshalJSON wrote; a plan whose operations were edited is
// refused.
func (p *Plan) UnmarshalJSON(data []byte) error {
	var doc planJSON
	if err := json.Unmarshal(data, &doc); err != nil {
		return err
	}
	read := Plan{Node: doc.Node, Profile: doc.Profile, Operations: doc.Operations}
	for i := range read.Operations {
		if after, ok := scalar(read.Operations[i].After); ok {
			read.Operations[i].After = after
		}
		if before, ok := scalar(read.Operations[i].Before); ok {
			read.Operations[i].Before = before
		}
	}
	if doc.Hash != read.Hash() {
		return fmt.Errorf("%w: the plan's operations do not match its hash", ErrInvalid)
	}
	*p = read
	return nil
}
