package redfishsim

// openBMC is bmcweb on most boards: BIOS and RAID are out of its reach. Evidence:
// LastResetTime, the IDs system and bmc, and a Bios resource with nothing but ResetBios are
// bmcweb's source; that $expand is off in the usual build too. No tree was captured,
// so the rest is assumed.
func openBMC() traits {
	t := generic()
	t.manufacturer, t.model, t.biosVersion = "OpenBMC", "Reference Board", "0.9"
	t.product, t.bmcModel, t.bmcVersion, t.redfishVersion = "OpenBMC", "OpenBmc", "2.14.0", "1.17.0"
	t.system, t.manager, t.chassis = "system", "bmc", "chassis"
	t.settings, t.registry, t.registryURI, t.applyTime = "", "", "", false
	t.expand, t.bootProgress = expandNone, true
	t.bootTargets, t.bootOrder, t.secureBoot = []string{"None", "Pxe", "Hdd", "Cd", "BiosSetup", "Usb"}, false, false
	t.raid, t.controllerCollection = false, false
	t.attributes, t.legacy, t.smtOff = []Attribute{}, Condition{}, Condition{}
	t.storage = func(s *Spec) {
		if s.Controllers == nil {
			s.Controllers = []Controller{{ID: "1", Model: "HBA"}}
		}
	}
	return t
}
