package redfish_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
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

// tree serves a captured tree read-only, as a web server with index.json files would.
func tree(t *testing.T, name string) (http.Handler, hardware.Target) {
	t.Helper()
	root := filepath.Join("..", "..", "..", "shared", "data", "redfish", name)
	if _, err := os.Stat(root); err != nil {
		t.Skipf("captured tree not there: %v", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path.Clean("/"+r.URL.Path)), "index.json"))
		if r.Method != http.MethodGet || err != nil {
			http.Error(w, "not found", http.StatusNotFound)
			return
		}
		_, _ = w.Write(data)
	}), hardware.Target{Node: name, URL: "http://tree"}
}

func observeTree(t *testing.T, name string) *hardware.Snapshot {
	t.Helper()
	h, target := tree(t, name)
	c, err := redfish.New(redfish.Config{Transport: redfishsim.Transport(func(string) http.Handler { return h })})
	require.NoError(t, err)
	seen, err := c.Observe(t.Context(), target)
	require.NoError(t, err)
	return seen
}

// The values are read from the trees by eye.
func TestObserveHPE(t *testing.T) {
	seen := observeTree(t, "hpe-ilo-gen11-sim")
	require.Equal(t, "HPE", seen.System.Manufacturer)
	require.Equal(t, "ProLiant DL380a Gen11 -- SIMULATED", seen.System.Model)
	require.Equal(t, "OSRunning", seen.System.BootProgress)
	require.Equal(t, int64(512<<30), seen.MemoryBytes)
	require.Equal(t, "U58 v2.44 (01/17/2025)", seen.Firmware["bios"])
	require.Greater(t, len(seen.BIOS.Attributes), 250)
	require.Equal(t, int64(20), seen.BIOS.Attributes["NetworkBootRetryCount"])
	for intent, attribute := range map[hardware.Intent]string{
		hardware.Virtualization: "ProcVirtualization", hardware.IOMMU: "IntelProcVtd", hardware.SRIOV: "Sriov", hardware.SMT: "ProcHyperthreading",
	} {
		require.Equal(t, attribute, seen.BIOS.Intents[intent].Attribute)
	}
	require.Len(t, seen.Storage, 2)
	raid := seen.Storage[1]
	require.Equal(t, "DE00B000", raid.ID)
	require.Len(t, raid.Drives, 3, "a bay is empty")
	require.Equal(t, []hardware.Volume{{ID: "239", Name: "MR Volume 239", RAIDLevel: hardware.RAID1, SizeBytes: 1599774654464, Health: "OK",
		Drives: []string{driveOf(raid, "3").Serial, driveOf(raid, "4").Serial}}}, raid.Volumes)
	require.Equal(t, "8E10A08401C3", driveOf(raid, "3").Serial)
	require.Equal(t, "NVMe", driveOf(raid, "3").Protocol)
}

func driveOf(c hardware.Controller, id string) hardware.Drive {
	for _, d := range c.Drives {
		if d.ID == id {
			return d
		}
	}
	return hardware.Drive{}
}

func TestObserveDMTF(t *testing.T) {
	seen := observeTree(t, "dmtf-public-rackmount1")
	require.Equal(t, "437XR1138R2", seen.System.Serial)
	require.Equal(t, hardware.StateOn, seen.System.Power)
	require.Equal(t, hardware.Boot{Target: hardware.BootPXE, Enabled: "Once", Mode: "UEFI", Targets: []hardware.BootTarget{
		hardware.BootNone, hardware.BootPXE, hardware.BootCD, hardware.BootUSB, hardware.BootDisk}}, seen.Boot)
	require.Equal(t, &hardware.SecureBoot{Mode: "UserMode"}, seen.SecureBoot)
	require.Equal(t, int64(96<<30), seen.MemoryBytes)
	require.Equal(t, "Enabled", seen.BIOS.Attributes["ProcTurboMode"])
	require.Equal(t, "Disabled", seen.BIOS.Pending["ProcTurboMode"], "pending, and not yet in force")
	require.Equal(t, []hardware.Controller{{ID: "1", Model: "Simple Storage Controller", Health: "OK", Drives: []hardware.Drive{
		{ID: "SATA Bay 1", Model: "3000GT8", SizeBytes: 8e12, Health: "OK"}, {ID: "SATA Bay 2", Model: "3000GT7", SizeBytes: 4e12, Health: "Warning"}}}}, seen.Storage)

	// What is wanted pends already: that is not converged, a reset is owed.
	plan, err := hardware.NewPlan(hardware.Profile{BIOS: &hardware.BIOSProfile{Attributes: map[string]any{"ProcTurboMode": "Disabled"}}}, seen)
	require.NoError(t, err)
	require.Equal(t, 1, plan.Reboots())
	// And what is in force is not, if something else pends.
	plan, err = hardware.NewPlan(hardware.Profile{BIOS: &hardware.BIOSProfile{Attributes: map[string]any{"ProcTurboMode": "Enabled"}}}, seen)
	require.NoError(t, err)
	require.Len(t, plan.Operations, 1)
}

func TestObserveSupermicro(t *testing.T) {
	seen := observeTree(t, "supermicro-x10") // a capture without the Systems collection
	require.Equal(t, "Supermicro", seen.System.Manufacturer)
	require.Empty(t, seen.System.Serial, "blanks are no serial number")
	require.Equal(t, int64(64<<30), seen.MemoryBytes)
	require.NotEmpty(t, seen.Unreadable)
	_, err := hardware.NewPlan(hardware.Profile{RAID: &hardware.RAIDProfile{Set: "JBODOnly"}}, seen)
	require.ErrorIs(t, err, hardware.ErrInvalid, "no RAID plan for storage that cannot be seen")
}

func TestObserveDell(t *testing.T) {
	seen := observeTree(t, "dell-idrac-synthetic")
	require.Equal(t, "PowerEdge Mock", seen.System.Model)
	require.Equal(t, "SriovGlobalEnable", seen.BIOS.Intents[hardware.SRIOV].Attribute)
	require.True(t, len(seen.Storage) == 1 && seen.Storage[0].Partial, "its drive and volume are missing from the capture")
}

// overlay is a tree with what is written to it laid over: settings pend in their object and are in
// force after a reset, as firmware would have it. A settings object that was not captured is
// empty.
type overlay struct {
	tree http.Handler

	mu      sync.Mutex
	written map[string]map[string]any // by path without slash at the end
	resets  int
}

func (o *overlay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := strings.TrimSuffix(r.URL.Path, "/")
	switch {
	case r.Method == http.MethodPatch:
		var change map[string]any
		if err := json.NewDecoder(r.Body).Decode(&change); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		delete(change, "@Redfish.SettingsApplyTime")
		o.write(at, change)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPost && strings.HasSuffix(at, "/Actions/ComputerSystem.Reset"):
		o.resets++
		system := strings.TrimSuffix(at, "/Actions/ComputerSystem.Reset")
		bios := o.link(o.read(system), "Bios")
		settings, _ := o.read(bios)["@Redfish.Settings"].(map[string]any)
		o.write(bios, map[string]any{"Attributes": o.read(o.link(settings, "SettingsObject"))["Attributes"]})
		o.write(system, map[string]any{"LastResetTime": time.Now().UTC().Format(time.RFC3339Nano)})
		w.WriteHeader(http.StatusNoContent)
	default:
		resource := o.read(at)
		if resource == nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(resource)
	}
}

func (o *overlay) link(of map[string]any, name string) string {
	to, _ := of[name].(map[string]any)
	uri, _ := to["@odata.id"].(string)
	return strings.TrimSuffix(uri, "/")
}

// read gives a resource as it is now, nil if there is none.
func (o *overlay) read(at string) map[string]any {
	recorded := &recorder{header: http.Header{}}
	r, _ := http.NewRequest(http.MethodGet, at, nil)
	o.tree.ServeHTTP(recorded, r)
	resource := map[string]any{}
	if json.Unmarshal(recorded.Bytes(), &resource) != nil && o.written[at] == nil && !strings.HasSuffix(at, "/bios/settings") {
		return nil
	}
	lay(resource, o.written[at])
	return resource
}

func (o *overlay) write(at string, change map[string]any) {
	if o.written[at] == nil {
		o.written[at] = map[string]any{}
	}
	lay(o.written[at], change)
}

// lay puts values over others, objects member by member.
func lay(over, values map[string]any) {
	for name, value := range values {
		if members, ok := value.(map[string]any); ok {
			inner, _ := over[name].(map[string]any)
			inner = maps.Clone(inner)
			if inner == nil {
				inner = map[string]any{}
			}
			lay(inner, members)
			value = inner
		}
		over[name] = value
	}
}

type recorder struct {
	bytes.Buffer
	header http.Header
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(int)     {}

var _ io.Writer = (*recorder)(nil)

// Captured trees that can be written: a plan is carried out on them and then empty.
func TestApplyOnTrees(t *testing.T) {
	for name, tt := range map[string]struct {
		profile string
		want    map[string]any // in force in the end
	}{
		"hpe-ilo-gen11-sim": {`{"bios":{"set":"Storage","intents":{"power_profile":"performance"},"attributes":{"NetworkBootRetryCount":10}},"boot":{"target":"pxe"}}`,
			map[string]any{"ProcVirtualization": "Disabled", "IntelProcVtd": "Disabled", "Sriov": "Disabled", "PowerRegulator": "StaticHighPerf", "NetworkBootRetryCount": int64(10)}},
		// ProcTurboMode pends as it is wanted, EmbeddedSata pends as it is not.
		"dmtf-public-rackmount1": {`{"bios":{"attributes":{"ProcTurboMode":"Disabled","EmbeddedSata":"Raid"},"intents":{"smt":"off"}},"boot":{"target":"disk"}}`,
			map[string]any{"ProcTurboMode": "Disabled", "EmbeddedSata": "Raid", "ProcHyperthreading": "Disabled"}},
	} {
		t.Run(name, func(t *testing.T) {
			captured, target := tree(t, name)
			synctest.Test(t, func(t *testing.T) {
				h := &overlay{tree: captured, written: map[string]map[string]any{}}
				c, err := redfish.New(redfish.Config{ResetAtOnce: true, Transport: redfishsim.Transport(func(string) http.Handler { return h })})
				require.NoError(t, err)
				want, err := hardware.ParseProfile([]byte(tt.profile))
				require.NoError(t, err)
				seen, err := c.Observe(t.Context(), target)
				require.NoError(t, err)
				plan, err := hardware.NewPlan(want, seen)
				require.NoError(t, err)
				require.Equal(t, 1, plan.Reboots())
				_, err = c.Apply(t.Context(), target, plan, nil)
				require.NoError(t, err)
				require.Equal(t, 1, h.resets)
				seen, err = c.Observe(t.Context(), target)
				require.NoError(t, err)
				for attribute, value := range tt.want {
					require.Equal(t, value, seen.BIOS.Attributes[attribute])
				}
				plan, err = hardware.NewPlan(want, seen)
				require.NoError(t, err)
				require.True(t, plan.Empty())
			})
		})
	}
}
