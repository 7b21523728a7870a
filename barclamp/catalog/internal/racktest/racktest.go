// Package racktest is a rack of simulated machines for the tests of barclamps that configure
// hardware: a site whose nodes have BMCs, and a Configurator that speaks real Redfish to them in
// process.
package racktest

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/deployer"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/nova"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/swift"
	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
	"github.com/crowbarkit/crowbarkit/internal/clock"
)

const (
	user     = "root"
	password = "calvin"
)

// Rack is the site and its machines.
type Rack struct {
	Site         *barclamptest.FakeSite
	Machines     map[string]*redfishsim.Machine // by node
	BMCs         map[string]*redfishsim.BMC
	Configurator *redfish.Configurator
}

// New makes a rack of compute machines with 4 disks and storage machines with 12. The
// proposals of deployer, nova and swift are in force.
func New(t *testing.T, compute, storage int) *Rack {
	t.Helper()
	r := &Rack{
		Site:     barclamptest.NewSite(compute, storage),
		Machines: map[string]*redfishsim.Machine{},
		BMCs:     map[string]*redfishsim.BMC{},
	}
	fast := clock.Scaled(200) // POST takes 5 ms; deadlines stay seconds long
	for i := range r.Site.Machines {
		n := &r.Site.Machines[i]
		n.Facts.BMC = &barclamp.BMC{URL: "http://bmc-" + n.Name}
		spec := redfishsim.Spec{
			Name:  n.Name,
			Times: redfishsim.Times{POST: time.Second, Off: time.Second, Shutdown: time.Second},
		}
		for _, d := range n.Facts.Disks {
			spec.Disks = append(spec.Disks, redfishsim.Disk{Serial: d.Serial, WWN: d.WWN, SizeBytes: d.SizeBytes})
		}
		m, err := redfishsim.NewMachine(spec, &redfishsim.Options{Clock: fast})
		require.NoError(t, err)
		require.NoError(t, m.Reset(redfishsim.ResetOn))
		bmc, err := redfishsim.NewBMC(redfishsim.Config{Machine: m, Username: user, Password: password})
		require.NoError(t, err)
		r.Machines[n.Name], r.BMCs["bmc-"+n.Name] = m, bmc
	}
	var err error
	r.Configurator, err = redfish.New(redfish.Config{
		Clock:        fast,
		PollInterval: 200 * time.Millisecond,
		Transport: redfishsim.Transport(func(host string) http.Handler {
			if bmc, ok := r.BMCs[host]; ok {
				return bmc
			}
			return nil
		}),
	})
	require.NoError(t, err)
	for _, b := range []barclamp.Barclamp{nova.New(), swift.New(), deployer.New()} {
		_, err := r.Site.Commit(t.Context(), b)
		require.NoError(t, err)
	}
	return r
}

// Target finds a node's BMC, as catalog.Config wants it.
func (r *Rack) Target(n barclamp.Node) (hardware.Target, error) {
	return hardware.Target{Node: n.Name, URL: n.Facts.BMC.URL, Credentials: func(context.Context) (string, string, error) {
		return user, password, nil
	}}, nil
}

// Compute names the first node, which is a compute node if there is one.
func (r *Rack) Compute() string { return r.Site.Nodes()[0].Name }

// Storage names the last node, which is a storage node if there is one.
func (r *Rack) Storage() string {
	nodes := r.Site.Nodes()
	return nodes[len(nodes)-1].Name
}
