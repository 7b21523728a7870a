package ipmi_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/internal/racktest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/ipmi"
	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/proposal"
)

func step(t *testing.T, r *racktest.Rack, b *ipmi.Barclamp, edits ...proposal.Edit) (barclamp.Step, *barclamptest.StepContext) {
	t.Helper()
	d, err := r.Site.Commit(t.Context(), b)
	require.NoError(t, err)
	d, err = d.With(edits...)
	require.NoError(t, err)
	e, err := r.Site.Event(r.Compute(), "hardware-installing", d)
	require.NoError(t, err)
	steps, err := b.Transition(t.Context(), r.Site, e)
	require.NoError(t, err)
	require.Len(t, steps, 1)
	return steps[0], barclamptest.NewStepContext(e.Node)
}

func TestTheBMCIsRecorded(t *testing.T) {
	r := racktest.New(t, 1, 0)
	s, sc := step(t, r, ipmi.New(ipmi.Config{Configurator: r.Configurator, Target: r.Target}))
	require.NoError(t, s.Run(t.Context(), sc))
	var data ipmi.Data
	require.NoError(t, json.Unmarshal(sc.Stored(), &data))
	require.Equal(t, ipmi.Data{URL: "http://bmc-" + r.Compute(), Manufacturer: "CrowbarKit", Model: "Simulated Server",
		Serial: "SN-" + r.Compute(), Firmware: "7.10.30.00"}, data)
}

func TestWrongCredentialsFailTheStep(t *testing.T) {
	r := racktest.New(t, 1, 0)
	wrong := func(n barclamp.Node) (hardware.Target, error) {
		return hardware.Target{Node: n.Name, URL: n.Facts.BMC.URL, Credentials: func(context.Context) (string, string, error) {
			return "root", "hunter2-not-it", nil
		}}, nil
	}
	s, sc := step(t, r, ipmi.New(ipmi.Config{Configurator: r.Configurator, Target: wrong}))
	err := s.Run(t.Context(), sc)
	require.ErrorIs(t, err, hardware.ErrUnauthorized)
	require.NotContains(t, err.Error(), "hunter2")
	require.Nil(t, sc.Stored())
}

func TestNoBMCIsSkipped(t *testing.T) {
	r := racktest.New(t, 1, 0)
	r.Site.Machines[0].Facts.BMC = nil
	s, _ := step(t, r, ipmi.New(ipmi.Config{Configurator: r.Configurator, Target: r.Target}))
	require.Contains(t, s.Skip, "node has no BMC")
}

func TestSwitchedOffIsSkipped(t *testing.T) {
	r := racktest.New(t, 1, 0)
	s, _ := step(t, r, ipmi.New(ipmi.Config{Configurator: r.Configurator, Target: r.Target}),
		proposal.Edit{Pointer: "/attributes/ipmi/bmc_enable", Value: json.RawMessage("false")})
	require.Equal(t, "bmc_enable is false in ipmi/default", s.Skip)
}
