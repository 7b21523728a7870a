package redfishsim

import (
	"github.com/crowbarkit/crowbarkit/hardware"
)

// hpe is an iLO 6. Evidence, in the order of the code:
//   - URIs in lower case with a slash at the end: the tree of HPE's simulator (an iLO 6 1.66).
//     iLO answers both with and without the slash; that it does so with the same content rather
//     than a redirect is assumed.
//   - PostState, volumes only after POST: HewlettPackard/ilo-ansible-collection#47. That
//     changes of boot are refused during POST: Ironic's source; the message is iLO's
//     UnableToModifyDuringSystemPOST.
//   - 412 on a stale If-Match: DSP0266; names, values and rules of BIOS attributes, drives
//     under the chassis of their controller, Controllers as a collection: the tree.
//   - UEFI only, so no attribute BootMode and a BootSourceOverrideMode that cannot be written:
//     the tree has neither (its UefiClass is 3).
//   - No LastResetTime and no BootProgress: the tree has BootProgress, but without any state
//     but the last; clients must do without. The ID of the message that refuses a volume before
//     POST, and that BIOS settings may be written during POST, are assumed.
func hpe() traits {
	t := generic()
	t.manufacturer, t.model, t.biosVersion = "HPE", "ProLiant DL380 Gen11", "U58 v2.44 (01/17/2025)"
	t.product, t.bmcModel, t.bmcVersion, t.redfishVersion = "ProLiant DL380 Gen11", "iLO 6", "iLO 6 v1.66", "1.20.0"
	t.lowerCase, t.messages, t.expandLevels = true, "iLO.2.26", 1
	t.registry = "BiosAttributeRegistryU58.v1_2_44"
	t.registryURI = "/registrystore/registries/en/biosattributeregistryu58.v1_2_44"
	t.lastReset, t.bootProgress, t.setMode = false, false, false
	t.needsPOST, t.chassisDrives, t.controllerArray = true, true, false
	t.storage = oneController("DE00B000", "HPE MR416i-o Gen11")
	t.driveID = func(_ Disk, bay int) string { return decimal(bay) }
	t.volumeID = func(n int, _ string) string { return decimal(240 - n) } // MR controllers count down
	t.legacy, t.smtOff = Condition{}, Condition{"ProcHyperthreading", "Disabled"}
	t.attributes = []Attribute{
		enumeration("WorkloadProfile", "Workload Profile", "GeneralPowerEfficientCompute", "GeneralPeakFrequencyCompute", "GeneralThroughputCompute",
			"Virtualization-PowerEfficient", "Virtualization-MaxPerformance", "LowLatency", "HighPerformanceCompute(HPC)", "GraphicProcessing", "I/OThroughput", "Custom"),
		enumeration("ProcVirtualization", "Intel(R) Virtualization Technology (Intel VT)", "Disabled", "Enabled"),
		enumeration("IntelProcVtd", "Intel(R) VT-d", "Disabled", "Enabled"),
		enumeration("Sriov", "SR-IOV", "Disabled", "Enabled"),
		enumeration("ProcHyperthreading", "Intel(R) Hyper-Threading", "Enabled", "Disabled"),
		enumeration("ProcX2Apic", "Processor x2APIC Support", "Auto", "ForceEnabled", "Disabled"),
		enumeration("PowerRegulator", "Power Regulator", "DynamicPowerSavings", "StaticLowPower", "StaticHighPerf", "OsControl"),
		enumeration("AutoPowerOn", "Automatic Power-On", "RestoreLastState", "AlwaysPowerOn", "AlwaysPowerOff"),
		{Name: "NetworkBootRetryCount", DisplayName: "Network Boot Retry Count", Type: hardware.TypeInteger, Max: 20, Factory: int64(20)},
		{Name: "ServerAssetTag", DisplayName: "Server Asset Tag", Type: hardware.TypeString, Max: 32, Factory: ""},
	}
	for _, profile := range []string{"Virtualization-PowerEfficient", "Virtualization-MaxPerformance", "LowLatency", "HighPerformanceCompute(HPC)", "GraphicProcessing"} {
		for _, name := range []string{"ProcVirtualization", "IntelProcVtd", "Sriov"} {
			t.dependencies = append(t.dependencies, Dependency{name, Condition{"WorkloadProfile", profile}})
		}
	}
	t.dependencies = append(t.dependencies, Dependency{"IntelProcVtd", Condition{"ProcX2Apic", "ForceEnabled"}})
	t.decorate = decorateHPE
	return t
}

// decorateHPE adds what HPE says in its own words.
func decorateHPE(v *view, path string, o object) {
	if path != v.path.system {
		return
	}
	state := "FinishedPost"
	switch post, discovered := v.m.inPOST(); {
	case v.m.state.Power == PowerOff:
		state = "PowerOff"
	case post && discovered:
		state = "InPostDiscoveryComplete"
	case post:
		state = "InPost"
	}
	o["Oem"] = object{"Hpe": object{
		"@odata.type": "#HpeComputerSystemExt.v2_14_0.HpeComputerSystemExt",
		"PostState":   state, "PostMode": "Normal",
		"DeviceDiscoveryComplete": object{"DeviceDiscovery": map[bool]string{true: "vMainDeviceDiscoveryComplete", false: "DeviceDiscoveryInProgress"}[state == "FinishedPost" || state == "InPostDiscoveryComplete"]},
	}}
}
