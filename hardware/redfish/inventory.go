package redfish

import (
	"context"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/hardware"
)

func (n *conn) readInterfaces(ctx context.Context, v *view) {
	link := v.system.Get("EthernetInterfaces")
	if !link.Exists() {
		return
	}
	members, _ := n.members(ctx, v, id(link))
	for _, m := range members {
		mac := text(m, "PermanentMACAddress")
		if mac == "" {
			mac = text(m, "MACAddress")
		}
		if kind := text(m, "EthernetInterfaceType"); kind != "" && kind != "Physical" || m.Get("VLAN.VLANId").Exists() && mac == "" {
			continue // a VLAN or bond
		}
		v.snap.Interfaces = append(v.snap.Interfaces, hardware.Interface{ID: text(m, "Id"), Name: text(m, "Name"),
			MAC: strings.ToLower(mac), SpeedMbps: m.Get("SpeedMbps").Int(), Link: text(m, "LinkStatus")})
	}
}

// readManager reads the BMC's own resource: it is named by the system, else the service's first.
func (n *conn) readManager(ctx context.Context, v *view) {
	if n.view != nil && n.view.managerRead {
		v.setManager(n.view.manager) // does not change within a session
		return
	}
	uri := id(v.system.Get("Links.ManagedBy.0"))
	if uri == "" {
		collection := linkTo(n.root, "Managers")
		if collection == "" {
			return
		}
		list, err := n.get(ctx, collection)
		if err != nil {
			v.unreadable(collection, err)
			return
		}
		if uri = id(list.Get("Members.0")); uri == "" {
			return
		}
	}
	m, err := n.get(ctx, uri)
	if err != nil {
		v.unreadable(uri, err)
		return
	}
	v.setManager(m)
}

func (v *view) setManager(m doc) {
	v.manager, v.managerRead = m, true
	b := &v.snap.BMC
	b.Model, b.Firmware, b.Health = text(m, "Model"), text(m, "FirmwareVersion"), text(m, "Status.Health")
	if b.UUID == "" {
		b.UUID = text(m, "UUID")
	}
	if b.Firmware != "" {
		v.snap.Firmware["bmc"] = b.Firmware
	}
}

// readFirmware lists what the update service knows, by Id.
func (n *conn) readFirmware(ctx context.Context, v *view) {
	service := n.root.Get("UpdateService")
	if !service.Exists() {
		return
	}
	d, err := n.resource(ctx, service, doc{})
	if err != nil {
		v.unreadable(id(service), err)
		return
	}
	uri := linkTo(d.Result, "FirmwareInventory")
	if uri == "" {
		return
	}
	members, _ := n.members(ctx, v, uri)
	for _, m := range members {
		if name, version := text(m, "Id"), text(m, "Version"); name != "" && version != "" {
			v.snap.Firmware[name] = version
		}
	}
}

// readJobs lists the tasks and jobs that have not ended.
func (n *conn) readJobs(ctx context.Context, v *view) {
	v.snap.Jobs = nil
	if q, ok := n.vendor.(JobQueue); ok && v.managerRead {
		jobs, err := q.Jobs(ctx, n, v.manager.Result)
		if err != nil {
			v.unreadable(id(v.manager.Result), err)
		}
		v.snap.Jobs = jobs
		return
	}
	for service, state := range map[string]string{"Tasks": "TaskState", "JobService": "JobState"} {
		link := n.root.Get(service)
		if !link.Exists() {
			continue
		}
		for _, m := range n.readTasks(ctx, v, link) {
			if s := text(m, state); !ended(s) {
				v.snap.Jobs = append(v.snap.Jobs, hardware.Job{ID: text(m, "Id"), Name: text(m, "Name"), State: s,
					Percent: int(m.Get("PercentComplete").Int()), Message: text(m, "Messages.0.Message")})
			}
		}
	}
	slices.SortFunc(v.snap.Jobs, func(a, b hardware.Job) int { return strings.Compare(a.ID, b.ID) })
}

// readTasks follows a TaskService or JobService to its members. An expanding service gives the
// collection along with itself, so that where nothing is to be done one request tells.
func (n *conn) readTasks(ctx context.Context, v *view, link gjson.Result) []doc {
	service, err := n.getExpanded(ctx, id(link), &n.expand.resources, 1)
	if err != nil {
		v.unreadable(id(link), err)
		return nil
	}
	list := service.Get("Tasks")
	if !list.Exists() {
		list = service.Get("Jobs")
	}
	if !list.Exists() || list.Get("Members").Exists() && len(list.Get("Members").Array()) == 0 {
		return nil
	}
	members, _ := n.members(ctx, v, id(list))
	return members
}

// ended reports whether a task or job in this state will do no more.
func ended(state string) bool {
	switch state {
	case "Completed", "CompletedWithErrors", "Exception", "Killed", "Cancelled", "Failed", "RebootFailed", "Skipped", "Invalid", "Validating", "":
		return state != "Validating"
	}
	return false
}

// waiting reports whether a task or job waits for a reset.
func waiting(state string) bool {
	switch state {
	case "New", "Pending", "Scheduled", "Suspended", "ReadyForExecution", "RebootPending", "PendingActivation":
		return true
	}
	return false
}

// running reports whether a job is at work. Those that wait for a reset are left out: Apply is
// what resets.
func running(jobs []hardware.Job) bool {
	return slices.ContainsFunc(jobs, func(j hardware.Job) bool { return !waiting(j.State) && !ended(j.State) })
}
