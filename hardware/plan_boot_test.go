package hardware_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// settings writes a plan of settings as short lines.
func settings(p *hardware.Plan) []string {
	out := []string{}
	for _, op := range p.Operations {
		line := fmt.Sprintf("%s %s: %v → %v", op.Component, op.Target, op.Before, op.After)
		if op.Reboot {
			line += ", reset"
		}
		out = append(out, line)
	}
	return out
}

// bootable is a machine with four boot options, the last of them in no order and the third disabled.
func bootable() *hardware.Snapshot {
	seen := snapshot(0)
	seen.BIOS.Intents = nil
	seen.Boot = hardware.Boot{Mode: "UEFI", Targets: []hardware.BootTarget{hardware.BootPXE, hardware.BootDisk},
		Order: []string{"Boot1", "Boot2", "Boot3", "BootX"},
		Options: []hardware.BootOption{{Reference: "Boot1", Name: "Disk", Target: hardware.BootDisk}, {Reference: "Boot2", Name: "NIC 1", Target: hardware.BootPXE},
			{Reference: "Boot3", Name: "Stick", Target: hardware.BootUSB, Disabled: true}, {Reference: "Boot4", Name: "NIC 2", Target: hardware.BootPXE}}}
	seen.SecureBoot = &hardware.SecureBoot{}
	return seen
}

func TestPlanBoot(t *testing.T) {
	attribute := func(s *hardware.Snapshot) {
		s.BIOS.Attributes["BootMode"] = "Bios"
		s.BIOS.Intents = map[hardware.Intent]hardware.Binding{hardware.BootMode: {Attribute: "BootMode", Values: map[string]any{"uefi": "Uefi", "bios": "Bios"}}}
	}
	for name, tt := range map[string]struct {
		boot string
		seen func(*hardware.Snapshot)
		want []string
	}{
		"nothing":                  {`{}`, nil, []string{}},
		"no override, none wanted": {`{"target":"none"}`, nil, []string{}},
		"leftover target disabled": {`{"target":"none"}`, func(s *hardware.Snapshot) { s.Boot.Target, s.Boot.Enabled = hardware.BootPXE, "Disabled" }, []string{}},
		"override as wanted":       {`{"target":"pxe"}`, func(s *hardware.Snapshot) { s.Boot.Target, s.Boot.Enabled = hardware.BootPXE, "Continuous" }, []string{}},
		"override only once":       {`{"target":"pxe"}`, func(s *hardware.Snapshot) { s.Boot.Target, s.Boot.Enabled = hardware.BootPXE, "Once" }, []string{"boot override: pxe (once) → pxe"}},
		"other override":           {`{"target":"pxe"}`, func(s *hardware.Snapshot) { s.Boot.Target, s.Boot.Enabled = hardware.BootDisk, "Continuous" }, []string{"boot override: disk → pxe"}},
		"override to remove":       {`{"target":"none"}`, func(s *hardware.Snapshot) { s.Boot.Target, s.Boot.Enabled = hardware.BootDisk, "Continuous" }, []string{"boot override: disk → none"}},
		"targets not told":         {`{"target":"http"}`, func(s *hardware.Snapshot) { s.Boot.Targets = nil }, []string{"boot override: none → http"}},

		"mode of the override": {`{"mode":"bios"}`, nil, []string{"boot mode: UEFI → Legacy"}},
		"mode as wanted":       {`{"mode":"uefi"}`, nil, []string{}},
		"mode is an attribute": {`{"mode":"uefi"}`, attribute, []string{"bios BootMode: Bios → Uefi, reset"}},
		"attribute as wanted":  {`{"mode":"bios"}`, attribute, []string{}},

		"order by kind":       {`{"order":["pxe"]}`, nil, []string{"boot order: [Boot1 Boot2 Boot3 BootX] → [Boot2 Boot4 Boot1 Boot3 BootX]"}},
		"order by reference":  {`{"order":["BootX","disk"]}`, nil, []string{"boot order: [Boot1 Boot2 Boot3 BootX] → [BootX Boot1 Boot2 Boot3]"}},
		"one before its kind": {`{"order":["Boot4","pxe"]}`, nil, []string{"boot order: [Boot1 Boot2 Boot3 BootX] → [Boot4 Boot2 Boot1 Boot3 BootX]"}},
		"order as wanted":     {`{"order":["disk"]}`, nil, []string{}},
		"order at a reset":    {`{"order":["Boot2"]}`, func(s *hardware.Snapshot) { s.Boot.OrderOnReset = true }, []string{"boot order: [Boot1 Boot2 Boot3 BootX] → [Boot2 Boot1 Boot3 BootX], reset"}},
		"order pending as wanted": {`{"order":["Boot2"]}`, func(s *hardware.Snapshot) {
			s.Boot.OrderOnReset, s.Boot.PendingOrder = true, []string{"Boot2", "Boot1", "Boot3", "BootX"}
		}, []string{"boot order: [Boot1 Boot2 Boot3 BootX] → [Boot2 Boot1 Boot3 BootX], reset"}},
		"other order pending": {`{"order":["Boot1","Boot2"]}`, func(s *hardware.Snapshot) {
			s.Boot.OrderOnReset, s.Boot.PendingOrder = true, []string{"Boot2", "Boot1", "Boot3", "BootX"}
		}, []string{"boot order: [Boot1 Boot2 Boot3 BootX] → [Boot1 Boot2 Boot3 BootX]"}},

		"secure boot":                   {`{"secure_boot":"on"}`, nil, []string{"boot secure_boot: off → on, reset"}},
		"secure boot as wanted":         {`{"secure_boot":false}`, nil, []string{}},
		"secure boot off":               {`{"secure_boot":"off"}`, func(s *hardware.Snapshot) { *s.SecureBoot = hardware.SecureBoot{Enabled: true, Current: true} }, []string{"boot secure_boot: on → off, reset"}},
		"secure boot waits":             {`{"secure_boot":"on"}`, func(s *hardware.Snapshot) { s.SecureBoot.Enabled = true }, []string{"boot secure_boot: off → on, reset"}},
		"secure boot taken back":        {`{"secure_boot":"off"}`, func(s *hardware.Snapshot) { s.SecureBoot.Enabled = true }, []string{"boot secure_boot: on → off"}},
		"secure boot with mode":         {`{"secure_boot":"on","mode":"uefi"}`, attribute, []string{"bios BootMode: Bios → Uefi, reset", "boot secure_boot: off → on, reset"}},
		"off in BIOS mode":              {`{"secure_boot":"off"}`, attribute, []string{}},
		"on, the mode being on its way": {`{"secure_boot":"on"}`, func(s *hardware.Snapshot) { attribute(s); s.BIOS.Pending = map[string]any{"BootMode": "Uefi"} }, []string{"boot secure_boot: off → on, reset"}},
	} {
		t.Run(name, func(t *testing.T) {
			seen := bootable()
			if tt.seen != nil {
				tt.seen(seen)
			}
			plan := mustPlan(t, `{"boot":`+tt.boot+`}`, seen)
			require.Empty(t, cmp.Diff(tt.want, settings(plan)))
			throughJSON(t, plan)
		})
	}
}

func TestBootProblems(t *testing.T) {
	for name, tt := range map[string]struct {
		profile string
		seen    func(*hardware.Snapshot)
		paths   []string
		text    string
	}{
		"override not offered": {`{"boot":{"target":"http"}}`, nil, []string{"/boot/target"}, "one of pxe, disk"},
		"mode not told":        {`{"boot":{"mode":"uefi"}}`, func(s *hardware.Snapshot) { s.Boot.Mode = "" }, []string{"/boot/mode"}, "does not tell"},
		"mode not offered": {`{"boot":{"mode":"bios"}}`, func(s *hardware.Snapshot) {
			s.BIOS.Intents = map[hardware.Intent]hardware.Binding{hardware.BootMode: {Attribute: "BootMode", Values: map[string]any{"uefi": "Uefi"}}}
		}, []string{"/boot/mode"}, "one of uefi"},
		"mode against its attribute": {`{"boot":{"mode":"uefi"},"bios":{"attributes":{"BootMode":"Bios"}}}`, func(s *hardware.Snapshot) {
			s.BIOS.Attributes["BootMode"] = "Bios"
			s.BIOS.Intents = map[hardware.Intent]hardware.Binding{hardware.BootMode: {Attribute: "BootMode", Values: map[string]any{"uefi": "Uefi", "bios": "Bios"}}}
		}, []string{"/bios/attributes/BootMode"}, "say it once"},
		"unknown options":  {`{"boot":{"order":["Boot7","cd","Boot2"]}}`, nil, []string{"/boot/order/0", "/boot/order/1"}, "Boot1 (Disk) disk, Boot2 (NIC 1) pxe, Boot3 (Stick) usb disabled, BootX, Boot4 (NIC 2) pxe"},
		"disabled options": {`{"boot":{"order":["Boot3","usb"]}}`, nil, []string{"/boot/order/0", "/boot/order/1"}, "enabled"},
		"covered twice":    {`{"boot":{"order":["pxe","Boot2"]}}`, nil, []string{"/boot/order/1"}, "put it first"},
		"no options":       {`{"boot":{"order":["pxe"]}}`, func(s *hardware.Snapshot) { s.Boot = hardware.Boot{} }, []string{"/boot/order/0"}, "tells none"},
		"no secure boot":   {`{"boot":{"secure_boot":"off"}}`, func(s *hardware.Snapshot) { s.SecureBoot = nil }, []string{"/boot/secure_boot"}, "without secure boot"},
		"in BIOS mode":     {`{"boot":{"secure_boot":"on"}}`, func(s *hardware.Snapshot) { s.Boot.Mode = "Legacy" }, []string{"/boot/secure_boot"}, `set /boot/mode to "uefi" too`},
		"without keys":     {`{"boot":{"secure_boot":"on"}}`, func(s *hardware.Snapshot) { *s.SecureBoot = hardware.SecureBoot{Enabled: true, Mode: "SetupMode"} }, []string{"/boot/secure_boot"}, "keys"},
	} {
		t.Run(name, func(t *testing.T) {
			seen := bootable()
			if tt.seen != nil {
				tt.seen(seen)
			}
			p, err := hardware.ParseProfile([]byte(tt.profile))
			require.NoError(t, err)
			_, err = hardware.NewPlan(p, seen)
			require.Equal(t, tt.paths, paths(t, err))
			require.ErrorContains(t, err, tt.text)
		})
	}
}

// The one reset for settings comes last, and secure boot after the mode that it needs.
func TestOrderOfOperations(t *testing.T) {
	seen := bootable()
	seen.Storage = snapshot(2, volume("old", hardware.RAID0, 0)).Storage
	seen.Storage[0].OnReset = true
	plan := mustPlan(t, `{"firmware":[{"component":"bios","version":"9"}],"boot":{"secure_boot":"on","target":"pxe","order":["pxe"],"mode":"uefi"},
		"bios":{"attributes":{"Delay":61}},"raid":{"set":"SingleRaid1"}}`, seen)
	var got []string
	for _, op := range plan.Operations {
		got = append(got, fmt.Sprint(op.Action, " ", op.Target))
	}
	require.Equal(t, []string{"delete_volume RAID.1/old", "create_volume RAID.1/system", "set override", "set order", "set Delay", "set secure_boot", "flash bios"}, got)
	require.Equal(t, 3, plan.Reboots(), "for deletions, creations and settings; flashing is not counted")
}

func TestFirmwareIsReported(t *testing.T) {
	seen := snapshot(0)
	plan := mustPlan(t, `{"firmware":[{"component":"bios","version":"3"}]}`, seen)
	require.Equal(t, []string{"firmware bios: 2.1 → 3"}, settings(plan))
	require.False(t, plan.Empty(), "not converged")
	require.Zero(t, plan.Reboots())
	seen.Firmware["bios"] = "3"
	require.True(t, mustPlan(t, `{"firmware":[{"component":"bios","version":"3"}]}`, seen).Empty())
}
