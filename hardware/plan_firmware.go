package hardware

import (
	"fmt"
	"strings"
)

// planFirmware tells what is to be flashed. It asks for no reset: how a component is flashed and
// when it takes over is its vendor's business.
func planFirmware(want []FirmwareProfile, seen *Snapshot, ps *problems) []Operation {
	var ops []Operation
	for i, f := range want {
		have, known := seen.Firmware[f.Component]
		switch {
		case !known:
			expected := "a component of which the machine tells the version; it tells none"
			if len(seen.Firmware) > 0 {
				expected = "one of " + strings.Join(sortedKeys(seen.Firmware), ", ")
			}
			ps.add(fmt.Sprintf("/firmware/%d/component", i), fmt.Sprintf("%q", f.Component), expected, "the machine reports no such component")
		case have != f.Version:
			ops = append(ops, Operation{
				ID:        fmt.Sprintf("firmware-flash-%s=%s", f.Component, f.Version),
				Component: ComponentFirmware, Action: ActionFlash, Target: f.Component, Before: have, After: f.Version,
				Reason: "the profile asks for this version; flash it by the vendor's means", Destroys: []string{},
			})
		}
	}
	return ops
}
