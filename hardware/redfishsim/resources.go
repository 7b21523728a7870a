package redfishsim

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/crowbarkit/crowbarkit/hardware"
)

const (
	root         = "/redfish/v1"
	sessionsPath = root + "/SessionService/Sessions"
	systemPath   = root + "/Systems/1"
	chassisPath  = root + "/Chassis/1"
	managerPath  = root + "/Managers/1"
	registryID   = "BiosAttributeRegistry.v1_0_0"
)

// resource builds the resource at path from the machine's present state, nil if there is
// none. Paths have no trailing slash.
func (b *BMC) resource(path string) object {
	spec, s := b.machine.spec, b.machine.State()
	if build, ok := b.fixed()[path]; ok {
		return typed(path, build(spec, s))
	}
	parent, id := path[:max(strings.LastIndex(path, "/"), 0)], path[strings.LastIndex(path, "/")+1:]
	switch parent {
	case sessionsPath:
		b.mu.Lock()
		defer b.mu.Unlock()
		if _, ok := b.sessions[id]; ok {
			return b.session(id)
		}
		return nil
	case systemPath + "/EthernetInterfaces":
		for _, n := range spec.NICs {
			if n.Name == id {
				return typed(path, nicResource(n))
			}
		}
		return nil
	case systemPath + "/Processors":
		for i := range spec.CPUs {
			if id == fmt.Sprintf("CPU.%d", i+1) {
				return typed(path, processor(spec, id))
			}
		}
		return nil
	case systemPath + "/Storage":
		if c, ok := spec.controller(id); ok {
			return typed(path, storage(spec, c))
		}
		return nil
	}
	rest, ok := strings.CutPrefix(path, systemPath+"/Storage/")
	if !ok {
		return nil
	}
	part := strings.Split(rest, "/")
	c, ok := spec.controller(part[0])
	if !ok || len(part) < 2 {
		return nil
	}
	switch {
	case part[1] == "Drives" && len(part) == 3:
		if d, ok := spec.disk(part[2]); ok && d.Controller == c.ID {
			return typed(path, drive(spec, s, d))
		}
	case part[1] == "Volumes" && len(c.RAIDLevels) == 0:
		return nil
	case part[1] == "Volumes" && len(part) == 2:
		var ids []string
		for _, v := range s.Volumes {
			if v.Controller == c.ID {
				ids = append(ids, v.ID)
			}
		}
		return typed(path, collection("Volume", path, ids))
	case part[1] == "Volumes" && len(part) == 3:
		for _, v := range s.Volumes {
			if v.Controller == c.ID && v.ID == part[2] {
				return typed(path, volume(v))
			}
		}
	}
	return nil
}

func typed(path string, o object) object {
	o["@odata.id"] = path
	return o
}

func link(path string) object { return object{"@odata.id": path} }

func links(base string, ids []string) []any {
	out := make([]any, len(ids))
	for i, id := range ids {
		out[i] = link(base + "/" + id)
	}
	return out
}

func collection(of, path string, ids []string) object {
	return object{
		"@odata.type": fmt.Sprintf("#%sCollection.%sCollection", of, of), "Name": of + " Collection",
		"Members@odata.count": len(ids), "Members": links(path, ids),
	}
}

func healthy() object { return object{"State": "Enabled", "Health": "OK"} }

// fixed lists the resources that every machine has.
func (b *BMC) fixed() map[string]func(Spec, State) object {
	return map[string]func(Spec, State) object{
		"/redfish":               func(Spec, State) object { return object{"v1": root + "/"} },
		root:                     serviceRoot,
		root + "/Systems":        func(Spec, State) object { return collection("ComputerSystem", root+"/Systems", []string{"1"}) },
		root + "/Chassis":        func(Spec, State) object { return collection("Chassis", root+"/Chassis", []string{"1"}) },
		root + "/Managers":       func(Spec, State) object { return collection("Manager", root+"/Managers", []string{"1"}) },
		systemPath:               system,
		systemPath + "/Bios":     bios,
		settingsPath:             settings,
		chassisPath:              chassis,
		managerPath:              manager,
		root + "/SessionService": b.sessionService,
		sessionsPath:             b.sessionCollection,
		root + "/TaskService":    taskService,
		root + "/TaskService/Tasks": func(Spec, State) object {
			return collection("Task", root+"/TaskService/Tasks", nil)
		},
		root + "/Registries": func(Spec, State) object {
			return collection("MessageRegistryFile", root+"/Registries", []string{registryID})
		},
		root + "/Registries/" + registryID:                    registryFile,
		root + "/Registries/" + registryID + "/registry.json": registry,
		systemPath + "/Storage": func(spec Spec, _ State) object {
			return collection("Storage", systemPath+"/Storage", ids(spec.Controllers, func(c Controller) string { return c.ID }))
		},
		systemPath + "/EthernetInterfaces": func(spec Spec, _ State) object {
			return collection("EthernetInterface", systemPath+"/EthernetInterfaces", ids(spec.NICs, func(n NIC) string { return n.Name }))
		},
		systemPath + "/Processors": func(spec Spec, _ State) object {
			return collection("Processor", systemPath+"/Processors", cpuIDs(spec))
		},
	}
}

const settingsPath = systemPath + "/Bios/Settings"

func ids[T any](list []T, id func(T) string) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = id(v)
	}
	return out
}

func cpuIDs(spec Spec) []string {
	out := make([]string, spec.CPUs)
	for i := range out {
		out[i] = fmt.Sprintf("CPU.%d", i+1)
	}
	return out
}

func serviceRoot(spec Spec, _ State) object {
	return object{
		"@odata.type": "#ServiceRoot.v1_15_0.ServiceRoot", "Id": "RootService", "Name": "Root Service",
		"RedfishVersion": "1.17.0", "UUID": spec.UUID, "Vendor": spec.Manufacturer, "Product": "Simulated BMC",
		"ProtocolFeaturesSupported": object{
			"ExpandQuery":  object{"ExpandAll": false, "Levels": true, "Links": false, "NoLinks": true, "MaxLevels": 1},
			"SelectQuery":  false,
			"FilterQuery":  false,
			"ExcerptQuery": false,
		},
		"Systems": link(root + "/Systems"), "Chassis": link(root + "/Chassis"), "Managers": link(root + "/Managers"),
		"SessionService": link(root + "/SessionService"), "Tasks": link(root + "/TaskService"),
		"Registries": link(root + "/Registries"), "Links": object{"Sessions": link(sessionsPath)},
	}
}

func system(spec Spec, s State) object {
	power := "On"
	progress := map[Power]string{PowerOff: "None", PowerCycling: "None", PowerPOST: "SystemHardwareInitializationComplete",
		PowerOn: "OSBootStarted", PowerShutdown: "OSRunning"}[s.Power]
	if s.Power == PowerOff || s.Power == PowerCycling {
		power = "Off"
	}
	o := object{
		"@odata.type": "#ComputerSystem.v1_20_0.ComputerSystem", "Id": "1", "Name": spec.Name, "SystemType": "Physical",
		"Manufacturer": spec.Manufacturer, "Model": spec.Model, "SerialNumber": spec.Serial, "UUID": spec.UUID,
		"BiosVersion": spec.BIOSVersion, "PowerState": power, "Status": healthy(),
		"BootProgress":     object{"LastState": progress},
		"ProcessorSummary": object{"Count": spec.CPUs, "CoreCount": spec.CPUs * spec.Cores, "LogicalProcessorCount": threads(spec, s), "Model": spec.CPUModel, "Status": healthy()},
		"MemorySummary":    object{"TotalSystemMemoryGiB": float64(spec.MemoryBytes) / (1 << 30), "Status": healthy()},
		"Boot": object{
			"BootSourceOverrideEnabled": s.BootEnabled, "BootSourceOverrideTarget": s.BootTarget, "BootSourceOverrideMode": bootMode(s),
			"BootSourceOverrideTarget@Redfish.AllowableValues": []string{"None", "Pxe", "Hdd", "Cd"},
		},
		"Bios": link(systemPath + "/Bios"), "Storage": link(systemPath + "/Storage"),
		"EthernetInterfaces": link(systemPath + "/EthernetInterfaces"), "Processors": link(systemPath + "/Processors"),
		"Links": object{"Chassis": []any{link(chassisPath)}, "ManagedBy": []any{link(managerPath)}},
		"Actions": object{"#ComputerSystem.Reset": object{
			"target": resetPath, "ResetType@Redfish.AllowableValues": ResetTypes()}},
	}
	if !s.LastReset.IsZero() {
		o["LastResetTime"] = s.LastReset.UTC().Format(time.RFC3339Nano)
	}
	return o
}

const resetPath = systemPath + "/Actions/ComputerSystem.Reset"

func threads(spec Spec, s State) int {
	n := spec.CPUs * spec.Cores
	if s.BIOS["LogicalProc"] != "Disabled" {
		n *= 2
	}
	return n
}

func bootMode(s State) string {
	if s.BIOS["BootMode"] == "Bios" {
		return "Legacy"
	}
	return "UEFI"
}

func bios(_ Spec, s State) object {
	return object{
		"@odata.type": "#Bios.v1_2_3.Bios", "Id": "Bios", "Name": "BIOS Configuration Current Settings",
		"AttributeRegistry": registryID, "Attributes": s.BIOS,
		"@Redfish.Settings": object{
			"@odata.type": "#Settings.v1_3_5.Settings", "SettingsObject": link(settingsPath),
			"SupportedApplyTimes": []string{"OnReset"},
		},
		"Actions": object{"#Bios.ResetBios": object{"target": systemPath + "/Bios/Actions/Bios.ResetBios"}},
	}
}

func settings(_ Spec, s State) object {
	return object{
		"@odata.type": "#Bios.v1_2_3.Bios", "Id": "Settings", "Name": "BIOS Configuration Pending Settings",
		"AttributeRegistry": registryID, "Attributes": s.Pending,
	}
}

func registryFile(Spec, State) object {
	return object{
		"@odata.type": "#MessageRegistryFile.v1_1_3.MessageRegistryFile", "Id": registryID, "Name": "BIOS Attribute Registry File",
		"Registry": registryID, "Languages": []string{"en"},
		"Location": []any{object{"Language": "en", "Uri": root + "/Registries/" + registryID + "/registry.json"}},
	}
}

func registry(spec Spec, _ State) object {
	var entries []any
	for _, a := range spec.Attributes {
		e := object{"AttributeName": a.Name, "DisplayName": a.DisplayName, "Type": a.Type, "ReadOnly": a.ReadOnly, "ResetRequired": !a.Immediate}
		switch a.Type {
		case hardware.TypeEnumeration:
			var values []any
			for _, v := range a.Values {
				values = append(values, object{"ValueName": v, "ValueDisplayName": v})
			}
			e["Value"] = values
		case hardware.TypeInteger:
			e["LowerBound"], e["UpperBound"] = a.Min, a.Max
		case hardware.TypeString:
			e["MinLength"], e["MaxLength"] = a.Min, a.Max
		}
		entries = append(entries, e)
	}
	return object{
		"@odata.type": "#AttributeRegistry.v1_3_8.AttributeRegistry", "Id": registryID, "Name": "BIOS Attribute Registry",
		"Language": "en", "OwningEntity": spec.Manufacturer, "RegistryVersion": "1.0.0",
		"RegistryEntries": object{"Attributes": entries},
	}
}

func nicResource(n NIC) object {
	return object{
		"@odata.type": "#EthernetInterface.v1_12_0.EthernetInterface", "Id": n.Name, "Name": n.Name, "MACAddress": n.MAC,
		"PermanentMACAddress": n.MAC, "SpeedMbps": n.SpeedMbps, "LinkStatus": "LinkUp", "InterfaceEnabled": true, "Status": healthy(),
	}
}

func processor(spec Spec, id string) object {
	return object{
		"@odata.type": "#Processor.v1_18_0.Processor", "Id": id, "Name": id, "Socket": id, "ProcessorType": "CPU",
		"Model": spec.CPUModel, "TotalCores": spec.Cores, "Status": healthy(),
	}
}

func storage(spec Spec, c Controller) object {
	path := systemPath + "/Storage/" + c.ID
	drives := []string{}
	for _, d := range spec.Disks {
		if d.Controller == c.ID {
			drives = append(drives, d.Serial)
		}
	}
	o := object{
		"@odata.type": "#Storage.v1_15_1.Storage", "Id": c.ID, "Name": c.Model, "Status": healthy(),
		"Drives@odata.count": len(drives), "Drives": links(path+"/Drives", drives),
	}
	member := object{"@odata.id": path + "#/StorageControllers/0", "MemberId": "0", "Name": c.Model, "Model": c.Model}
	if len(c.RAIDLevels) > 0 {
		member["SupportedRAIDTypes"] = c.RAIDLevels
		o["Volumes"] = link(path + "/Volumes")
	}
	o["StorageControllers"] = []any{member}
	return o
}

func drive(spec Spec, s State, d Disk) object {
	volumes := []any{}
	for _, v := range s.Volumes {
		if slices.Contains(v.Disks, d.Serial) {
			volumes = append(volumes, link(systemPath+"/Storage/"+d.Controller+"/Volumes/"+v.ID))
		}
	}
	o := object{
		"@odata.type": "#Drive.v1_18_0.Drive", "Id": d.Serial, "Name": "Disk " + d.Serial, "SerialNumber": d.Serial,
		"Manufacturer": spec.Manufacturer, "Model": d.Model, "CapacityBytes": d.SizeBytes, "MediaType": d.Media, "Protocol": d.Protocol,
		"BlockSizeBytes": 512, "Status": healthy(), "Links": object{"Volumes": volumes},
	}
	if d.WWN != "" {
		o["Identifiers"] = []any{object{"DurableName": d.WWN, "DurableNameFormat": "NAA"}}
	}
	return o
}

func volume(v Volume) object {
	usage, name := "Data", v.Name
	if name == "" {
		name = v.ID
	}
	if v.Bootable {
		usage = "SystemData"
	}
	drives := links(systemPath+"/Storage/"+v.Controller+"/Drives", v.Disks)
	return object{
		"@odata.type": "#Volume.v1_9_0.Volume", "Id": v.ID, "Name": name, "RAIDType": v.RAIDLevel, "CapacityBytes": v.SizeBytes,
		"VolumeUsage": usage, "Status": healthy(), "Operations": []any{},
		"Links": object{"Drives@odata.count": len(drives), "Drives": drives},
	}
}

func chassis(spec Spec, s State) object {
	return object{
		"@odata.type": "#Chassis.v1_23_0.Chassis", "Id": "1", "Name": spec.Name, "ChassisType": "RackMount",
		"Manufacturer": spec.Manufacturer, "Model": spec.Model, "SerialNumber": spec.Serial, "Status": healthy(),
		"PowerState": system(spec, s)["PowerState"],
		"Links":      object{"ComputerSystems": []any{link(systemPath)}, "ManagedBy": []any{link(managerPath)}},
	}
}

func manager(spec Spec, _ State) object {
	return object{
		"@odata.type": "#Manager.v1_18_0.Manager", "Id": "1", "Name": "BMC of " + spec.Name, "ManagerType": "BMC",
		"Manufacturer": spec.Manufacturer, "Model": "Simulated BMC", "FirmwareVersion": spec.BMCVersion, "UUID": spec.UUID,
		"Status": healthy(), "PowerState": "On", "Links": object{"ManagerForServers": []any{link(systemPath)}, "ManagerForChassis": []any{link(chassisPath)}},
	}
}

func taskService(Spec, State) object {
	return object{"@odata.type": "#TaskService.v1_2_1.TaskService", "Id": "TaskService", "Name": "Task Service",
		"ServiceEnabled": true, "Tasks": link(root + "/TaskService/Tasks"), "Status": healthy()}
}

func (b *BMC) sessionService(Spec, State) object {
	return object{"@odata.type": "#SessionService.v1_1_9.SessionService", "Id": "SessionService", "Name": "Session Service",
		"ServiceEnabled": true, "Sessions": link(sessionsPath), "Status": healthy()}
}

func (b *BMC) sessionCollection(Spec, State) object {
	b.mu.Lock()
	defer b.mu.Unlock()
	return collection("Session", sessionsPath, slices.Sorted(maps.Keys(b.sessions)))
}

func (b *BMC) session(id string) object {
	return typed(sessionsPath+"/"+id, object{"@odata.type": "#Session.v1_7_1.Session", "Id": id, "Name": "User Session", "UserName": b.config.Username})
}

// expand replaces links by what they lead to, one level deep and outside Links, as
// $expand=. asks for (DSP0266, 7.3.1).
func (b *BMC) expand(o object) {
	for key, v := range o {
		list, ok := v.([]any)
		if key == "Links" || !ok {
			continue
		}
		for i, item := range list {
			if to, ok := item.(object); ok && len(to) == 1 {
				if path, ok := to["@odata.id"].(string); ok {
					if full := b.resource(path); full != nil {
						full["@odata.etag"] = etag(full)
						list[i] = full
					}
				}
			}
		}
	}
}

func (b *BMC) get(r *http.Request, path string) answer {
	o := b.resource(path)
	if o == nil {
		return problem(http.StatusNotFound, "no resource at "+path)
	}
	if strings.HasPrefix(r.URL.Query().Get("$expand"), ".") {
		b.expand(o)
	}
	return answer{status: http.StatusOK, body: o}
}
