package redfish_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/hardwaretest"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// kit is what a personality can be asked for.
type kit struct {
	profile string
	// single is what one disk of the first controller makes a volume of; empty: none can.
	single hardware.RAIDLevel
	// disturb is a setting that the profile finds as it should be, and another value for it.
	disturb map[string]any
}

func kits() map[redfishsim.Personality]kit {
	const boot = `"boot":{"target":"pxe","order":["disk"],"secure_boot":"on"}`
	all := kit{profile: `{"bios":{"set":"Virtualization"},"raid":{"set":"SingleRaid10"},` + boot + `}`, single: hardware.RAID0}
	return map[redfishsim.Personality]kit{
		redfishsim.Generic: all, redfishsim.Dell: all, redfishsim.HPE: all, redfishsim.Lenovo: all, redfishsim.Supermicro: all, redfishsim.Huawei: all,
		redfishsim.DellBOSS: {profile: `{"bios":{"set":"Virtualization","intents":{"smt":"on"}},
			"raid":{"volumes":[{"name":"os","raid_level":"RAID1","disk_count":2,"controller":"AHCI.Slot.1-1"}]},` + boot + `}`,
			disturb: map[string]any{"LogicalProc": "Disabled"}},
		redfishsim.OpenBMC: {profile: `{"boot":{"target":"pxe"}}`},
	}
}

// ibmc is a vendor of an embedder's own.
type ibmc struct{}

func (ibmc) Name() string                       { return "huawei" }
func (ibmc) Recognises(i redfish.Identity) bool { return i.Manufacturer == "Huawei" }

func (ibmc) Spellings(i hardware.Intent) []redfish.Spelling {
	enabled := map[string]any{"on": "Enabled", "off": "Disabled"}
	switch i {
	case hardware.Virtualization:
		return []redfish.Spelling{{Attribute: "ProcessorVmxEnable", Values: enabled}}
	case hardware.IOMMU:
		return []redfish.Spelling{{Attribute: "VTdSupport", Values: enabled}}
	case hardware.SRIOV:
		return []redfish.Spelling{{Attribute: "SRIOVEnable", Values: enabled}}
	}
	return nil
}

func TestConformance(t *testing.T) {
	for _, personality := range redfishsim.Personalities() {
		t.Run(string(personality), func(t *testing.T) {
			k, ok := kits()[personality]
			require.True(t, ok)
			conform(t, personality, k, redfish.Config{})
		})
	}
}

// With kept sessions all rules hold as well: for settings, where Apply goes on from what was
// observed, and where it does not.
func TestConformanceWithKeptSessions(t *testing.T) {
	config := redfish.Config{KeepSession: 10 * time.Minute}
	t.Run("settings", func(t *testing.T) {
		conform(t, redfishsim.Generic, kit{profile: `{"bios":{"set":"Virtualization","intents":{"smt":"on"}},"boot":{"target":"pxe","secure_boot":"on"}}`,
			disturb: map[string]any{"LogicalProc": "Disabled"}}, config)
	})
	t.Run("all", func(t *testing.T) { conform(t, redfishsim.Dell, kits()[redfishsim.Dell], config) })
}

func conform(t *testing.T, personality redfishsim.Personality, k kit, config redfish.Config) {
	t.Parallel()
	for _, c := range hardwaretest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.Run(t, func(t *testing.T) *hardwaretest.Rig { return conformanceRig(t, personality, k, config) })
			})
		})
	}
}

func conformanceRig(t *testing.T, personality redfishsim.Personality, k kit, config redfish.Config) *hardwaretest.Rig {
	m, err := redfishsim.NewMachine(redfishsim.Spec{Name: "node1", Personality: personality,
		Times: redfishsim.Times{POST: 30 * time.Second}, Disks: redfishsim.Disks("n1", 4),
		NICs: []redfishsim.NIC{{Name: "NIC.1", MAC: "52:54:00:00:00:01", SpeedMbps: 25000}}}, nil)
	require.NoError(t, err)
	r := rigOf(t, m)
	require.NoError(t, m.Reset(redfishsim.ResetOn))
	time.Sleep(10 * time.Minute) // in the bubble: it has booted
	profile, err := hardware.ParseProfile([]byte(k.profile))
	require.NoError(t, err)
	rig := &hardwaretest.Rig{
		Target:   r.target,
		User:     user,
		Password: password,
		Profile:  profile,
		Configurator: func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) hardware.Configurator {
			config := config
			config.Transport, config.Vendors = r.transport(), []redfish.Vendor{ibmc{}}
			if wrap != nil {
				config.Transport = wrap(config.Transport)
			}
			c, err := redfish.New(config)
			require.NoError(t, err)
			return c
		},
		Keeps: config.KeepSession > 0,
		State: func() hardwaretest.State {
			s := m.State()
			out := hardwaretest.State{Changes: s.Revision, Volumes: len(s.Volumes), Wipes: map[string]int{}, Boots: s.Boots,
				On: s.Power != redfishsim.PowerOff && s.Power != redfishsim.PowerCycling, Reset: s.LastReset, Sessions: r.bmc.Sessions(), Collisions: s.Collisions}
			for serial, d := range s.Disks {
				out.Wipes[serial] = d.Wipes
			}
			return out
		},
		EndSessions: r.bmc.DropSessions,
	}
	if k.single != "" {
		rig.AddVolume = func(t *testing.T) {
			_, err := m.CreateVolume(redfishsim.Volume{Controller: m.Spec().Controllers[0].ID, Name: "other", RAIDLevel: k.single, Disks: []string{"n1-D0"}})
			require.NoError(t, err)
		}
	}
	if k.disturb != nil {
		rig.ChangeSetting = func(t *testing.T) { require.NoError(t, m.SetBIOS(k.disturb)) }
	}
	return rig
}
