package redfishsim

import (
	"strings"
	"time"
)

const root = "/redfish/v1"

const (
	resetSystem  = "/Actions/ComputerSystem.Reset"
	resetManager = "/Actions/Manager.Reset"
	resetBIOS    = "/Actions/Bios.ResetBios"
	sessionsPath = "/SessionService/Sessions"
)

// paths are those of the resources that a BMC has one of, below root, without a slash at
// the end. Only links that leave the BMC have the personality's spelling; see view.uri.
type paths struct{ system, bios, settings, storage, chassis, manager string }

func (t *traits) paths() paths {
	p := paths{system: "/Systems/" + t.system, chassis: "/Chassis/" + t.chassis, manager: "/Managers/" + t.manager}
	p.bios, p.storage = p.system+"/Bios", p.system+"/Storage"
	if t.settings != "" {
		p.settings = p.bios + "/" + t.settings
	}
	return p
}

// canonical is the path below root, in the spelling of this package. ok is false outside.
func (b *BMC) canonical(path string) (below string, ok bool) {
	path = strings.TrimSuffix(path, "/")
	if len(path) < len(root) || path[:len(root)] != root || len(path) > len(root) && path[len(root)] != '/' {
		return "", false
	}
	path = path[len(root):]
	if !b.p.lowerCase || path == "" {
		return path, true
	}
	seg := strings.Split(path[1:], "/")
	for i, s := range seg {
		if word, known := b.words[strings.ToLower(s)]; known {
			seg[i] = word
		} else if hex, isOption := strings.CutPrefix(strings.ToLower(s), "boot"); isOption && len(hex) == 4 {
			seg[i] = "Boot" + strings.ToUpper(hex)
		}
	}
	return "/" + strings.Join(seg, "/"), true
}

// vocabulary maps what may be in a path from lower case to the spelling of this package.
func (b *BMC) vocabulary() map[string]string {
	spec := &b.machine.spec
	list := strings.Fields(`Systems Chassis Managers SessionService Sessions TaskService Tasks Registries AccountService Accounts
		UpdateService FirmwareInventory Bios Settings Pending Storage Volumes Drives Controllers EthernetInterfaces Processors
		Memory SecureBoot BootOptions Actions ComputerSystem.Reset Manager.Reset Bios.ResetBios`)
	for _, c := range spec.Controllers {
		list = append(list, c.ID)
	}
	for _, n := range spec.NICs {
		list = append(list, n.Name)
	}
	words := make(map[string]string, len(list))
	for _, w := range list {
		words[strings.ToLower(w)] = w
	}
	return words
}

// view builds resources from a machine that is locked and up to date.
type view struct {
	b    *BMC
	m    *Machine
	p    *traits
	spec *Spec
	path *paths
	now  time.Time
}

// look calls f with the machine's present state.
func (b *BMC) look(f func(v *view)) {
	_ = b.machine.do(func() error {
		f(&view{b: b, m: b.machine, p: b.p, spec: &b.machine.spec, path: &b.path, now: b.machine.now})
		return nil
	})
}

// uri spells a path as the personality does.
func (v *view) uri(path string) string { return v.b.uri(path) }

func (b *BMC) uri(path string) string {
	if !b.p.lowerCase {
		return root + path
	}
	return root + strings.ToLower(path) + "/"
}

func (v *view) link(path string) object { return object{"@odata.id": v.uri(path)} }

func (v *view) links(base string, ids []string) []any {
	out := make([]any, len(ids))
	for i, id := range ids {
		out[i] = v.link(base + "/" + id)
	}
	return out
}

func (v *view) collection(of, id, path string, ids []string) object {
	return object{"@odata.type": "#" + of + "Collection." + of + "Collection", "Name": id,
		"Members@odata.count": len(ids), "Members": v.links(path, ids)}
}

// resource builds what is at a path, nil if there is nothing.
func (v *view) resource(path string) object {
	var seg []string
	if path != "" {
		seg = strings.Split(path[1:], "/")
	}
	o := v.find(path, seg)
	if o == nil && v.p.find != nil {
		o = v.p.find(v, seg)
	}
	if o == nil {
		return nil
	}
	o["@odata.id"] = v.uri(path)
	if v.p.decorate != nil {
		v.p.decorate(v, path, o)
	}
	for _, name := range v.p.textNumbers {
		textNumber(o, name)
	}
	if v.b.knobs.Load().Malformed {
		malform(path, v.path, o)
	}
	return o
}

func (v *view) find(path string, seg []string) object {
	if v.p.registry != "" && strings.EqualFold(path, v.p.registryURI) {
		return v.registry()
	}
	if len(seg) == 0 {
		return v.serviceRoot()
	}
	switch seg[0] {
	case "Systems":
		switch {
		case len(seg) == 1:
			return v.collection("ComputerSystem", "Computer System Collection", "/Systems", []string{v.p.system})
		case seg[1] == v.p.system:
			return v.findInSystem(seg[2:])
		}
	case "Chassis":
		return v.findChassis(seg[1:])
	case "Managers":
		switch {
		case len(seg) == 1:
			return v.collection("Manager", "Manager Collection", "/Managers", []string{v.p.manager})
		case len(seg) == 2 && seg[1] == v.p.manager:
			return v.manager()
		}
	}
	return v.findService(seg)
}

func (v *view) findInSystem(seg []string) object {
	if len(seg) == 0 {
		return v.system()
	}
	if seg[0] == "Storage" {
		return v.findStorage(seg[1:])
	}
	switch name := strings.Join(seg, "/"); {
	case name == "Bios":
		return v.bios()
	case v.p.settings != "" && name == "Bios/"+v.p.settings:
		return v.settings()
	case name == "SecureBoot" && v.p.secureBoot:
		return v.secureBoot()
	}
	if len(seg) > 2 {
		return nil
	}
	switch seg[0] {
	case "EthernetInterfaces":
		return member(seg[1:], v.nics, v.nic)
	case "Processors":
		return member(seg[1:], v.processors, v.processor)
	case "Memory":
		return member(seg[1:], v.memory, v.dimm)
	case "BootOptions":
		if v.p.bootOrder {
			return member(seg[1:], v.bootOptions, v.bootOption)
		}
	}
	return nil
}

// member is a collection, or one of it.
func member(seg []string, all func() object, one func(id string) object) object {
	if len(seg) == 0 {
		return all()
	}
	return one(seg[0])
}

func (v *view) findService(seg []string) object {
	switch service, rest := seg[0], seg[1:]; {
	case service == "SessionService" && len(rest) == 0:
		return v.sessionService()
	case service == "SessionService" && rest[0] == "Sessions" && len(rest) < 3:
		return member(rest[1:], v.sessions, v.session)
	case service == "TaskService" && len(rest) == 0:
		return v.taskService()
	case service == "TaskService" && rest[0] == "Tasks" && len(rest) < 3:
		return member(rest[1:], v.tasks, v.task)
	case service == "UpdateService" && len(rest) == 0:
		return v.updateService()
	case service == "UpdateService" && rest[0] == "FirmwareInventory" && len(rest) < 3:
		return member(rest[1:], v.firmwareInventory, v.firmware)
	case service == "AccountService" && len(rest) == 0:
		return v.accountService()
	case service == "AccountService" && rest[0] == "Accounts" && len(rest) < 3:
		return member(rest[1:], v.accounts, v.account)
	case service == "Registries" && v.p.registry != "" && len(rest) < 2:
		return member(rest, v.registries, v.registryFile)
	}
	return nil
}

// expand replaces links by what they lead to, so many levels deep; those inside Links only for
// "*" (DSP0266, 7.3.1).
func (v *view) expand(o object, all bool, levels int) {
	for key, value := range o {
		if key == "Actions" || key == "@odata.id" || key == "Links" && !all {
			continue
		}
		switch value := value.(type) {
		case []any:
			for i, item := range value {
				if full := v.target(item, all, levels); full != nil {
					value[i] = full
				}
			}
		case object:
			if full := v.target(value, all, levels); full != nil {
				o[key] = full
			} else if key == "Links" {
				v.expand(value, all, levels)
			}
		}
	}
}

// target is what a bare link leads to, itself expanded one level less; nil for anything else.
func (v *view) target(value any, all bool, levels int) object {
	to, ok := value.(object)
	if !ok || len(to) != 1 {
		return nil
	}
	uri, _ := to["@odata.id"].(string)
	path, ok := v.b.canonical(uri)
	if !ok {
		return nil
	}
	full := v.resource(path)
	if full != nil {
		full["@odata.etag"] = etag(full)
		if levels > 1 {
			v.expand(full, all, levels-1)
		}
	}
	return full
}
