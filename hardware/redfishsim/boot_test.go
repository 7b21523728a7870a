package redfishsim_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

func order(m *redfishsim.Machine) (references []string) {
	for _, o := range m.BootOptions() {
		references = append(references, o.Reference)
	}
	return references
}

// The firmware finds what can be booted during POST; what was put first stays first.
func TestBootOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bmcOf(t, redfishsim.Generic)
		m := b.Machine()
		require.Equal(t, []string{"Boot0001", "Boot0002", "Boot0201", "Boot0202", "Boot0203", "Boot0204", "Boot0401", "Boot0101", "Boot0102"}, order(m))
		_, first := at(t, b, "Systems", "0")
		_, options := ask(t, b, http.MethodGet, first["Boot"].(map[string]any)["BootOptions"].(map[string]any)["@odata.id"].(string)+"?$expand=.", "")
		require.Len(t, options["Members"], 9)
		option := options["Members"].([]any)[0].(map[string]any)
		require.Equal(t, "Pxe", option["Alias"])
		require.Equal(t, "Boot0001", option["BootOptionReference"])
		require.Equal(t, true, option["BootOptionEnabled"])
		require.Equal(t, "PciRoot(0x0)/Pci(0x1,0x0)/MAC(525400000001,0x1)/IPv4(0.0.0.0)", option["UefiDevicePath"])

		w, doc := ask(t, b, http.MethodPatch, "/redfish/v1/Systems/1", `{"Boot":{"BootOrder":["Boot0401","Boot0002"]}}`)
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, []any{"Boot0401", "Boot0002", "Boot0001"}, doc["Boot"].(map[string]any)["BootOrder"].([]any)[:3])
		for _, bad := range []string{`["Boot0999"]`, `["Boot0001","Boot0001"]`, `[1]`, `"Boot0001"`} {
			w, _ = ask(t, b, http.MethodPatch, "/redfish/v1/Systems/1", `{"Boot":{"BootOrder":`+bad+`,"BootSourceOverrideTarget":"Cd"}}`)
			require.Equal(t, http.StatusBadRequest, w.Code, bad)
		}
		require.Equal(t, "None", m.State().BootTarget, "all of a change or nothing")

		_, err := m.CreateVolume(redfishsim.Volume{Controller: controller, Name: "os", RAIDLevel: hardware.RAID1, Disks: []string{"n1-D0", "n1-D1"}, Bootable: true})
		require.NoError(t, err)
		require.NotContains(t, order(m), "Boot0301", "before POST nobody knows")
		booted(t, b)
		require.Equal(t, []string{"Boot0401", "Boot0002", "Boot0001", "Boot0301", "Boot0203", "Boot0204", "Boot0101", "Boot0102"}, order(m))
		require.Equal(t, m.State().Volumes[0].ID, m.BootOptions()[3].Disk)
		require.NoError(t, m.SetBootOrder(nil))
		require.ErrorIs(t, m.SetBootOrder([]string{"x"}), redfishsim.ErrInvalid)
	})
}

func TestBootOverride(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []redfishsim.PowerEvent
		m, err := redfishsim.NewMachine(redfishsim.Spec{Name: "n1"}, &redfishsim.Options{OnPower: func(e redfishsim.PowerEvent) {
			if e.Kind == redfishsim.Booted {
				got = append(got, e)
			}
		}})
		require.NoError(t, err)
		b, err := redfishsim.NewBMC(redfishsim.Config{Machine: m, Username: "root", Password: "secret"})
		require.NoError(t, err)
		patch := func(boot string) {
			t.Helper()
			w, _ := ask(t, b, http.MethodPatch, "/redfish/v1/Systems/1", `{"Boot":`+boot+`}`)
			require.Equal(t, http.StatusOK, w.Code, w.Body.String())
			require.NoError(t, m.Reset(redfishsim.ResetForceRestart))
			time.Sleep(5 * time.Minute)
			m.Advance()
		}
		patch(`{"BootSourceOverrideTarget":"UefiHttp","BootSourceOverrideEnabled":"Once","BootSourceOverrideMode":"Legacy"}`)
		patch(`{"BootSourceOverrideTarget":"BiosSetup","BootSourceOverrideEnabled":"Continuous"}`)
		patch(`{}`)
		patch(`{"BootSourceOverrideEnabled":"Disabled","BootSourceOverrideMode":"Legacy"}`)
		require.NoError(t, m.SetBIOS(map[string]any{"BootMode": "Bios"}))
		patch(`{"BootSourceOverrideMode":"UEFI"}`)
		var seen []string
		for _, e := range got {
			seen = append(seen, e.Boot+" "+e.Mode)
		}
		require.Equal(t, []string{"UefiHttp Legacy", "BiosSetup UEFI", "BiosSetup UEFI", " Legacy", " Legacy"}, seen, "the BIOS's change came last")
		w, _ := ask(t, b, http.MethodPatch, "/redfish/v1/Systems/1", `{"Boot":{"BootSourceOverrideMode":"CPM"}}`)
		require.Equal(t, http.StatusBadRequest, w.Code)
	})
}

// Secure boot is in force after the next POST, in UEFI mode only.
func TestSecureBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bmcOf(t, redfishsim.Generic)
		const path = "/redfish/v1/Systems/1/SecureBoot"
		state := func() []any {
			_, doc := ask(t, b, http.MethodGet, path, "")
			return []any{doc["SecureBootEnable"], doc["SecureBootCurrentBoot"]}
		}
		require.Equal(t, []any{false, "Disabled"}, state())
		w, _ := ask(t, b, http.MethodPatch, path, `{"SecureBootEnable":true}`)
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, []any{true, "Disabled"}, state())
		booted(t, b)
		require.Equal(t, []any{true, "Enabled"}, state())
		require.NoError(t, b.Machine().SetBIOS(map[string]any{"BootMode": "Bios"}))
		require.NoError(t, b.Machine().Reset(redfishsim.ResetForceRestart))
		time.Sleep(5 * time.Minute)
		require.Equal(t, []any{true, "Disabled"}, state(), "not in Legacy mode")
		w, _ = ask(t, b, http.MethodPatch, path, `{"SecureBootEnable":true}`)
		require.Equal(t, http.StatusConflict, w.Code)
		w, _ = ask(t, b, http.MethodPatch, path, `{"SecureBootEnable":"yes"}`)
		require.Equal(t, http.StatusBadRequest, w.Code)
		w, _ = ask(t, b, http.MethodPatch, path, `{"SecureBootEnable":false}`)
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, []any{false, "Disabled"}, state())
	})
}

// A state from before there were jobs, boot options and so on is one to go on from.
func TestOldStateLoads(t *testing.T) {
	const old = `{"revision":7,"power":"on","boots":1,"boot_target":"Pxe","boot_enabled":"Once","bios":{"ProcVirtualization":"Enabled","AcPwrRcvryUserDelay":90},
		"disks":{"n1-D0":{"contents":"linux","wipes":2},"n1-D1":{"contents":"linux","wipes":2}},
		"volumes":[{"id":"Disk.Virtual.4","controller":"RAID.Integrated.1-1","name":"os","raid_level":"RAID1","disks":["n1-D0","n1-D1"],"size_bytes":1000}],"next_volume":5}`
	var s redfishsim.State
	require.NoError(t, json.Unmarshal([]byte(old), &s))
	m := newMachine(t, 3, &redfishsim.Options{State: &s})
	got := m.State()
	require.Equal(t, "Enabled", got.BIOS["ProcVirtualization"])
	require.Equal(t, int64(90), got.BIOS["AcPwrRcvryUserDelay"])
	require.Equal(t, "Disabled", got.BIOS["IommuSupport"], "new in the spec, so from the factory")
	require.Equal(t, "128 GB", got.BIOS["SysMemSize"])
	require.Equal(t, redfishsim.DiskState{Contents: "linux", Wipes: 2}, got.Disks["n1-D0"])
	require.Equal(t, redfishsim.DiskState{Contents: "old data"}, got.Disks["n1-D2"])
	require.Equal(t, []string{"Boot0301", "Boot0203", "Boot0401"}, order(m))
	require.Equal(t, redfishsim.PowerOn, got.Power)
	require.Equal(t, uint64(7), got.Revision)
	require.NoError(t, m.DeleteVolume("Disk.Virtual.4"))
	require.NoError(t, m.SetBIOS(map[string]any{"ProcX2Apic": "Enabled"}))
}
