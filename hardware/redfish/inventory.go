package redfish

import (
	"context"
	"errors"
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

// readJobs lists the tasks and jobs that have not ended. An error means that there may be others.
func (n *conn) readJobs(ctx context.Context, v *view) error {
	v.snap.Jobs = nil
	if q, ok := n.vendor.(JobQueue); ok {
		if !v.managerRead {
			return n.unsupported("the BMC's own resource, which leads to its jobs, could not be read")
		}
		jobs, err := q.Jobs(ctx, n, v.manager.Result)
		if !errors.Is(err, ErrNoQueue) {
			v.snap.Jobs = slices.DeleteFunc(jobs, func(j hardware.Job) bool { return ended(j.State) })
			return err
		}
	}
	var errs []error
	for service, state := range map[string]string{"Tasks": "TaskState", "JobService": "JobState"} {
		link := n.root.Get(service)
		if !link.Exists() {
			continue
		}
		tasks, err := n.readTasks(ctx, link)
		errs = append(errs, err)
		for _, m := range tasks {
			if s := text(m, state); !ended(s) {
				v.snap.Jobs = append(v.snap.Jobs, hardware.Job{ID: text(m, "Id"), Name: text(m, "Name"), State: s,
					Percent: int(m.Get("PercentComplete").Int()), Message: text(m, "Messages.0.Message")})
			}
		}
	}
	slices.SortFunc(v.snap.Jobs, func(a, b hardware.Job) int { return strings.Compare(a.ID, b.ID) })
	return errors.Join(errs...)
}

// jobs is readJobs, but a service whose jobs cannot be read at all is taken to have none, unless
// its vendor is known for them.
func (n *conn) jobs(ctx context.Context, v *view) error {
	err := n.readJobs(ctx, v)
	if _, queued := n.vendor.(JobQueue); err != nil && !queued && (!passing(err) || errors.Is(err, hardware.ErrUnsupported)) && ctx.Err() == nil {
		n.c.log.Debug("redfish: jobs cannot be read", "node", n.target.Node, "error", err)
		return nil
	}
	return err
}

// readTasks follows a TaskService or JobService to its members. An expanding service gives the
// collection along with itself, so that where nothing is to be done one request tells.
func (n *conn) readTasks(ctx context.Context, link gjson.Result) ([]doc, error) {
	service, err := n.getExpanded(ctx, id(link), &n.expand.resources, 1)
	if err != nil {
		return nil, err
	}
	list := service.Get("Tasks")
	if !list.Exists() {
		list = service.Get("Jobs")
	}
	if !list.Exists() || list.Get("Members").Exists() && len(list.Get("Members").Array()) == 0 {
		return nil, nil
	}
	return n.allMembers(ctx, id(list))
}

// ended reports whether a task or job in this state will do no more. States are those of Task and
// Job (DSP2046), and of iDRAC's queue, which keeps the reboots it made.
func ended(state string) bool {
	switch state {
	case "Completed", "Exception", "Killed", "Cancelled", "Failed", "Invalid",
		"CompletedWithErrors", "RebootCompleted", "RebootFailed", "Skipped", "":
		return true
	}
	return false
}

// waiting reports whether a task or job waits, for a reset as a rule.
func waiting(state string) bool {
	switch state {
	case "New", "Pending", "Suspended", "UserIntervention", "Interrupted",
		"Scheduled", "Scheduling", "Waiting", "Paused", "Downloaded", "ReadyForExecution", "RebootPending", "PendingActivation":
		return true
	}
	return false
}

// running reports whether a job is at work. Those that wait are left out: Apply is what resets.
func running(jobs []hardware.Job) bool {
	return slices.ContainsFunc(jobs, func(j hardware.Job) bool { return !waiting(j.State) && !ended(j.State) })
}
