package redfishsim_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

func postState(t *testing.T, b http.Handler) any {
	_, system := at(t, b, "Systems", "0")
	require.NotContains(t, system, "BootProgress")
	require.NotContains(t, system, "LastResetTime")
	return system["Oem"].(map[string]any)["Hpe"].(map[string]any)["PostState"]
}

// HewlettPackard/ilo-ansible-collection#47: volumes are there once POST has found the devices,
// and cannot be changed before.
func TestHPEVolumesAfterPOST(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bmcOf(t, redfishsim.HPE)
		_, err := b.Machine().CreateVolume(redfishsim.Volume{Controller: "DE00B000", RAIDLevel: "RAID1", Disks: []string{"n1-D0", "n1-D1"}})
		require.NoError(t, err)
		volumes, _ := at(t, b, "Systems", "0", "Storage", "0", "Volumes")
		require.Equal(t, "/redfish/v1/systems/1/storage/de00b000/volumes/", volumes)
		body := `{"RAIDType":"RAID0","Links":{"Drives":[{"@odata.id":"/redfish/v1/chassis/de00b000/drives/2/"}]}}`
		see := func(state string, members, post int) {
			t.Helper()
			require.Equal(t, state, postState(t, b))
			_, doc := ask(t, b, http.MethodGet, volumes, "")
			require.EqualValues(t, members, doc["Members@odata.count"])
			w, doc := ask(t, b, http.MethodPost, volumes, body)
			require.Equal(t, post, w.Code)
			if post == http.StatusBadRequest {
				require.Regexp(t, `^iLO\.2\.\d+\.ResourceNotReady`, errorID(doc))
			}
			w, _ = ask(t, b, http.MethodDelete, volumes+"nope/", "")
			require.Equal(t, map[bool]int{true: 400, false: 404}[post == http.StatusBadRequest], w.Code)
		}
		see("PowerOff", 0, 400)
		require.NoError(t, b.Machine().Reset(redfishsim.ResetOn))
		see("InPost", 0, 400)
		time.Sleep(60 * time.Second)
		see("InPost", 0, 400)
		time.Sleep(10 * time.Second)
		require.Equal(t, redfishsim.PowerPOST, b.Machine().State().Power)
		see("InPostDiscoveryComplete", 1, 201)
		time.Sleep(20 * time.Second)
		require.Equal(t, "FinishedPost", postState(t, b))
		require.Len(t, b.Machine().State().Volumes, 2)
		w, _ := ask(t, b, http.MethodDelete, volumes+b.Machine().State().Volumes[1].ID, "")
		require.Equal(t, http.StatusNoContent, w.Code)
	})
}

func TestHPERefusesBootChangesInPOST(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bmcOf(t, redfishsim.HPE)
		patch := func(path, body string) (int, map[string]any) {
			w, doc := ask(t, b, http.MethodPatch, path, body)
			return w.Code, doc
		}
		const system, boot = "/redfish/v1/systems/1/", `{"Boot":{"BootSourceOverrideTarget":"Pxe","BootSourceOverrideEnabled":"Once"}}`
		status, _ := patch(system, boot)
		require.Equal(t, 200, status)
		require.NoError(t, b.Machine().Reset(redfishsim.ResetOn))
		status, doc := patch(system, boot)
		require.Equal(t, 400, status)
		require.Regexp(t, `^iLO\.2\.\d+\.UnableToModifyDuringSystemPOST$`, errorID(doc))
		status, _ = patch(system+"secureboot/", `{"SecureBootEnable":true}`)
		require.Equal(t, 400, status)
		status, _ = patch(system+"bios/settings/", `{"Attributes":{"Sriov":"Enabled"},"@Redfish.SettingsApplyTime":{"ApplyTime":"OnReset"}}`)
		require.Equal(t, 200, status, "BIOS settings wait for the next POST, or this one's end")
		time.Sleep(2 * time.Minute)
		status, _ = patch(system, boot)
		require.Equal(t, 200, status)
		require.Equal(t, "Enabled", b.Machine().State().BIOS["Sriov"])
		status, _ = patch(system, `{"Boot":{"BootSourceOverrideMode":"Legacy"}}`)
		require.Equal(t, 400, status, "UEFI only")
	})
}

// The rules of the registry count for writes, and are judged by what will be in force.
func TestDependencies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bmcOf(t, redfishsim.HPE)
		m := b.Machine()
		require.NoError(t, m.SetBIOS(map[string]any{"WorkloadProfile": "LowLatency"}))
		err := m.SetBIOS(map[string]any{"Sriov": "Enabled"})
		require.ErrorIs(t, err, redfishsim.ErrInvalid)
		require.ErrorContains(t, err, "read-only while WorkloadProfile is LowLatency")
		require.NoError(t, m.SetBIOS(map[string]any{"Sriov": "Enabled", "WorkloadProfile": "Custom"}), "both at once")
		require.NoError(t, m.ResetBIOS())
		_, file := at(t, b, "Registries", "0")
		_, registry := ask(t, b, http.MethodGet, file["Location"].([]any)[0].(map[string]any)["Uri"].(string), "")
		rules := registry["RegistryEntries"].(map[string]any)["Dependencies"].([]any)
		require.Len(t, rules, 16)
		require.Equal(t, map[string]any{
			"MapFrom":        []any{map[string]any{"MapFromAttribute": "WorkloadProfile", "MapFromProperty": "CurrentValue", "MapFromCondition": "EQU", "MapFromValue": "Virtualization-PowerEfficient"}},
			"MapToAttribute": "ProcVirtualization", "MapToProperty": "ReadOnly", "MapToValue": true,
		}, rules[0].(map[string]any)["Dependency"])
		w, doc := ask(t, b, http.MethodPatch, "/redfish/v1/systems/1/bios/settings/", `{"Attributes":{"Nope":1,"AutoPowerOn":"Sometimes"}}`)
		require.Equal(t, 400, w.Code)
		require.Len(t, doc["error"].(map[string]any)["@Message.ExtendedInfo"], 2, "each problem by itself")
	})
}

// As in bmclib's fixtures what pends is in Bios/Pending. Numbers of the inventory are strings.
func TestLenovo(t *testing.T) {
	b := bmcOf(t, redfishsim.Lenovo)
	_, bios := at(t, b, "Systems", "0", "Bios")
	settings := bios["@Redfish.Settings"].(map[string]any)["SettingsObject"].(map[string]any)["@odata.id"]
	require.Equal(t, "/redfish/v1/Systems/1/Bios/Pending", settings)
	_, nic := at(t, b, "Systems", "0", "EthernetInterfaces", "0")
	require.Equal(t, "25000", nic["SpeedMbps"])
	_, cpu := at(t, b, "Systems", "0", "Processors", "0")
	require.Equal(t, "16", cpu["TotalCores"])
	w, _ := ask(t, b, http.MethodPost, "/redfish/v1/Systems/1/Storage/RAID_Slot4/Volumes",
		`{"RAIDType":"RAID0","Links":{"Drives":[{"@odata.id":"/redfish/v1/Systems/1/Storage/RAID_Slot4/Drives/Disk.0"}]}}`)
	require.Equal(t, http.StatusCreated, w.Code)
	require.Equal(t, "/redfish/v1/Systems/1/Storage/RAID_Slot4/Volumes/0", w.Header().Get("Location"))
	w, doc := ask(t, b, http.MethodPatch, "/redfish/v1/Systems/1", `{"Boot":{"BootOrder":["Boot0202"]}}`)
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "Boot0202", doc["Boot"].(map[string]any)["BootOrder"].([]any)[0])
}

// Ironic's story 2008547, metal3-io/ironic-image#688.
func TestSupermicro(t *testing.T) {
	b := bmcOf(t, redfishsim.Supermicro)
	const system = "/redfish/v1/Systems/1"
	patch := func(path, body string) int {
		w, doc := ask(t, b, http.MethodPatch, path, body)
		if w.Code == http.StatusForbidden {
			require.Regexp(t, `(?i)licensed`, doc["error"].(map[string]any)["message"])
		}
		return w.Code
	}
	require.Equal(t, 400, patch(system, `{"Boot":{"BootSourceOverrideTarget":"Pxe"}}`), "Enabled must come with the target")
	require.Equal(t, 200, patch(system, `{"Boot":{"BootSourceOverrideTarget":"Pxe","BootSourceOverrideEnabled":"Continuous"}}`))
	require.Equal(t, 400, patch(system, `{"Boot":{"BootSourceOverrideTarget":"Hdd"}}`), "also when it stays as it is")
	const bios = `{"Attributes":{"SR-IOVSupport#0048":"Enabled"}`
	require.Equal(t, 400, patch(system+"/Bios/Settings", bios+onReset), "SettingsApplyTime is unknown")
	require.NoError(t, b.SetKnobs(redfishsim.Knobs{NoLicence: true}))
	require.Equal(t, 403, patch(system+"/Bios/Settings", bios+"}"))
	require.Equal(t, 403, patch(system+"/SecureBoot", `{"SecureBootEnable":true}`))
	require.Empty(t, b.Machine().State().Pending)
	require.NoError(t, b.SetKnobs(redfishsim.Knobs{}))
	require.Equal(t, 200, patch(system+"/Bios/Settings", bios+"}"))
	require.Equal(t, 200, patch(system+"/SecureBoot", `{"SecureBootEnable":true}`))
	_, cpu := at(t, b, "Systems", "0", "Processors", "0")
	require.Equal(t, "16", cpu["TotalCores"])
}

func TestOpenBMC(t *testing.T) {
	b := bmcOf(t, redfishsim.OpenBMC)
	uri, system := at(t, b, "Systems", "0")
	require.Equal(t, "/redfish/v1/Systems/system", uri)
	boot := system["Boot"].(map[string]any)
	require.ElementsMatch(t, []any{"None", "Pxe", "Hdd", "Cd", "BiosSetup", "Usb"}, boot["BootSourceOverrideTarget@Redfish.AllowableValues"])
	require.NotContains(t, boot, "BootOrder")
	require.NotContains(t, system, "SecureBoot")
	manager, _ := at(t, b, "Managers", "0")
	require.Equal(t, "/redfish/v1/Managers/bmc", manager)
	_, root := at(t, b)
	require.NotContains(t, root, "Registries")
	_, storage := at(t, b, "Systems", "0", "Storage", "0")
	require.NotContains(t, storage, "Volumes")
	require.Len(t, storage["Drives"], 4)
	for path, want := range map[string]int{"/Bios/Settings": 404, "/SecureBoot": 404, "/Bios": 405, "": 400} {
		w, _ := ask(t, b, http.MethodPatch, uri+path, `{"Attributes":{"x":1},"Boot":{"BootOrder":["Boot0001"]}}`)
		require.Equal(t, want, w.Code, path)
	}
	w, _ := ask(t, b, http.MethodPatch, uri, `{"Boot":{"BootSourceOverrideTarget":"Usb","BootSourceOverrideEnabled":"Once"}}`)
	require.Equal(t, 200, w.Code)
	require.NoError(t, b.Machine().Reset(redfishsim.ResetOn))
	_, system = at(t, b, "Systems", "0")
	require.Contains(t, system, "LastResetTime")
}

// stmcginnis/gofish#174: no PATCH without If-Match.
func TestHuawei(t *testing.T) {
	b := bmcOf(t, redfishsim.Huawei)
	uri, system := at(t, b, "Systems", "0")
	const boot = `{"Boot":{"BootSourceOverrideTarget":"Pxe","BootSourceOverrideEnabled":"Once"}}`
	status := func(path, body string, header ...string) int {
		w, _ := ask(t, b, http.MethodPatch, path, body, header...)
		return w.Code
	}
	require.Equal(t, 428, status(uri, boot))
	require.Equal(t, 200, status(uri, boot, "If-Match", system["@odata.etag"].(string)))
	require.Equal(t, 412, status(uri, boot, "If-Match", system["@odata.etag"].(string)), "stale")
	require.Equal(t, 200, status(uri, boot, "If-Match", "*"))
	require.Equal(t, 400, status(uri+"/Bios/Settings", `{"Attributes":{"SRIOVEnable":"Enabled"}`+onReset, "If-Match", "*"), "SettingsApplyTime is unknown")
	require.Equal(t, 200, status(uri+"/Bios/Settings", `{"Attributes":{"SRIOVEnable":"Enabled"}}`, "If-Match", "*"))
}

// DSP0266, 7.3.1: who expands, how far, and what a service that does not does with the question.
func TestExpand(t *testing.T) {
	for p, want := range map[redfishsim.Personality][2]int{ // members of the drives with "." and "*"
		redfishsim.Generic: {2, 1}, redfishsim.Dell: {2, 2}, redfishsim.HPE: {2, 1}, redfishsim.Supermicro: {1, 1}, redfishsim.OpenBMC: {1, 1}, redfishsim.Huawei: {1, 1},
	} {
		b := bmcOf(t, p)
		uri, _ := at(t, b, "Systems", "0", "Storage", "0")
		for i, query := range []string{"?$expand=.($levels=1)", "?$expand=*($levels=1)"} {
			_, doc := ask(t, b, http.MethodGet, uri+query, "")
			drive := doc["Drives"].([]any)[1].(map[string]any)
			if want[i] == 1 {
				require.Len(t, drive, 1, "%s %s", p, query)
				continue
			}
			require.Equal(t, "n1-D1", drive["SerialNumber"], "%s %s", p, query)
			require.Contains(t, doc["Volumes"], "Members", "a link by itself is expanded too")
			_, alone := ask(t, b, http.MethodGet, drive["@odata.id"].(string), "")
			require.Equal(t, alone, drive, "the ETag included")
		}
	}
	b := bmcOf(t, redfishsim.Generic)
	const system = "/redfish/v1/Systems/1"
	plain, _ := ask(t, b, http.MethodGet, system, "")
	expanded, doc := ask(t, b, http.MethodGet, system+"?$expand=.", "")
	require.Equal(t, plain.Header().Get("ETag"), expanded.Header().Get("ETag"), "good for If-Match")
	require.Contains(t, doc["Bios"], "Attributes")
	require.Len(t, doc["Links"].(map[string]any)["Chassis"].([]any)[0], 1, "not inside Links")
	require.Len(t, doc["Storage"].(map[string]any)["Members"].([]any)[0], 1, "one level")
	for p, deep := range map[redfishsim.Personality]bool{redfishsim.Generic: true, redfishsim.HPE: false} {
		b := bmcOf(t, p)
		uri, _ := at(t, b, "Systems", "0", "Storage")
		_, doc := ask(t, b, http.MethodGet, uri+"?$expand=.($levels=2)", "")
		drive := doc["Members"].([]any)[0].(map[string]any)["Drives"].([]any)[1].(map[string]any)
		require.Equal(t, deep, drive["SerialNumber"] == "n1-D1", "%s: no deeper than MaxLevels", p)
	}
	_, doc = ask(t, bmcOf(t, redfishsim.Dell), http.MethodGet, "/redfish/v1/Systems/System.Embedded.1?$expand=*($levels=1)", "")
	require.Contains(t, doc["Links"].(map[string]any)["Chassis"].([]any)[0], "ChassisType")
}

func TestUnknownPersonality(t *testing.T) {
	_, err := redfishsim.NewMachine(redfishsim.Spec{Name: "x", Personality: "commodore"}, nil)
	require.ErrorIs(t, err, redfishsim.ErrInvalid)
	require.ErrorContains(t, err, "generic, dell, dell-boss, hpe, lenovo, supermicro, openbmc, huawei")
}
