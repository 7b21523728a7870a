package redfishsim

import (
	"fmt"
	"strconv"
)

// generic is a service that does what DSP0266 and DSP2046 say: one level of $expand, settings
// that pend in a settings object until a reset, volumes made at once, weak ETags that are
// checked where a client sends If-Match. The other personalities begin with it.
func generic() traits {
	return traits{
		manufacturer: "CrowbarKit", model: "Simulated Server", biosVersion: "2.19.1",
		product: "Simulated BMC", bmcModel: "Simulated BMC", bmcVersion: "7.10.30.00", redfishVersion: "1.17.0",
		system: "1", manager: "1", chassis: "1", messages: "Base.1.18",
		settings: "Settings", registry: "BiosAttributeRegistry.v1_0_0", registryURI: "/Registries/BiosAttributeRegistry.v1_0_0/registry.json",
		biosTarget: "BIOS", applyTime: true,
		expand: expandNoLinks, expandLevels: 2, lastReset: true, bootProgress: true,
		bootTargets: bootTargets(), setMode: true, bootOrder: true, secureBoot: true,
		raid: true, volumeUsage: true, controllerArray: true, controllerCollection: true,
		attributes: DefaultAttributes(), legacy: Condition{"BootMode", "Bios"}, smtOff: Condition{"LogicalProc", "Disabled"},
		sessionLimit: 8, sessionsFull: message{"Base.1.18.SessionLimitExceeded", "The session establishment failed due to the number of simultaneous sessions exceeding the limit of the implementation."},
		storage:  oneController(DefaultController().ID, DefaultController().Model),
		driveID:  func(d Disk, _ int) string { return d.Serial },
		volumeID: func(n int, _ string) string { return fmt.Sprintf("Disk.Virtual.%d", n) },
		jobID:    strconv.Itoa,
	}
}
