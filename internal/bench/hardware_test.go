package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// mostRequests are what our side may take for a server, the registry aside, which is read once
// for all of a model.
const mostRequests, registryRequests = 20, 3

// Both sides bring servers to the same state, by as many changes; ours leaves no session and does
// nothing the second time.
func TestFleet(t *testing.T) {
	f := fleetBench{name: "fleet", servers: 6, limit: 3, gofish: true,
		// The reset is over before the second look, so that slowness takes no further ones.
		restart: redfishsim.Times{Off: 20 * time.Millisecond, POST: 60 * time.Millisecond}, poll: 100 * time.Millisecond}
	r, err := f.measure()
	if err != nil {
		t.Fatal(err)
	}
	for who, o := range map[string]*outcome{"ours": r.first, "ours again": r.again, "gofish": r.gofish, "expanding gofish": r.expanding} {
		if len(o.failures) > 0 || o.sessions != 0 {
			t.Errorf("%s: %d sessions left, failed: %v", who, o.sessions, o.failures)
		}
	}
	const changes = 3 // boot, BIOS, reset
	if r.first.changes != 6*changes || r.gofish.changes != 6*changes || r.again.changes != 0 {
		t.Errorf("changes: %d by ours, %d by gofish, %d by ours the second time", r.first.changes, r.gofish.changes, r.again.changes)
	}
	if most := int64(6*mostRequests + 3*registryRequests); r.first.requests > most || r.again.requests >= r.first.requests {
		t.Errorf("ours took %d requests and %d the second time, at most %d are fine", r.first.requests, r.again.requests, most)
	}
	if r.alone <= 0 || r.first.bytes == 0 || r.first.cpu <= 0 || r.first.memory == 0 || r.first.connections < 6 {
		t.Errorf("not measured: %+v, alone %v", r.first, r.alone)
	}
	var out bytes.Buffer
	if err := f.print(&out, r); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`wall ours=[0-9.]+s 2x-one-alone=[0-9.]+s ratio=[0-9.]+`, `requests ours=[0-9.]+ gofish=[0-9.]+ ratio=1\.[0-9]+`,
		`ours: 6 BMCs, 3 at a time: [0-9.]+s, failed 0, sessions left 0, .*`, `ours-again: .* 0\.0 changes, .*`,
	} {
		if !regexp.MustCompile(`(?m)^bench: fleet ` + line + `$`).Match(out.Bytes()) {
			t.Errorf("no line %q in\n%s", line, out.String())
		}
	}
}

// A server that nobody configured is noticed, and so is a session that nobody ended.
func TestFleetLooksAtMachines(t *testing.T) {
	f, err := newFleet(2, redfishsim.Times{}, redfishsim.Knobs{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // the test ends
	o, err := f.run(2, idle{})
	if err != nil || len(o.failures) != 2 {
		t.Fatalf("%v: %v", o.failures, err)
	}
	k, err := newCrowbarkit(time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.(*crowbarkit).c.Observe(t.Context(), bmcTarget("node0", f.urls[0])); err != nil {
		t.Fatal(err)
	}
	if n := f.sessions(); n != 1 {
		t.Errorf("%d sessions before the end", n)
	}
	if err := k.close(); err != nil || f.sessions() != 0 {
		t.Errorf("%d sessions at the end: %v", f.sessions(), err)
	}
}

type idle struct{}

func (idle) configure(context.Context, string, string) error { return nil }
func (idle) close() error                                    { return nil }

var smallTree = fstest.MapFS{
	"redfish/v1/index.json": {Data: []byte(`{"@odata.id":"/redfish/v1","Systems":{"@odata.id":"/redfish/v1/Systems"},
		"Links":{"Sessions":{"@odata.id":"/redfish/v1/SessionService/Sessions"}},
		"ProtocolFeaturesSupported":{"ExpandQuery":{"NoLinks":true,"Levels":true,"MaxLevels":1}}}`)},
	"redfish/v1/Systems/index.json": {Data: []byte(`{"Members":[{"@odata.id":"/redfish/v1/Systems/1"}]}`)},
	"redfish/v1/Systems/1/index.json": {Data: []byte(`{"@odata.id":"/redfish/v1/Systems/1","Id":"1","PowerState":"On",
		"EthernetInterfaces":{"@odata.id":"/redfish/v1/Systems/1/EthernetInterfaces/"}}`)},
	"redfish/v1/Systems/1/EthernetInterfaces/index.json":   {Data: []byte(`{"Members":[{"@odata.id":"/redfish/v1/Systems/1/EthernetInterfaces/1"}]}`)},
	"redfish/v1/Systems/1/EthernetInterfaces/1/index.json": {Data: []byte(`{"@odata.id":"/redfish/v1/Systems/1/EthernetInterfaces/1","Id":"1","MACAddress":"52:54:00:00:00:01"}`)},
}

func TestInventoryCounts(t *testing.T) {
	twice := reader{"twice", func(ctx context.Context, url string) (string, error) {
		_, err := observe(ctx, url)
		facts, again := observe(ctx, url)
		return facts, errors.Join(err, again)
	}}
	absent := reader{"absent", func(context.Context, string) (string, error) { return "", errors.New("not here") }}
	for _, c := range []struct {
		expand bool
		want   string
	}{
		{false, `requests ours=7 twice=14 ratio=2\.00`}, // root, login, systems, system, ports, port, logout
		{true, `requests ours=5 twice=10 ratio=2\.00`},
	} {
		var out bytes.Buffer
		if err := inventoryOf(&out, "small", tree{smallTree, c.expand}, []reader{{"ours", observe}, twice, absent}); err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{c.want, `ours: .* 1 network ports, .* not read: 0 resources`} {
			if !regexp.MustCompile(`(?m)^bench: small ` + line + `$`).Match(out.Bytes()) {
				t.Errorf("no line %q in\n%s", line, out.String())
			}
		}
		if !strings.Contains(out.String(), "bench: small: absent left out: not here\n") {
			t.Errorf("nothing about absent in\n%s", out.String())
		}
	}
}

func TestInventoryOfHPE(t *testing.T) {
	if _, err := os.Stat(hpeTree); err != nil {
		t.Skip("the stored service is not here:", err)
	}
	var out bytes.Buffer
	if err := inventoryOf(&out, "hpe", tree{os.DirFS(hpeTree), true}, []reader{{"ours", observe}}); err != nil {
		t.Fatal(err)
	}
	// An eighth drive is an empty bay.
	if !strings.HasPrefix(out.String(), "bench: hpe ours: 2 storage controllers, 7 drives, 1 volumes, 2 network ports, 300 BIOS attributes, ") {
		t.Fatal(out.String())
	}
}
