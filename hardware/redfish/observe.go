package redfish

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// view is a snapshot with the links that are needed to change what it shows.
type view struct {
	snap        *hardware.Snapshot
	systemURI   string
	system      doc
	biosURI     string
	settingsURI string
	settings    doc
	onReset     bool // the BMC advertises SettingsApplyTime OnReset
	controllers map[string]*links
}

type links struct {
	volumesURI string
	drives     map[string]string // identity to URI
	identities map[string]string // URI to identity
	volumes    map[string]string // ID to URI
}

// Observe implements hardware.Configurator.
func (c *Configurator) Observe(ctx context.Context, t hardware.Target) (*hardware.Snapshot, error) {
	n, err := c.connect(ctx, t)
	if err != nil {
		return nil, err
	}
	v, err := n.observe(ctx)
	requests := n.close(ctx)
	if err != nil {
		return nil, err
	}
	v.snap.Requests = requests
	return v.snap, nil
}

func (n *conn) observe(ctx context.Context) (*view, error) {
	v := &view{
		snap:        &hardware.Snapshot{Node: n.target.Node, TakenAt: n.c.clock.Now().UTC(), Firmware: map[string]string{}},
		controllers: map[string]*links{},
	}
	if err := n.findSystem(ctx, v); err != nil {
		return nil, err
	}
	v.setSystem(v.system)
	n.readBIOS(ctx, v)
	n.readStorage(ctx, v)
	n.readInterfaces(ctx, v)
	n.readManager(ctx, v)
	n.readJobs(ctx, v)
	if err := ctx.Err(); err != nil {
		return nil, n.fail(ctx, "observe", err)
	}
	return v, nil
}

func (v *view) unreadable(path string, err error) {
	v.snap.Unreadable = append(v.snap.Unreadable, hardware.Unreadable{Path: path, Reason: err.Error()})
}

// findSystem reads the system the target names, else the first of the service. A BMC whose
// collection cannot be read (one was captured) is tried under the usual name of the first.
func (n *conn) findSystem(ctx context.Context, v *view) error {
	v.systemURI = n.system
	if v.systemURI == "" {
		collection := linkTo(n.root, "Systems")
		found, err := n.get(ctx, collection)
		if err != nil {
			if !errorsIsUnsupported(err) || collection == "" {
				return err
			}
			v.unreadable(collection, err)
			v.systemURI = strings.TrimSuffix(collection, "/") + "/1"
		} else if v.systemURI = id(found.Get("Members.0")); v.systemURI == "" {
			return &requestError{kind: hardware.ErrUnsupported, text: fmt.Sprintf("redfish: %s: %v: the service lists no system", n.target.Node, hardware.ErrUnsupported)}
		}
	}
	var err error
	v.system, err = n.get(ctx, v.systemURI)
	return err
}

// setSystem takes over what the system resource says.
func (v *view) setSystem(d doc) {
	v.system = d
	s := v.snap
	s.System = hardware.System{
		Manufacturer: text(d, "Manufacturer"), Model: text(d, "Model"), Serial: text(d, "SerialNumber"), UUID: text(d, "UUID"),
		Power: power(text(d, "PowerState")), Health: text(d, "Status.Health"),
		LastResetTime: text(d, "LastResetTime"), BootProgress: text(d, "BootProgress.LastState"),
	}
	s.Processors = hardware.Processors{Count: int(d.Get("ProcessorSummary.Count").Int()), Cores: int(d.Get("ProcessorSummary.CoreCount").Int()),
		Threads: int(d.Get("ProcessorSummary.LogicalProcessorCount").Int()), Model: text(d, "ProcessorSummary.Model")}
	s.MemoryBytes = int64(d.Get("MemorySummary.TotalSystemMemoryGiB").Float() * (1 << 30))
	s.Boot = hardware.Boot{Enabled: text(d, "Boot.BootSourceOverrideEnabled"), Mode: text(d, "Boot.BootSourceOverrideMode"),
		Target: bootTarget(text(d, "Boot.BootSourceOverrideTarget"))}
	if version := text(d, "BiosVersion"); version != "" {
		s.Firmware["bios"] = version
	}
}

func (n *conn) readBIOS(ctx context.Context, v *view) {
	v.biosURI = linkTo(v.system.Result, "Bios")
	if v.biosURI == "" {
		return
	}
	bios, err := n.get(ctx, v.biosURI)
	if err != nil {
		v.unreadable(v.biosURI, err)
		return
	}
	v.settingsURI = bios.Get(`\@Redfish\.Settings.SettingsObject.\@odata\.id`).String()
	for _, t := range bios.Get(`\@Redfish\.Settings.SupportedApplyTimes`).Array() {
		v.onReset = v.onReset || t.String() == "OnReset"
	}
	n.setBIOS(ctx, v, bios)
	if name := text(bios, "AttributeRegistry"); name != "" {
		v.snap.BIOS.Registry = n.readRegistry(ctx, v, name)
	}
	v.snap.BIOS.Intents = bind(v.snap.BIOS)
}

// setBIOS takes over the values in effect and reads those that pend.
func (n *conn) setBIOS(ctx context.Context, v *view, bios doc) {
	v.snap.BIOS.Attributes = attributes(bios)
	v.snap.BIOS.Pending = nil
	if v.settingsURI == "" {
		// Some BMCs (Gigabyte) have no settings object and take changes on Bios itself.
		v.settings = bios
		return
	}
	settings, err := n.get(ctx, v.settingsURI)
	if err != nil {
		v.unreadable(v.settingsURI, err)
		return
	}
	v.settings = settings
	// Some settings objects repeat every attribute, some list only what pends.
	pending := attributes(settings)
	for name, value := range pending {
		if current, ok := v.snap.BIOS.Attributes[name]; ok && current == value {
			delete(pending, name)
		}
	}
	if len(pending) > 0 {
		v.snap.BIOS.Pending = pending
	}
}

func attributes(d doc) map[string]any {
	out := map[string]any{}
	d.Get("Attributes").ForEach(func(key, value gjson.Result) bool {
		switch value.Type {
		case gjson.String:
			out[key.String()] = value.String()
		case gjson.True, gjson.False:
			out[key.String()] = value.Bool()
		case gjson.Number:
			if f := value.Float(); f == float64(value.Int()) {
				out[key.String()] = value.Int()
			} else {
				out[key.String()] = f
			}
		}
		return true
	})
	return out
}

// readRegistry follows Registries to the file named by the BIOS. The name in the collection
// may carry a suffix, so it is found by prefix.
func (n *conn) readRegistry(ctx context.Context, v *view, name string) *hardware.Registry {
	collection := linkTo(n.root, "Registries")
	if collection == "" {
		return nil
	}
	list, err := n.get(ctx, collection)
	if err != nil {
		v.unreadable(collection, err)
		return nil
	}
	var uri string
	for _, m := range list.Get("Members").Array() {
		if member := id(m); strings.HasSuffix(strings.TrimSuffix(member, "/"), "/"+name) {
			uri = member
		}
	}
	if uri == "" {
		return nil
	}
	file, err := n.get(ctx, uri)
	if err != nil {
		v.unreadable(uri, err)
		return nil
	}
	var where string
	for _, l := range file.Get("Location").Array() {
		if where == "" || strings.HasPrefix(l.Get("Language").String(), "en") {
			where = l.Get("Uri").String()
		}
	}
	if where == "" {
		return nil
	}
	body, err := n.get(ctx, where)
	if err != nil {
		v.unreadable(where, err)
		return nil
	}
	return registry(name, body)
}

func registry(name string, d doc) *hardware.Registry {
	r := &hardware.Registry{ID: name, Attributes: map[string]hardware.Attribute{}}
	for _, e := range d.Get("RegistryEntries.Attributes").Array() {
		a := hardware.Attribute{Type: hardware.AttributeType(e.Get("Type").String()), ReadOnly: e.Get("ReadOnly").Bool()}
		for _, value := range e.Get("Value").Array() {
			a.Values = append(a.Values, value.Get("ValueName").String())
		}
		low, high := "LowerBound", "UpperBound"
		if a.Type == hardware.TypeString || a.Type == hardware.TypePassword {
			low, high = "MinLength", "MaxLength"
		}
		a.Min, a.Max = number(e, low), number(e, high)
		reset := e.Get("ResetRequired")
		a.AppliesAtOnce = reset.Exists() && reset.Type == gjson.False
		r.Attributes[e.Get("AttributeName").String()] = a
	}
	return r
}

func number(d gjson.Result, key string) *int64 {
	v := d.Get(key)
	if v.Type != gjson.Number {
		return nil
	}
	n := v.Int()
	return &n
}

func (n *conn) readInterfaces(ctx context.Context, v *view) {
	uri := linkTo(v.system.Result, "EthernetInterfaces")
	if uri == "" {
		return
	}
	members, _ := n.members(ctx, v, uri)
	for _, m := range members {
		mac := text(m, "PermanentMACAddress")
		if mac == "" {
			mac = text(m, "MACAddress")
		}
		v.snap.Interfaces = append(v.snap.Interfaces, hardware.Interface{ID: text(m, "Id"), Name: text(m, "Name"),
			MAC: strings.ToLower(mac), SpeedMbps: m.Get("SpeedMbps").Int(), Link: text(m, "LinkStatus")})
	}
}

func (n *conn) readManager(ctx context.Context, v *view) {
	uri := id(v.system.Get("Links.ManagedBy.0"))
	if uri == "" {
		return
	}
	m, err := n.get(ctx, uri)
	if err != nil {
		v.unreadable(uri, err)
		return
	}
	if version := text(m, "FirmwareVersion"); version != "" {
		v.snap.Firmware["bmc"] = version
	}
}

// readJobs lists the tasks that have not ended.
func (n *conn) readJobs(ctx context.Context, v *view) {
	uri := linkTo(n.root, "Tasks")
	if uri == "" {
		return
	}
	service, err := n.get(ctx, uri)
	if err != nil {
		v.unreadable(uri, err)
		return
	}
	tasks := linkTo(service.Result, "Tasks")
	if tasks == "" {
		return
	}
	members, _ := n.members(ctx, v, tasks)
	for _, m := range members {
		state := text(m, "TaskState")
		if !slices.Contains([]string{"Completed", "Exception", "Killed", "Cancelled", ""}, state) {
			v.snap.Jobs = append(v.snap.Jobs, hardware.Job{ID: text(m, "Id"), Name: text(m, "Name"), State: state, Percent: int(m.Get("PercentComplete").Int())})
		}
	}
}

// members reads a collection and what is in it, in one request where the service expands.
// Members that cannot be read are listed as such; complete is false then.
func (n *conn) members(ctx context.Context, v *view, uri string) (out []doc, complete bool) {
	complete = true
	for pages := 0; uri != "" && pages < 100; pages++ {
		list, err := n.getExpanded(ctx, uri)
		if err != nil {
			v.unreadable(uri, err)
			return out, false
		}
		docs, all := n.follow(ctx, v, list.Get("Members").Array())
		out, complete = append(out, docs...), complete && all
		uri = list.Get(`Members\@odata\.nextLink`).String()
	}
	return out, complete
}

// follow reads the resources behind links, except those that came expanded.
func (n *conn) follow(ctx context.Context, v *view, list []gjson.Result) (out []doc, complete bool) {
	complete = true
	for _, m := range list {
		if len(m.Map()) > 1 {
			out = append(out, doc{Result: m})
			continue
		}
		d, err := n.get(ctx, id(m))
		if err != nil {
			v.unreadable(id(m), err)
			complete = false
			continue
		}
		out = append(out, d)
	}
	return out, complete
}

// getExpanded asks for the members along with the collection. A service that claims to
// expand and then fails is not asked again.
func (n *conn) getExpanded(ctx context.Context, uri string) (doc, error) {
	if n.expand && !strings.Contains(uri, "?") {
		d, err := n.get(ctx, uri+"?$expand=.($levels=1)")
		if err == nil || statusOf(err) == 0 || errorsIsUnsupported(err) && statusOf(err) == 404 {
			return d, err
		}
		n.expand = false
	}
	return n.get(ctx, uri)
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

// bootTargets maps our names to Redfish's BootSource.
func bootTargets() map[hardware.BootTarget]string {
	return map[hardware.BootTarget]string{hardware.BootNone: "None", hardware.BootPXE: "Pxe", hardware.BootDisk: "Hdd", hardware.BootCD: "Cd"}
}

func bootTarget(source string) hardware.BootTarget {
	for ours, theirs := range bootTargets() {
		if theirs == source {
			return ours
		}
	}
	return hardware.BootTarget(strings.ToLower(source))
}
