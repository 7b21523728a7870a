package redfishsim

import "strconv"

// lenovo is an XCC. Evidence: the settings object is Bios/Pending (bmclib's fixtures); names of
// BIOS attributes as libredfish and bmclib's fixtures have them (Processors_…, BootModes_…,
// with UEFIMode and LegacyMode); DevicesandIOPorts_IntelVTforDirectedIOVTd is found in one
// key list only. Numbers as strings in the inventory: gofish's issues have such complaints;
// of which fields of XCC is assumed. The boot order is the standard property, though XCC has an
// OEM resource as well.
func lenovo() traits {
	t := generic()
	t.manufacturer, t.model, t.biosVersion = "Lenovo", "ThinkSystem SR650 V2", "AFE136D-4.10"
	t.product, t.bmcModel, t.bmcVersion, t.redfishVersion = "Lenovo XClarity Controller", "Lenovo XClarity Controller", "AFBT58B 5.70 2023-12-27", "1.15.0"
	t.messages, t.settings = "ExtendedError.1.2", "Pending"
	t.registry, t.registryURI = "BiosAttributeRegistry.1.0.0", "/schemas/registries/BiosAttributeRegistry.1.0.0.json"
	t.setMode = false // boot mode is a BIOS setting: assumed
	t.storage = oneController("RAID_Slot4", "ThinkSystem RAID 940-8i 4GB Flash PCIe Gen4 12Gb Adapter")
	t.driveID = func(_ Disk, bay int) string { return "Disk." + decimal(bay) }
	t.volumeID = func(n int, _ string) string { return decimal(n - 1) }
	t.textNumbers = []string{"TotalCores", "TotalThreads", "SpeedMbps"}
	t.attributes = append([]Attribute{
		enumeration("Processors_IntelVirtualizationTechnology", "Intel Virtualization Technology", "Disabled", "Enabled"),
		enumeration("DevicesandIOPorts_IntelVTforDirectedIOVTd", "Intel VT for Directed I/O (VT-d)", "Disabled", "Enabled"),
		enumeration("DevicesandIOPorts_SRIOV", "SR-IOV", "Disabled", "Enabled"),
		enumeration("Processors_HyperThreading", "Hyper-Threading", "Enabled", "Disabled"),
		enumeration("BootModes_SystemBootMode", "System Boot Mode", "UEFIMode", "LegacyMode"),
		enumeration("OperatingModes_ChooseOperatingMode", "Choose Operating Mode", "MaximumEfficiency", "MaximumPerformance", "MinimalPower", "CustomMode"),
	}, commonAttributes("Power_PowerRestorePolicyDelay", "Memory_AssetTag", false)...)
	t.legacy, t.smtOff = Condition{"BootModes_SystemBootMode", "LegacyMode"}, Condition{"Processors_HyperThreading", "Disabled"}
	return t
}

func decimal(n int) string { return strconv.Itoa(n) }
