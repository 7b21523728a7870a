package redfishsim

// supermicro is an X12 and later. Evidence: names and values of BIOS attributes as in
// libredfish and in Wikimedia's spicerack (some machines hang "#1E12" behind a name, which
// this one does not; Enable beside Enabled is theirs); BootSourceOverrideEnabled must come
// with each target, where others mind it: redfish.md C1, which is Ironic's story 2008547;
// a licence is needed to write BIOS and secure boot: redfish.md C4.11 and Knobs.NoLicence;
// SettingsApplyTime is an unknown property: bmclib's notes from an AS-1114S-WN10RT.
// TotalCores as a string is redfish.md A3 of sushy-tools, and assumed here; so are no
// $expand and the absence of LastResetTime.
func supermicro() traits {
	t := generic()
	t.manufacturer, t.model, t.biosVersion = "Supermicro", "SYS-620P-TRT", "1.4b"
	t.product, t.bmcModel, t.bmcVersion, t.redfishVersion = "Supermicro BMC", "ASPEED", "01.01.22", "1.11.0"
	t.registry, t.registryURI = "BiosAttributeRegistry.1.0.0", "/registries/BiosAttributeRegistry.1.0.0.json"
	t.expand, t.applyTime, t.enabledWithTarget = expandNone, false, true
	t.lastReset = false
	t.storage = oneController("HA-RAID", "AVAGO 3108 MegaRAID")
	t.driveID = func(d Disk, bay int) string { return "Disk.Bay." + decimal(bay) }
	t.volumeID = func(n int, _ string) string { return decimal(n) }
	t.textNumbers = []string{"TotalCores"}
	t.attributes = append([]Attribute{
		enumeration("IntelVirtualizationTechnology", "Intel Virtualization Technology", "Disable", "Enable"),
		enumeration("IntelVTforDirectedI/O(VT-d)", "Intel VT for Directed I/O (VT-d)", "Disable", "Enable"),
		enumeration("SR-IOVSupport", "SR-IOV Support", "Disabled", "Enabled"),
		enumeration("Hyper-Threading[ALL]", "Hyper-Threading [ALL]", "Enable", "Disable"),
		enumeration("BootModeSelect", "Boot mode select", "UEFI", "Legacy", "Dual"),
		enumeration("PowerTechnology", "Power Technology", "Energy Efficient", "Custom", "Disable"),
	}, commonAttributes("PowerOnDelay", "AssetTag", false)...)
	t.legacy, t.smtOff = Condition{"BootModeSelect", "Legacy"}, Condition{"Hyper-Threading[ALL]", "Disable"}
	return t
}
