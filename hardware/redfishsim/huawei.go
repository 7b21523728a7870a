package redfishsim

// huawei is an iBMC. Evidence: it demands If-Match on every PATCH (stmcginnis/gofish#174).
// Names of BIOS attributes are those that tools for 2288H servers and AMI's firmware share
// (VTdSupport, SRIOVEnable, ProcessorHyperThreadingDisable, ProcessorVmxEnable); their values,
// and that it neither expands nor knows SettingsApplyTime, are assumed.
func huawei() traits {
	t := generic()
	t.manufacturer, t.model, t.biosVersion = "Huawei", "2288H V5", "8.28"
	t.product, t.bmcModel, t.bmcVersion, t.redfishVersion = "iBMC", "iBMC", "6.35", "1.0.2"
	t.ifMatch, t.expand, t.applyTime = matchRequired, expandNone, false
	t.settings, t.messages = "Settings", "iBMC.1.0"
	t.registry, t.registryURI = "BiosAttributeRegistry.1.0.0", "/registrystore/en/biosattributeregistry/1.0.0"
	t.lastReset, t.bootProgress = false, false
	t.storage = oneController("RAIDStorage0", "SAS3508")
	t.volumeID = func(n int, _ string) string { return "LogicalDrive" + decimal(n-1) }
	t.driveID = func(_ Disk, bay int) string { return "HDDPlaneDisk" + decimal(bay) }
	t.attributes = append([]Attribute{
		enumeration("ProcessorVmxEnable", "VMX", "Disabled", "Enabled"),
		enumeration("VTdSupport", "Intel VT for Directed I/O", "Disabled", "Enabled"),
		enumeration("SRIOVEnable", "SR-IOV", "Disabled", "Enabled"),
		enumeration("ProcessorHyperThreadingDisable", "Hyper Threading", "Enabled", "Disabled"),
		enumeration("BootType", "Boot Type", "UEFIBoot", "LegacyBoot"),
		enumeration("CustomPowerPolicy", "Power Policy", "Efficiency", "Performance", "Custom"),
	}, commonAttributes("PowerOnDelay", "AssetTag", false)...)
	t.legacy, t.smtOff = Condition{"BootType", "LegacyBoot"}, Condition{"ProcessorHyperThreadingDisable", "Disabled"}
	return t
}
