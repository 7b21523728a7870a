package cinder_test

import (
	"testing"

	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/cinder"
)

func TestConformance(t *testing.T) {
	barclamptest.Run(t, barclamptest.Harness{World: func(*testing.T) barclamptest.World {
		return barclamptest.World{Barclamp: cinder.New(), Site: barclamptest.NewSite(6, 2)}
	}})
}
