package redfish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// view is a snapshot with the links that are needed to change what it shows.
type view struct {
	snap        *hardware.Snapshot
	has         parts
	at          time.Time // on Config.Clock
	systemURI   string
	system      doc
	systemAt    time.Time // when that was read
	stepAt      time.Time // when it first showed its BootProgress
	manager     doc
	managerRead bool
	biosURI     string
	bios        doc
	settingsURI string
	settings    doc
	onReset     bool // the BMC advertises SettingsApplyTime OnReset

	registryRead bool
	jobsErr      error // there may be jobs that are not known
	secureBoot   doc
	// bootSettings is the settings object of the system, which takes a new boot order; none: the
	// system does.
	bootSettings doc
	controllers  map[string]*links
}

// links of a storage controller.
type links struct {
	volumesURI string
	drives     map[string]string // identity to URI
	identities map[string]string // URI to identity
	volumes    map[string]string // ID to URI
}

// parts are what an observation reads beyond the system itself. Each costs requests.
type parts struct {
	bios, storage, interfaces, bootOptions, secureBoot, manager, firmware bool
}

// everything is what Observe reads.
func everything(firmware bool) parts {
	return parts{bios: true, storage: true, interfaces: true, bootOptions: true, secureBoot: true, manager: true, firmware: firmware}
}

// needed is what planning for a profile reads.
func needed(p hardware.Profile) parts {
	var need parts
	need.bios = p.BIOS != nil
	need.storage = p.RAID != nil
	if p.Boot != nil {
		need.bios = need.bios || p.Boot.Mode != ""
		need.bootOptions = len(p.Boot.Order) > 0
		need.secureBoot = p.Boot.SecureBoot != ""
	}
	for _, f := range p.Firmware {
		need.manager = true
		need.firmware = need.firmware || f.Component != "bios" && f.Component != "bmc"
	}
	return need
}

// covers reports whether p has all of q.
func (p parts) covers(q parts) bool {
	return (p.bios || !q.bios) && (p.storage || !q.storage) && (p.bootOptions || !q.bootOptions) &&
		(p.secureBoot || !q.secureBoot) && (p.manager || !q.manager) && (p.firmware || !q.firmware)
}

// Observe implements hardware.Configurator.
func (c *Configurator) Observe(ctx context.Context, t hardware.Target) (*hardware.Snapshot, error) {
	var seen hardware.Snapshot
	requests, err := c.with(ctx, t, false, func(n *conn) error {
		v, err := n.observe(ctx, everything(c.config.FirmwareInventory))
		if err != nil {
			return err
		}
		// The view's snapshot goes on to be changed by the next call on this connection.
		seen = *v.snap
		seen.Firmware, seen.Unreadable = maps.Clone(seen.Firmware), slices.Clip(seen.Unreadable)
		n.view = v
		return nil
	})
	if err != nil {
		return nil, err
	}
	seen.Requests = requests
	return &seen, nil
}

func (n *conn) observe(ctx context.Context, has parts) (*view, error) {
	v := &view{
		snap:        &hardware.Snapshot{Node: n.target.Node, TakenAt: n.c.clock.Now().UTC(), Firmware: map[string]string{}},
		has:         has,
		at:          n.c.clock.Now(),
		controllers: map[string]*links{},
	}
	if err := n.findSystem(ctx, v); err != nil {
		return nil, err
	}
	n.recognise(v.system.Result)
	v.snap.BMC = hardware.BMC{Vendor: n.vendor.Name(), Redfish: n.root.Get("RedfishVersion").String(), UUID: n.root.Get("UUID").String()}
	n.setSystem(v, v.system)
	if _, queued := n.vendor.(JobQueue); queued || has.manager {
		n.readManager(ctx, v)
	}
	if v.jobsErr = n.jobs(ctx, v); v.jobsErr != nil {
		v.unreadable("jobs", v.jobsErr)
	}
	if has.bios {
		n.readBIOS(ctx, v)
	}
	if has.storage {
		n.readStorage(ctx, v)
	}
	if has.interfaces {
		n.readInterfaces(ctx, v)
	}
	if has.bootOptions {
		n.readBootOptions(ctx, v)
	}
	if has.secureBoot {
		n.readSecureBoot(ctx, v)
	}
	if has.firmware {
		n.readFirmware(ctx, v)
	}
	if err := ctx.Err(); err != nil {
		return nil, n.fail(ctx, "observe", err)
	}
	return v, nil
}

func (v *view) unreadable(path string, err error) {
	v.snap.Unreadable = append(v.snap.Unreadable, hardware.Unreadable{Path: path, Reason: err.Error()})
}

func (v *view) gaps(gaps []gap) {
	for _, g := range gaps {
		v.unreadable(g.path, g.err)
	}
}

// findSystem reads the system the target names, else the only one of the service. A BMC whose
// collection cannot be read (one was captured) is tried under the usual name of the first.
func (n *conn) findSystem(ctx context.Context, v *view) error {
	v.systemURI = n.system
	if n.view != nil && v.systemURI == "" {
		v.systemURI = n.view.systemURI // of this connection's last look
	}
	if v.systemURI == "" {
		collection := linkTo(n.root, "Systems")
		found, err := n.getExpanded(ctx, collection, &n.expand.collections, 1)
		members := found.Get("Members").Array()
		switch {
		case err != nil && (!errors.Is(err, hardware.ErrUnsupported) || collection == ""):
			return err
		case err != nil:
			v.unreadable(collection, err)
			v.systemURI = strings.TrimSuffix(collection, "/") + "/1"
		case len(members) == 0:
			return n.unsupported("the service lists no system")
		case len(members) > 1:
			if v.system, err = n.host(ctx, members); err == nil {
				v.systemURI = id(v.system.Result)
			}
			return err
		default:
			if v.systemURI = id(members[0]); expanded(members[0]) {
				v.system = inline(members[0])
				return nil
			}
		}
	}
	var err error
	v.system, err = n.get(ctx, v.systemURI)
	return err
}

// host picks the one system of several that has a BIOS: beside it a GPU baseboard is a system too
// (Supermicro GB300). Of several hosts, as in a chassis of blades, the target has to name one.
func (n *conn) host(ctx context.Context, members []gjson.Result) (doc, error) {
	systems, gaps := n.follow(ctx, members)
	if len(gaps) > 0 {
		return doc{}, gaps[0].err
	}
	var hosts []doc
	var names []string
	for _, s := range systems {
		names = append(names, id(s.Result))
		if s.Get("Bios").Exists() {
			hosts = append(hosts, s)
		}
	}
	if len(hosts) != 1 {
		return doc{}, &requestError{kind: hardware.ErrInvalid, text: fmt.Sprintf("redfish: %s: %v: the service has %d systems: add the path of one to the URL: %s",
			n.target.Node, hardware.ErrInvalid, len(names), strings.Join(names, ", "))}
	}
	return hosts[0], nil
}

func (n *conn) unsupported(what string) error {
	return &requestError{kind: hardware.ErrUnsupported, text: fmt.Sprintf("redfish: %s: %v: %s", n.target.Node, hardware.ErrUnsupported, what)}
}

// setSystem takes over what the system resource says.
func (n *conn) setSystem(v *view, d doc) {
	v.system, v.systemAt = d, n.c.clock.Now()
	s := v.snap
	if step := text(d, "BootProgress.LastState"); v.stepAt.IsZero() || step != s.System.BootProgress || text(d, "LastResetTime") != s.System.LastResetTime {
		v.stepAt = v.systemAt
	}
	s.System = hardware.System{
		Manufacturer: text(d, "Manufacturer"), Model: text(d, "Model"), Serial: text(d, "SerialNumber"), UUID: text(d, "UUID"),
		Power: power(text(d, "PowerState")), Health: text(d, "Status.Health"),
		LastResetTime: text(d, "LastResetTime"), BootProgress: text(d, "BootProgress.LastState"),
	}
	s.System.InPOST = n.inPOST(v)
	s.Processors = hardware.Processors{Count: int(d.Get("ProcessorSummary.Count").Int()), Cores: int(d.Get("ProcessorSummary.CoreCount").Int()),
		Threads: int(d.Get("ProcessorSummary.LogicalProcessorCount").Int()), Model: text(d, "ProcessorSummary.Model")}
	s.MemoryBytes = int64(d.Get("MemorySummary.TotalSystemMemoryGiB").Float() * (1 << 30))
	if version := text(d, "BiosVersion"); version != "" {
		s.Firmware["bios"] = version
	}
	n.setBoot(v, d)
}

// postPatience is how long firmware may show one and the same step. A machine that finds nothing
// to boot stays at its last for ever.
const postPatience = 10 * time.Minute

// inPOST reports whether firmware is still at work, as far as the BMC tells.
func (n *conn) inPOST(v *view) bool {
	if v.snap.System.Power == hardware.StateOff {
		return false
	}
	if r, ok := n.vendor.(POSTReader); ok {
		if in, known := r.InPOST(v.system.Result); known {
			return in
		}
	}
	switch v.snap.System.BootProgress {
	case "", "None", "OSBootStarted", "OSRunning", "SetupEntered", "OEM":
		return false
	}
	return v.systemAt.Sub(v.stepAt) < postPatience
}

func linkTo(d gjson.Result, name string) string { return id(d.Get(name)) }

func id(d gjson.Result) string { return d.Get(`\@odata\.id`).String() }

func text(d doc, path string) string { return strings.TrimSpace(d.Get(path).String()) }

func power(state string) hardware.PowerState {
	switch state {
	case "On", "Paused":
		return hardware.StateOn
	case "Off":
		return hardware.StateOff
	case "PoweringOn":
		return hardware.StatePoweringOn
	case "PoweringOff":
		return hardware.StatePoweringOff
	}
	return hardware.StateUnknown
}
