package redfishsim

// supermicro is an X12 and later. Evidence: names and values of BIOS attributes as in
// libredfish, with the number of the setup question behind the name, and Enable beside
// Enabled; those of BootModeSelect are in Wikimedia's spicerack too, its number and that of
// others is assumed. BootSourceOverrideEnabled must come with each target, where others mind
// it: Ironic's story 2008547; that 400 is the answer is assumed;
// a licence is needed to write BIOS and secure boot: metal3-io/ironic-image#688, Knobs.NoLicence;
// SettingsApplyTime is an unknown property: bmclib's notes from an AS-1114S-WN10RT.
// TotalCores as a string is sushy-tools', and assumed here; so are no
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
		enumeration("IntelVirtualizationTechnology#3C2E", "Intel Virtualization Technology", "Disable", "Enable"),
		enumeration("IntelVTforDirectedI/O(VT-d)#1E12", "Intel VT for Directed I/O (VT-d)", "Disable", "Enable"),
		enumeration("SR-IOVSupport#0048", "SR-IOV Support", "Disabled", "Enabled"),
		enumeration("Hyper-Threading[ALL]#0001", "Hyper-Threading [ALL]", "Enable", "Disable"),
		enumeration("BootModeSelect#0002", "Boot mode select", "UEFI", "Legacy", "Dual"),
		enumeration("PowerTechnology#0003", "Power Technology", "Energy Efficient", "Custom", "Disable"),
	}, commonAttributes("PowerOnDelay", "AssetTag", false)...)
	t.legacy, t.smtOff = Condition{"BootModeSelect#0002", "Legacy"}, Condition{"Hyper-Threading[ALL]#0001", "Disable"}
	return t
}
