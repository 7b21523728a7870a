package bios_test

import (
	"testing"

	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/bios"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/internal/racktest"
)

func TestConformance(t *testing.T) {
	barclamptest.Run(t, barclamptest.Harness{World: func(t *testing.T) barclamptest.World {
		rack := racktest.New(t, 2, 2)
		return barclamptest.World{
			Barclamp: bios.New(bios.Config{Configurator: rack.Configurator, Target: rack.Target}),
			Site:     rack.Site,
		}
	}})
}
