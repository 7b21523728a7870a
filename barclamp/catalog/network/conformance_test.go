package network_test

import (
	"testing"

	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/network"
)

func TestConformance(t *testing.T) {
	barclamptest.Run(t, barclamptest.Harness{World: func(*testing.T) barclamptest.World {
		return barclamptest.World{Barclamp: network.New(), Site: barclamptest.NewSite(6, 2)}
	}})
}
