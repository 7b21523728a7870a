package redfishsim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

func healthy() object { return object{"State": "Enabled", "Health": "OK"} }

func ids[T any](list []T, id func(T) string) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = id(v)
	}
	return out
}

func (v *view) system() object {
	s, spec := &v.m.state, v.spec
	health := "OK"
	for _, volume := range s.Volumes {
		if h := v.m.health(volume); h == "Critical" || health == "OK" {
			health = h
		}
	}
	boot := object{
		"BootSourceOverrideEnabled": s.BootEnabled, "BootSourceOverrideTarget": s.BootTarget, "BootSourceOverrideMode": v.m.mode(),
		"BootSourceOverrideTarget@Redfish.AllowableValues":  v.p.bootTargets,
		"BootSourceOverrideEnabled@Redfish.AllowableValues": []string{"Disabled", "Once", "Continuous"},
	}
	o := object{
		"@odata.type": "#ComputerSystem.v1_20_0.ComputerSystem", "Id": v.p.system, "Name": spec.Name, "SystemType": "Physical",
		"Manufacturer": spec.Manufacturer, "Model": spec.Model, "SerialNumber": spec.Serial, "UUID": spec.UUID,
		"BiosVersion": spec.BIOSVersion, "PowerState": v.powerState(), "Status": object{"State": "Enabled", "Health": "OK", "HealthRollup": health},
		"ProcessorSummary": object{"Count": spec.CPUs, "CoreCount": spec.CPUs * spec.Cores, "LogicalProcessorCount": spec.CPUs * v.threads(),
			"Model": spec.CPUModel, "Status": healthy()},
		"MemorySummary": object{"TotalSystemMemoryGiB": float64(spec.MemoryBytes) / (1 << 30), "Status": healthy()},
		"Boot":          boot,
		"Bios":          v.link(v.path.bios), "Storage": v.link(v.path.storage), "Memory": v.link(v.path.system + "/Memory"),
		"EthernetInterfaces": v.link(v.path.system + "/EthernetInterfaces"), "Processors": v.link(v.path.system + "/Processors"),
		"Links": object{"Chassis": []any{v.link(v.path.chassis)}, "ManagedBy": []any{v.link(v.path.manager)}},
		"Actions": object{"#ComputerSystem.Reset": object{
			"target": v.uri(v.path.system + resetSystem), "ResetType@Redfish.AllowableValues": ResetTypes()}},
	}
	if v.p.bootOrder {
		boot["BootOrder"] = ids(v.m.state.BootOptions, func(o BootOption) string { return o.Reference })
		boot["BootOptions"] = v.link(v.path.system + "/BootOptions")
	}
	if v.p.secureBoot {
		o["SecureBoot"] = v.link(v.path.system + "/SecureBoot")
	}
	if v.p.bootProgress {
		o["BootProgress"] = object{"LastState": bootProgress(s.Power)}
	}
	if v.p.lastReset && !s.LastReset.IsZero() {
		o["LastResetTime"] = s.LastReset.UTC().Format(time.RFC3339Nano)
	}
	return o
}

func bootProgress(p Power) string {
	switch p {
	case PowerPOST:
		return "SystemHardwareInitializationComplete"
	case PowerOn:
		return "OSBootStarted"
	case PowerShutdown:
		return "OSRunning"
	}
	return "None"
}

func (v *view) powerState() string {
	if p := v.m.state.Power; p == PowerOff || p == PowerCycling {
		return "Off"
	}
	return "On"
}

// threads of one socket.
func (v *view) threads() int {
	if off := v.p.smtOff; off.Attribute != "" && v.m.state.BIOS[off.Attribute] == off.Value {
		return v.spec.Cores
	}
	return 2 * v.spec.Cores
}

func (v *view) nics() object {
	return v.collection("EthernetInterface", "Ethernet Interface Collection", v.path.system+"/EthernetInterfaces",
		ids(v.spec.NICs, func(n NIC) string { return n.Name }))
}

func (v *view) nic(id string) object {
	for _, n := range v.spec.NICs {
		if n.Name == id {
			return object{"@odata.type": "#EthernetInterface.v1_12_0.EthernetInterface", "Id": n.Name, "Name": n.Name, "MACAddress": n.MAC,
				"PermanentMACAddress": n.MAC, "SpeedMbps": n.SpeedMbps, "LinkStatus": "LinkUp", "InterfaceEnabled": true, "Status": healthy()}
		}
	}
	return nil
}

// numbered lists prefix1 to prefixN.
func numbered(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = prefix + strconv.Itoa(i+1)
	}
	return out
}

// numberIn undoes numbered; 0 for what it did not make.
func numberIn(id, prefix string, n int) int {
	for i := 1; i <= n; i++ {
		if strings.EqualFold(id, prefix+strconv.Itoa(i)) {
			return i
		}
	}
	return 0
}

func (v *view) processors() object {
	return v.collection("Processor", "Processor Collection", v.path.system+"/Processors", numbered("CPU.", v.spec.CPUs))
}

func (v *view) processor(id string) object {
	n := numberIn(id, "CPU.", v.spec.CPUs)
	if n == 0 {
		return nil
	}
	id = fmt.Sprintf("CPU.%d", n)
	return object{"@odata.type": "#Processor.v1_18_0.Processor", "Id": id, "Name": id, "Socket": id, "ProcessorType": "CPU", "ProcessorArchitecture": "x86",
		"InstructionSet": "x86-64", "Model": v.spec.CPUModel, "TotalCores": v.spec.Cores, "TotalThreads": v.threads(), "MaxSpeedMHz": 4000, "Status": healthy()}
}

func (v *view) memory() object {
	return v.collection("Memory", "Memory Module Collection", v.path.system+"/Memory", numbered("DIMM.", v.spec.DIMMs))
}

func (v *view) dimm(id string) object {
	n := numberIn(id, "DIMM.", v.spec.DIMMs)
	if n == 0 {
		return nil
	}
	id = fmt.Sprintf("DIMM.%d", n)
	return object{"@odata.type": "#Memory.v1_14_0.Memory", "Id": id, "Name": id, "DeviceLocator": id, "MemoryType": "DRAM", "MemoryDeviceType": "DDR5",
		"BaseModuleType": "RDIMM", "CapacityMiB": v.spec.MemoryBytes >> 20 / int64(v.spec.DIMMs), "OperatingSpeedMhz": 4800,
		"SerialNumber": fmt.Sprintf("%s-M%02d", v.spec.Serial, n), "Manufacturer": "CrowbarKit", "Status": healthy()}
}

func (v *view) bootOptions() object {
	return v.collection("BootOption", "Boot Option Collection", v.path.system+"/BootOptions", ids(v.m.state.BootOptions, func(o BootOption) string { return o.Reference }))
}

func (v *view) bootOption(id string) object {
	for _, o := range v.m.state.BootOptions {
		if o.Reference == id {
			return object{"@odata.type": "#BootOption.v1_0_6.BootOption", "Id": id, "Name": o.DisplayName, "DisplayName": o.DisplayName,
				"BootOptionReference": id, "BootOptionEnabled": true, "UefiDevicePath": o.UEFIPath, "Alias": o.Alias}
		}
	}
	return nil
}

func (v *view) secureBoot() object {
	current := "Disabled"
	if v.m.state.SecureBoot.Current {
		current = "Enabled"
	}
	return object{"@odata.type": "#SecureBoot.v1_1_0.SecureBoot", "Id": "SecureBoot", "Name": "UEFI Secure Boot",
		"SecureBootEnable": v.m.state.SecureBoot.Enable, "SecureBootCurrentBoot": current, "SecureBootMode": "UserMode"}
}

func (v *view) bios() object {
	o := object{"@odata.type": "#Bios.v1_2_3.Bios", "Id": "Bios", "Name": "BIOS Configuration Current Settings",
		"Actions": object{"#Bios.ResetBios": object{"target": v.uri(v.path.bios + resetBIOS)}}}
	if v.p.settings == "" {
		return o
	}
	values := v.m.state.BIOS
	if v.p.showsPending && len(v.m.state.Pending) > 0 {
		values = make(map[string]any, len(v.m.state.BIOS))
		for name, value := range v.m.state.BIOS {
			values[name] = value
		}
		for name, value := range v.m.state.Pending {
			values[name] = value
		}
	}
	settings := object{"@odata.type": "#Settings.v1_3_5.Settings", "SettingsObject": v.link(v.path.settings)}
	if v.p.applyTime {
		settings["SupportedApplyTimes"] = []string{"OnReset"}
	}
	o["AttributeRegistry"], o["Attributes"], o["@Redfish.Settings"] = v.p.registry, values, settings
	return o
}

func (v *view) settings() object {
	return object{"@odata.type": "#Bios.v1_2_3.Bios", "Id": v.p.settings, "Name": "BIOS Configuration Pending Settings",
		"AttributeRegistry": v.p.registry, "Attributes": v.m.state.Pending}
}
