// Package catalog holds the built-in barclamps, one package each, and makes a Registry of them.
//
//	registry, err := catalog.New(catalog.Config{Hardware: configurator, Target: target})
//
// A server that wants a choice of its own registers the packages below one by one.
package catalog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/bios"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/cinder"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/deployer"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/ipmi"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/network"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/nova"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/provisioner"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/raid"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/swift"
	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// Config is what the built-in barclamps work with. The zero value is of use: hardware is then
// not configured.
type Config struct {
	// Hardware configures nodes. Without it bios, raid and ipmi are there all the same, but
	// skip every node and say why.
	Hardware hardware.Configurator
	// Target finds a node's BMC and credentials; nil takes the URL of the node's facts,
	// without credentials.
	Target func(barclamp.Node) (hardware.Target, error)
	// Lifecycle of the nodes; nil is lifecycle.Default.
	Lifecycle *lifecycle.Lifecycle
	// Without names barclamps to leave out.
	Without []string
}

// New makes a Registry of the built-in barclamps. A name in Without that none of them has is
// an error.
func New(c Config) (*barclamp.Registry, error) {
	all := []barclamp.Barclamp{
		deployer.New(),
		ipmi.New(ipmi.Config{Configurator: c.Hardware, Target: c.Target}),
		bios.New(bios.Config{Configurator: c.Hardware, Target: c.Target}),
		raid.New(raid.Config{Configurator: c.Hardware, Target: c.Target}),
		network.New(),
		swift.New(),
		cinder.New(),
		nova.New(),
		provisioner.New(provisioner.Config{Lifecycle: c.Lifecycle}),
	}
	names := make([]string, len(all))
	for i, b := range all {
		names[i] = b.Info().Name
	}
	for _, name := range c.Without {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("catalog: there is no barclamp %q to leave out; known: %s", name, strings.Join(slices.Sorted(slices.Values(names)), ", "))
		}
	}
	registry := &barclamp.Registry{}
	for i, b := range all {
		if slices.Contains(c.Without, names[i]) {
			continue
		}
		if err := registry.Add(b); err != nil {
			return nil, err
		}
	}
	return registry, nil
}
