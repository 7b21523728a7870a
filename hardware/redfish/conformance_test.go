package redfish_test

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/hardwaretest"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

func TestConformance(t *testing.T) {
	for _, c := range hardwaretest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.Run(t, conformanceRig) })
		})
	}
}

func conformanceRig(t *testing.T) *hardwaretest.Rig {
	r := newRig(t, 4, nil)
	profile, err := hardware.ParseProfile([]byte(wholeProfile))
	require.NoError(t, err)
	return &hardwaretest.Rig{
		Profile:  profile,
		Target:   r.target,
		User:     user,
		Password: password,
		Configurator: func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) hardware.Configurator {
			return r.configurator(t, wrap)
		},
		State: func() hardwaretest.State {
			s := r.machine.State()
			out := hardwaretest.State{Changes: s.Revision, Volumes: len(s.Volumes), Wipes: map[string]int{}, Boots: s.Boots, Sessions: r.bmc.Sessions()}
			for serial, d := range s.Disks {
				out.Wipes[serial] = d.Wipes
			}
			return out
		},
		AddVolume: func(t *testing.T) {
			_, err := r.machine.CreateVolume(redfishsim.Volume{Controller: "RAID.Integrated.1-1", Name: "other", RAIDLevel: hardware.RAID0, Disks: []string{"n1-D0"}})
			require.NoError(t, err)
		},
		EndSessions: r.bmc.DropSessions,
	}
}
