package provisioner_test

import (
	"testing"

	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/provisioner"
)

func TestConformance(t *testing.T) {
	barclamptest.Run(t, barclamptest.Harness{World: func(*testing.T) barclamptest.World {
		return barclamptest.World{Barclamp: provisioner.New(provisioner.Config{}), Site: barclamptest.NewSite(6, 2)}
	}})
}
