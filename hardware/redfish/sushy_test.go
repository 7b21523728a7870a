package redfish_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// sushy is the emulator of sushy-tools over libvirt, as it answers: no sessions, no
// ETags, settings in force at once, no marks of a reset, shutdowns that nobody heeds.
type sushy struct {
	mu         sync.Mutex
	attributes map[string]any
	boot       string
	power      string
	volumes    []string
}

const sushySystem = "/redfish/v1/Systems/c7a5fdbd-cdaf-9455-926a-d65c16db1809"

func (s *sushy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := strings.TrimSuffix(r.URL.Path, "/")
	if r.Method != http.MethodGet {
		w.WriteHeader(s.change(w.Header(), r, path))
		return
	}
	resource := s.resources()[path]
	if resource == "" {
		w.WriteHeader(http.StatusNotFound)
		resource = `{"error":{"code":"Base.1.0.GeneralError","message":"Resource not found"}}`
	}
	_, _ = io.WriteString(w, resource)
}

func (s *sushy) change(header http.Header, r *http.Request, path string) int {
	var body struct {
		Attributes map[string]any
		Boot       struct{ BootSourceOverrideTarget string }
		ResetType  string
		Name       string
		VolumeType string
	}
	if json.NewDecoder(r.Body).Decode(&body) != nil {
		return http.StatusBadRequest
	}
	switch {
	case r.Method == http.MethodPatch && path == sushySystem+"/BIOS/Settings":
		for name, value := range body.Attributes {
			s.attributes[name] = value
		}
	case r.Method == http.MethodPatch && path == sushySystem:
		switch body.Boot.BootSourceOverrideTarget {
		case "Pxe", "Hdd", "Cd":
			s.boot = body.Boot.BootSourceOverrideTarget
		default:
			return http.StatusBadRequest
		}
	case path == sushySystem+"/Actions/ComputerSystem.Reset":
		switch body.ResetType {
		case "ForceOff":
			s.power = "Off"
		case "On", "ForceRestart":
			s.power = "On"
		case "GracefulShutdown":
		default:
			return http.StatusBadRequest
		}
	case r.Method == http.MethodPost && path == sushySystem+"/Storage/1/Volumes":
		uri := fmt.Sprintf("%s/%d", path, len(s.volumes)+1)
		s.volumes = append(s.volumes, fmt.Sprintf(`{"@odata.id":%q,"Id":"%d","Name":%q,"VolumeType":%q}`, uri, len(s.volumes)+1, body.Name, body.VolumeType))
		header.Set("Location", uri)
		return http.StatusCreated
	default:
		return http.StatusMethodNotAllowed
	}
	return http.StatusNoContent
}

func (s *sushy) resources() map[string]string {
	attributes, _ := json.Marshal(s.attributes)
	return map[string]string{
		"/redfish/v1": `{"Id":"RedvirtService","RedfishVersion":"1.5.0","Systems":{"@odata.id":"/redfish/v1/Systems"},"Managers":{"@odata.id":"/redfish/v1/Managers"},
			"Registries":{"@odata.id":"/redfish/v1/Registries"},"UpdateService":{"@odata.id":"/redfish/v1/UpdateService"},"TaskService":{"@odata.id":"/redfish/v1/TaskService"}}`,
		"/redfish/v1/Systems": `{"Members":[{"@odata.id":"` + sushySystem + `"}],"Members@odata.count":1}`,
		sushySystem: fmt.Sprintf(`{"@odata.id":%[1]q,"Id":"c7","Name":"vm","Manufacturer":"Sushy Emulator","PowerState":%[2]q,"Status":{"State":"Enabled","Health":"OK"},
			"Boot":{"BootSourceOverrideEnabled":"Continuous","BootSourceOverrideTarget":%[3]q,"BootSourceOverrideMode":"UEFI","BootSourceOverrideTarget@Redfish.AllowableValues":["Pxe","Cd","Hdd"]},
			"ProcessorSummary":{"Count":2},"MemorySummary":{"TotalSystemMemoryGiB":1},"Bios":{"@odata.id":"%[1]s/BIOS"},"EthernetInterfaces":{"@odata.id":"%[1]s/EthernetInterfaces"},
			"SimpleStorage":{"@odata.id":"%[1]s/SimpleStorage"},"Storage":{"@odata.id":"%[1]s/Storage"},"SecureBoot":{"@odata.id":"%[1]s/SecureBoot"},"Links":{"ManagedBy":[{"@odata.id":"/redfish/v1/Managers/c7"}]},
			"Actions":{"#ComputerSystem.Reset":{"target":"%[1]s/Actions/ComputerSystem.Reset","ResetType@Redfish.AllowableValues":["On","ForceOff","GracefulShutdown","GracefulRestart","ForceRestart","Nmi","ForceOn"]}}}`,
			sushySystem, s.power, s.boot),
		sushySystem + "/BIOS":                                      `{"Id":"BIOS","AttributeRegistry":"BiosAttributeRegistry.v1_0_0","Attributes":` + string(attributes) + `,"@Redfish.Settings":{"SettingsObject":{"@odata.id":"` + sushySystem + `/BIOS/Settings"}}}`,
		sushySystem + "/BIOS/Settings":                             `{"Id":"Settings","Attributes":` + string(attributes) + `}`,
		sushySystem + "/EthernetInterfaces":                        `{"Members":[{"@odata.id":"` + sushySystem + `/EthernetInterfaces/52:54:00:00:00:01"}]}`,
		sushySystem + "/EthernetInterfaces/52:54:00:00:00:01":      `{"Id":"52:54:00:00:00:01","PermanentMACAddress":"52:54:00:00:00:01"}`,
		sushySystem + "/SecureBoot":                                `{"Id":"SecureBoot","SecureBootEnable":false,"SecureBootCurrentBoot":"Disabled"}`,
		sushySystem + "/Storage":                                   `{"Members":[{"@odata.id":"` + sushySystem + `/Storage/1"}]}`,
		sushySystem + "/Storage/1":                                 `{"Id":"1","Drives":[{"@odata.id":"` + sushySystem + `/Storage/1/Drives/32ADF365C6C1B7BD"}],"Volumes":{"@odata.id":"` + sushySystem + `/Storage/1/Volumes"}}`,
		sushySystem + "/Storage/1/Drives/32ADF365C6C1B7BD":         `{"@odata.id":"` + sushySystem + `/Storage/1/Drives/32ADF365C6C1B7BD","Id":"32ADF365C6C1B7BD","CapacityBytes":899527000000}`,
		sushySystem + "/Storage/1/Volumes":                         `{"Members":[` + strings.Join(s.volumes, ",") + `]}`,
		"/redfish/v1/Managers/c7":                                  `{"Id":"c7","FirmwareVersion":"1.00"}`,
		"/redfish/v1/TaskService":                                  `{"Id":"TaskService","Tasks":{"@odata.id":"/redfish/v1/TaskService/Tasks"}}`,
		"/redfish/v1/TaskService/Tasks":                            `{"Members":[{"@odata.id":"/redfish/v1/TaskService/Tasks/42"}]}`,
		"/redfish/v1/TaskService/Tasks/42":                         `{"Id":"42","TaskState":"Completed"}`,
		"/redfish/v1/Registries":                                   `{"Members":[{"@odata.id":"/redfish/v1/Registries/BiosAttributeRegistry.v1_0_0"}]}`,
		"/redfish/v1/Registries/BiosAttributeRegistry.v1_0_0":      `{"Location":[{"Language":"en","Uri":"/redfish/v1/Registries/BiosAttributeRegistry.v1_0_0.json"}]}`,
		"/redfish/v1/Registries/BiosAttributeRegistry.v1_0_0.json": `{"RegistryEntries":{"Attributes":[{"AttributeName":"ProcTurboMode","Type":"Enumeration","Value":[{"ValueName":"Enabled"},{"ValueName":"Disabled"}],"ResetRequired":true}]}}`,
	}
}

func TestSushyEmulator(t *testing.T) {
	target := target("vm", "http://sushy:8000")
	for _, power := range []string{"On", "Off"} {
		t.Run(power, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sushy{attributes: map[string]any{"ProcTurboMode": "Enabled", "BootMode": "Uefi", "NumCores": "10"}, boot: "Hdd", power: power}
				c := over(t, "sushy:8000", s)
				plan := func(profile string) (*hardware.Plan, error) {
					t.Helper()
					want, err := hardware.ParseProfile([]byte(profile))
					require.NoError(t, err)
					seen, err := c.Observe(t.Context(), target)
					require.NoError(t, err)
					return hardware.NewPlan(want, seen)
				}
				const profile = `{"bios":{"attributes":{"ProcTurboMode":"Disabled"}},"boot":{"target":"pxe"}}`
				p, err := plan(profile)
				require.NoError(t, err)
				res, err := c.Apply(t.Context(), target, p, nil)
				require.NoError(t, err)
				require.Len(t, res.Done, 2)
				require.Equal(t, "On", s.power)
				p, err = plan(profile)
				require.NoError(t, err)
				require.True(t, p.Empty())

				for _, action := range []struct {
					hardware.PowerAction
					power string
				}{{hardware.PowerReset, "On"}, {hardware.PowerShutdown, "Off"}, {hardware.PowerOn, "On"}, {hardware.PowerOff, "Off"}} {
					require.NoError(t, c.Power(t.Context(), target, action.PowerAction))
					require.Equal(t, action.power, s.power)
				}

				// What it cannot do is refused, in words and without harm.
				p, err = plan(`{"boot":{"target":"none"}}`)
				require.NoError(t, err)
				_, err = c.Apply(t.Context(), target, p, nil)
				require.ErrorIs(t, err, hardware.ErrRejected)
				require.Equal(t, "Pxe", s.boot)

				// Its volumes do not say what they lie on: after the first there is no second.
				const raid = `{"raid":{"volumes":[{"name":"x","raid_level":"RAID0","disk_count":1}]}}`
				p, err = plan(raid)
				require.NoError(t, err)
				res, err = c.Apply(t.Context(), target, p, &hardware.ApplyOptions{Authorize: allow})
				require.ErrorIs(t, err, hardware.ErrNotConverged)
				require.NotErrorIs(t, err, hardware.ErrUnreachable, "the volume is there")
				require.Empty(t, res.Done)
				_, err = plan(raid)
				require.ErrorIs(t, err, hardware.ErrInvalid)
				require.Len(t, s.volumes, 1)
			})
		})
	}
}
