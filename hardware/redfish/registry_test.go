package redfish_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// Machines of a model share their registry, unless it has not what is in effect: Dell lists the
// ports that are there as values.
func TestRegistryOfAnotherMachine(t *testing.T) {
	files := 0
	machine := func(port string) http.Handler {
		h := resources{
			"/redfish/v1/": `{"Systems":{"@odata.id":"/redfish/v1/Systems"},"Registries":{"@odata.id":"/R"}}`, "/redfish/v1/Systems": `{"Members":[{"@odata.id":"/sys"}]}`,
			"/sys": `{"Manufacturer":"Dell Inc.","Model":"PowerEdge R740","BiosVersion":"2.1","Bios":{"@odata.id":"/B"},"PowerState":"On"}`,
			"/B":   `{"AttributeRegistry":"BiosAttributeRegistry.v1_0_0","Attributes":{"PxeDev1Interface":"` + port + `"}}`,
			"/R":   `{"Members":[{"@odata.id":"/R/BiosAttributeRegistry.v1_0_0"}]}`, "/R/BiosAttributeRegistry.v1_0_0": `{"Location":[{"Language":"en","Uri":"/file"}]}`,
			"/file": fmt.Sprintf(`{"RegistryEntries":{"Attributes":[{"AttributeName":"PxeDev1Interface","Type":"Enumeration","Value":[{"ValueName":%q}]}]}}`, port),
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/file" {
				files++
			}
			h.ServeHTTP(w, r)
		})
	}
	hosts := map[string]http.Handler{"a": machine("NIC.Integrated.1-1-1"), "b": machine("NIC.Integrated.1-1-1"), "c": machine("NIC.Slot.3-1-1")}
	c := through(t, redfishsim.Transport(func(host string) http.Handler { return hosts[host] }))
	for _, tt := range []struct {
		host, port string
		files      int
	}{{"a", "NIC.Integrated.1-1-1", 1}, {"b", "NIC.Integrated.1-1-1", 1}, {"c", "NIC.Slot.3-1-1", 2}} {
		seen, err := c.Observe(t.Context(), hardware.Target{Node: tt.host, URL: "http://" + tt.host})
		require.NoError(t, err)
		require.Equal(t, []string{tt.port}, seen.BIOS.Registry.Attributes["PxeDev1Interface"].Values)
		require.Equal(t, tt.files, files)
	}
}

// Machines of a model that are seen at the same time ask for it once, and are not held up by one
// that hangs.
func TestRegistryIsAskedForOnce(t *testing.T) {
	for name, hangs := range map[string]bool{"": false, "the first hangs": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				files := 0
				bmcs := map[string]http.Handler{}
				for i := range 20 {
					bmcs[fmt.Sprint("bmc", i)] = rigOf(t, newRig(t, 1, nil).machine).bmc
				}
				c, err := redfish.New(redfish.Config{Transport: roundTripper(func(q *http.Request) (*http.Response, error) {
					if strings.HasSuffix(q.URL.Path, "/registry.json") {
						mu.Lock()
						files++
						first := files == 1
						mu.Unlock()
						time.Sleep(time.Second)
						if first && hangs {
							<-q.Context().Done()
							return nil, q.Context().Err()
						}
					}
					return redfishsim.Transport(func(host string) http.Handler { return bmcs[host] }).RoundTrip(q)
				})})
				require.NoError(t, err)
				start := time.Now()
				var all sync.WaitGroup
				took := make([]time.Duration, len(bmcs))
				for i := range took {
					all.Go(func() {
						seen, err := c.Observe(t.Context(), target("node1", fmt.Sprint("http://bmc", i)))
						if err != nil || seen.BIOS.Registry == nil && !hangs {
							t.Error(i, err)
						}
						took[i] = time.Since(start)
					})
				}
				all.Wait()
				slices.Sort(took)
				if !hangs {
					require.Equal(t, 1, files)
					return
				}
				require.Less(t, took[len(took)-2], 20*time.Second, "only the one that hangs takes its minute")
			})
		})
	}
}
