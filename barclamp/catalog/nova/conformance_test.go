package nova_test

import (
	"testing"

	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/nova"
)

func TestConformance(t *testing.T) {
	barclamptest.Run(t, barclamptest.Harness{World: func(*testing.T) barclamptest.World {
		return barclamptest.World{Barclamp: nova.New(), Site: barclamptest.NewSite(6, 2)}
	}})
}
