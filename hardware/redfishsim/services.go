package redfishsim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

func (v *view) serviceRoot() object {
	expand := object{"ExpandAll": v.p.expand == expandAll, "Levels": true, "Links": v.p.expand == expandAll, "NoLinks": true, "MaxLevels": v.p.expandLevels}
	if v.p.expand == expandNone {
		expand = object{"ExpandAll": false, "Levels": false, "Links": false, "NoLinks": false}
	}
	o := object{
		"@odata.type": "#ServiceRoot.v1_15_0.ServiceRoot", "Id": "RootService", "Name": "Root Service",
		"RedfishVersion": v.p.redfishVersion, "UUID": v.spec.UUID, "Vendor": v.spec.Manufacturer, "Product": v.p.product,
		"ProtocolFeaturesSupported": object{"ExpandQuery": expand, "SelectQuery": false, "FilterQuery": false, "ExcerptQuery": false},
		"Systems":                   v.link("/Systems"), "Chassis": v.link("/Chassis"), "Managers": v.link("/Managers"),
		"SessionService": v.link("/SessionService"), "Tasks": v.link("/TaskService"), "UpdateService": v.link("/UpdateService"),
		"AccountService": v.link("/AccountService"), "Links": object{"Sessions": v.link(sessionsPath)},
	}
	if v.p.registry != "" {
		o["Registries"] = v.link("/Registries")
	}
	return o
}

func (v *view) findChassis(seg []string) object {
	enclosures := []string{v.p.chassis}
	if v.p.chassisDrives {
		enclosures = append(enclosures, ids(v.spec.Controllers, func(c Controller) string { return c.ID })...)
	}
	switch {
	case len(seg) == 0:
		return v.collection("Chassis", "Chassis Collection", "/Chassis", enclosures)
	case seg[0] == v.p.chassis && len(seg) == 1:
		return v.chassis()
	case !v.p.chassisDrives:
		return nil
	}
	c, ok := v.spec.controller(seg[0])
	if !ok {
		return nil
	}
	path := "/Chassis/" + c.ID
	switch {
	case len(seg) == 1:
		return object{"@odata.type": "#Chassis.v1_23_0.Chassis", "Id": c.ID, "Name": "Drives of " + c.ID, "ChassisType": "StorageEnclosure",
			"Drives": v.link(path + "/Drives"), "Status": healthy(), "Links": object{"Storage": []any{v.link(v.path.storage + "/" + c.ID)}}}
	case len(seg) == 2 && seg[1] == "Drives":
		drives := v.driveLinks(func(d *Disk) bool { return d.Controller == c.ID })
		return object{"@odata.type": "#DriveCollection.DriveCollection", "Name": "Drive Collection", "Members@odata.count": len(drives), "Members": drives}
	case len(seg) == 3 && seg[1] == "Drives":
		return v.findDrive(c, seg[2])
	}
	return nil
}

func (v *view) chassis() object {
	return object{"@odata.type": "#Chassis.v1_23_0.Chassis", "Id": v.p.chassis, "Name": v.spec.Name, "ChassisType": "RackMount",
		"Manufacturer": v.spec.Manufacturer, "Model": v.spec.Model, "SerialNumber": v.spec.Serial, "Status": healthy(), "PowerState": v.powerState(),
		"Links": object{"ComputerSystems": []any{v.link(v.path.system)}, "ManagedBy": []any{v.link(v.path.manager)}}}
}

func (v *view) manager() object {
	o := object{"@odata.type": "#Manager.v1_18_0.Manager", "Id": v.p.manager, "Name": "BMC of " + v.spec.Name, "ManagerType": "BMC",
		"Manufacturer": v.spec.Manufacturer, "Model": v.p.bmcModel, "FirmwareVersion": v.spec.BMCVersion, "UUID": v.spec.UUID,
		"Status": healthy(), "PowerState": "On",
		"Links": object{"ManagerForServers": []any{v.link(v.path.system)}, "ManagerForChassis": []any{v.link(v.path.chassis)}},
		"Actions": object{"#Manager.Reset": object{"target": v.uri(v.path.manager + resetManager),
			"ResetType@Redfish.AllowableValues": []string{"GracefulRestart", "ForceRestart"}}}}
	if t := v.m.state.LastBMCReset; !t.IsZero() {
		o["LastResetTime"] = t.UTC().Format(time.RFC3339)
	}
	return o
}

func (v *view) taskService() object {
	return object{"@odata.type": "#TaskService.v1_2_1.TaskService", "Id": "TaskService", "Name": "Task Service",
		"ServiceEnabled": true, "Tasks": v.link("/TaskService/Tasks"), "Status": healthy()}
}

func (v *view) tasks() object {
	return v.collection("Task", "Task Collection", "/TaskService/Tasks", ids(v.m.state.Jobs, func(j Job) string { return j.ID }))
}

// task shows a job. One that waits for a reset is Starting, as iDRAC has it.
func (v *view) task(id string) object {
	i := slices.IndexFunc(v.m.state.Jobs, func(j Job) bool { return j.ID == id })
	if i < 0 {
		return nil
	}
	j := &v.m.state.Jobs[i]
	state, status := map[JobState]string{JobScheduled: "Starting", JobRunning: "Running", JobCompleted: "Completed", JobFailed: "Exception"}[j.State], "OK"
	if j.State == JobFailed {
		status = "Critical"
	}
	o := object{"@odata.type": "#Task.v1_7_4.Task", "Id": id, "Name": fmt.Sprintf("Configure: %s", j.Target), "TaskState": state, "TaskStatus": status,
		"PercentComplete": j.percent(v.now), "StartTime": j.Created.UTC().Format(time.RFC3339),
		"Messages": []any{object{"Message": j.Message, "MessageId": v.p.messages + ".Job"}}}
	if !j.Ended.IsZero() {
		o["EndTime"] = j.Ended.UTC().Format(time.RFC3339)
	}
	return o
}

func (v *view) sessionService() object {
	return object{"@odata.type": "#SessionService.v1_1_9.SessionService", "Id": "SessionService", "Name": "Session Service",
		"ServiceEnabled": true, "SessionTimeout": 1800, "Sessions": v.link(sessionsPath), "Status": healthy()}
}

func (v *view) sessions() object {
	v.b.mu.Lock()
	open := slices.Sorted(maps.Keys(v.b.sessions))
	v.b.mu.Unlock()
	return v.collection("Session", "Session Collection", sessionsPath, open)
}

func (v *view) session(id string) object {
	v.b.mu.Lock()
	_, open := v.b.sessions[id]
	v.b.mu.Unlock()
	if !open {
		return nil
	}
	return object{"@odata.type": "#Session.v1_7_1.Session", "Id": id, "Name": "User Session", "UserName": v.b.config.Username}
}

func (v *view) accountService() object {
	return object{"@odata.type": "#AccountService.v1_15_0.AccountService", "Id": "AccountService", "Name": "Account Service",
		"ServiceEnabled": true, "Accounts": v.link("/AccountService/Accounts"), "Status": healthy()}
}

func (v *view) accounts() object {
	return v.collection("ManagerAccount", "Account Collection", "/AccountService/Accounts", []string{"1"})
}

func (v *view) account(id string) object {
	if id != "1" {
		return nil
	}
	return object{"@odata.type": "#ManagerAccount.v1_12_0.ManagerAccount", "Id": id, "Name": "User Account", "UserName": v.b.config.Username,
		"Password": nil, "RoleId": "Administrator", "Enabled": true, "Locked": false}
}

func (v *view) updateService() object {
	return object{"@odata.type": "#UpdateService.v1_14_0.UpdateService", "Id": "UpdateService", "Name": "Update Service",
		"ServiceEnabled": true, "FirmwareInventory": v.link("/UpdateService/FirmwareInventory"), "Status": healthy()}
}

// part is something with firmware.
type part struct{ id, name, version string }

func (m *Machine) parts() []part {
	out := []part{{"BIOS", "BIOS", m.spec.BIOSVersion}, {"BMC", m.traits.bmcModel, m.spec.BMCVersion}}
	for _, n := range m.spec.NICs {
		out = append(out, part{"NIC." + n.Name, "Network Adapter " + n.Name, n.Firmware})
	}
	for _, c := range m.spec.Controllers {
		out = append(out, part{"Storage." + c.ID, c.Model, c.Firmware})
	}
	seen := map[string]bool{}
	for _, d := range m.spec.Disks {
		if d.Model != "" && !seen[d.Model] {
			seen[d.Model] = true
			out = append(out, part{"Drive." + strings.ReplaceAll(d.Model, "/", "-"), d.Model, d.Firmware})
		}
	}
	return out
}

func (m *Machine) firmwareIDs() []string { return ids(m.parts(), func(p part) string { return p.id }) }

func (v *view) firmwareInventory() object {
	return v.collection("SoftwareInventory", "Firmware Inventory Collection", "/UpdateService/FirmwareInventory", v.m.firmwareIDs())
}

func (v *view) firmware(id string) object {
	for _, p := range v.m.parts() {
		if strings.EqualFold(p.id, id) {
			return object{"@odata.type": "#SoftwareInventory.v1_10_0.SoftwareInventory", "Id": p.id, "Name": p.name, "Version": p.version, "Updateable": true, "Status": healthy()}
		}
	}
	return nil
}
