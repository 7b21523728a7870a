package redfishsim_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// discard is an http.ResponseWriter that keeps nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) WriteHeader(int)             {}
func (d discard) Write(p []byte) (int, error) { return io.Discard.Write(p) }

// What a request costs, without the network.
func BenchmarkGet(b *testing.B) {
	for name, path := range map[string]string{"root": "", "system": "/Systems/1", "bios": "/Systems/1/Bios", "drive": "/Systems/1/Storage/RAID.Integrated.1-1/Drives/n1-D0",
		"storage, expanded": "/Systems/1/Storage/RAID.Integrated.1-1?$expand=.", "registry": "/Registries/BiosAttributeRegistry.v1_0_0/registry.json"} {
		b.Run(name, func(b *testing.B) {
			bmc := bmcOf(b, redfishsim.Generic)
			r := httptest.NewRequest(http.MethodGet, "/redfish/v1"+path, nil)
			r.SetBasicAuth("root", "secret")
			b.ReportAllocs()
			for b.Loop() {
				bmc.ServeHTTP(discard{http.Header{}}, r)
			}
		})
	}
}

// What a machine and its BMC cost to make, and to keep.
func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		bmcOf(b, redfishsim.Dell)
	}
}
