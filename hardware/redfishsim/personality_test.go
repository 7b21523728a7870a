package redfishsim_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stmcginnis/gofish"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// bmcOf is a machine with two ports and four disks, and its BMC.
func bmcOf(t testing.TB, p redfishsim.Personality) *redfishsim.BMC {
	t.Helper()
	m, err := redfishsim.NewMachine(redfishsim.Spec{Name: "n1", Personality: p, Disks: redfishsim.Disks("n1", 4), NICs: []redfishsim.NIC{
		{Name: "NIC.1", MAC: "52:54:00:00:00:01", SpeedMbps: 25000}, {Name: "NIC.2", MAC: "52:54:00:00:00:02", SpeedMbps: 25000}}}, nil)
	require.NoError(t, err)
	b, err := redfishsim.NewBMC(redfishsim.Config{Machine: m, Username: "root", Password: "secret"})
	require.NoError(t, err)
	return b
}

// booted turns the machine on and lets POST finish.
func booted(t testing.TB, b *redfishsim.BMC) *redfishsim.BMC {
	t.Helper()
	require.NoError(t, b.Machine().Reset(redfishsim.ResetOn))
	time.Sleep(10 * time.Minute)
	require.Equal(t, redfishsim.PowerOn, b.Machine().State().Power)
	return b
}

// at follows links from the service root, by gjson-less path: names, "0" for the first of a list.
func at(t testing.TB, b http.Handler, names ...string) (uri string, doc map[string]any) {
	t.Helper()
	uri = "/redfish/v1/"
	_, doc = ask(t, b, http.MethodGet, uri, "")
	for _, name := range names {
		var next any = doc[name]
		if name == "0" {
			next = doc["Members"].([]any)[0]
		}
		link, ok := next.(map[string]any)
		require.True(t, ok, "%s has no link %s", uri, name)
		uri = link["@odata.id"].(string)
		var w *httptest.ResponseRecorder
		w, doc = ask(t, b, http.MethodGet, uri, "")
		require.Equal(t, http.StatusOK, w.Code, uri)
	}
	return uri, doc
}

func each(t *testing.T, f func(t *testing.T, p redfishsim.Personality)) {
	for _, p := range redfishsim.Personalities() {
		t.Run(string(p), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { f(t, p) }) })
	}
}

// Every link of every personality leads to a resource whose @odata.id is the link, of a type.
func TestLinksLeadSomewhere(t *testing.T) {
	each(t, func(t *testing.T, p redfishsim.Personality) {
		b := booted(t, bmcOf(t, p))
		for _, c := range b.Machine().Spec().Controllers {
			if p != redfishsim.OpenBMC {
				_, err := b.Machine().CreateVolume(redfishsim.Volume{Controller: c.ID, RAIDLevel: hardware.RAID1, Disks: disksOf(b, c.ID)[:2]})
				require.NoError(t, err)
			}
		}
		walk(t, b)
	})
}

func disksOf(b *redfishsim.BMC, controller string) (serials []string) {
	for _, d := range b.Machine().Spec().Disks {
		if d.Controller == controller {
			serials = append(serials, d.Serial)
		}
	}
	return serials
}

func walk(t *testing.T, b http.Handler) {
	t.Helper()
	seen, types := map[string]bool{}, map[string]bool{}
	root, _ := at(t, b)
	queue := []string{root}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] || strings.Contains(path, "#") {
			continue
		}
		seen[path] = true
		w, doc := ask(t, b, http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, w.Code, path)
		if _, isRegistry := doc["RegistryEntries"]; !isRegistry {
			require.Equal(t, strings.TrimSuffix(path, "/"), strings.TrimSuffix(doc["@odata.id"].(string), "/"))
		}
		require.Regexp(t, `^#[A-Za-z]+\.`, doc["@odata.type"], path)
		require.NotEmpty(t, doc["Name"], path)
		require.NotEmpty(t, w.Header().Get("ETag"))
		require.Equal(t, w.Header().Get("ETag"), doc["@odata.etag"])
		kind, _, _ := strings.Cut(doc["@odata.type"].(string)[1:], ".")
		types[kind] = true
		queue = append(queue, linksIn(doc)...)
		if strings.HasSuffix(path, "/") { // both with and without
			w, _ = ask(t, b, http.MethodGet, strings.TrimSuffix(path, "/"), "")
			require.Equal(t, http.StatusOK, w.Code, path)
		}
	}
	for _, kind := range []string{"ComputerSystem", "Chassis", "Manager", "Processor", "Memory", "EthernetInterface", "Storage", "Drive",
		"TaskService", "SessionService", "AccountService", "UpdateService", "SoftwareInventory", "Bios"} {
		require.True(t, types[kind], kind)
	}
}

func linksIn(v any) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		for key, x := range v {
			if s, ok := x.(string); ok && (key == "@odata.id" || key == "Uri") {
				out = append(out, s)
			}
			out = append(out, linksIn(x)...)
		}
	case []any:
		for _, x := range v {
			out = append(out, linksIn(x)...)
		}
	}
	return out
}

// gofish decodes by the schemas, strictly: a second opinion on the shape of each tree. Where a
// personality gives numbers as strings, gofish drops the processors, as it does on real machines.
func TestGofishReadsTheTree(t *testing.T) {
	for _, p := range redfishsim.Personalities() {
		t.Run(string(p), func(t *testing.T) {
			b := bmcOf(t, p)
			server := httptest.NewServer(b)
			defer server.Close()
			client, err := gofish.Connect(gofish.ClientConfig{Endpoint: server.URL, Username: "root", Password: "secret", HTTPClient: server.Client()})
			require.NoError(t, err)
			require.Equal(t, 1, b.Sessions())
			systems, err := client.Service.Systems()
			require.NoError(t, err)
			require.Len(t, systems, 1)
			require.Equal(t, b.Machine().Spec().Manufacturer, systems[0].Manufacturer)
			_, err = systems[0].Bios()
			require.NoError(t, err)
			storage, err := systems[0].Storage()
			require.NoError(t, err)
			drives, err := storage[len(storage)-1].Drives()
			require.NoError(t, err)
			require.Len(t, drives, 4)
			require.Equal(t, "n1-D0", drives[0].SerialNumber)
			_, err = systems[0].Memory()
			require.NoError(t, err)
			_, err = client.Service.Chassis()
			require.NoError(t, err)
			_, err = client.Service.Managers()
			require.NoError(t, err)
			if p == redfishsim.Generic || p == redfishsim.Dell || p == redfishsim.HPE {
				processors, err := systems[0].Processors()
				require.NoError(t, err)
				require.Len(t, processors, 2)
				require.Equal(t, "n1-D0", drives[0].SerialNumber)
				options, err := systems[0].BootOptions()
				require.NoError(t, err)
				require.NotEmpty(t, options)
				_, err = systems[0].SecureBoot()
				require.NoError(t, err)
				update, err := client.Service.UpdateService()
				require.NoError(t, err)
				inventory, err := update.FirmwareInventory()
				require.NoError(t, err)
				require.Len(t, inventory, 6, "BIOS, BMC, two ports, a controller, a model of disks")
			}
			client.Logout()
			require.Zero(t, b.Sessions())
		})
	}
}

// Each BIOS has virtualization, IOMMU and SR-IOV off from the factory, under its own names,
// and a registry that allows to turn them on.
func TestFactoryValues(t *testing.T) {
	names := map[redfishsim.Personality][4]string{ // and what on is
		redfishsim.Generic:    {"ProcVirtualization", "IommuSupport", "SriovGlobalEnable", "Enabled"},
		redfishsim.Dell:       {"ProcVirtualization", "IommuSupport", "SriovGlobalEnable", "Enabled"},
		redfishsim.DellBOSS:   {"ProcVirtualization", "IommuSupport", "SriovGlobalEnable", "Enabled"},
		redfishsim.HPE:        {"ProcVirtualization", "IntelProcVtd", "Sriov", "Enabled"},
		redfishsim.Lenovo:     {"Processors_IntelVirtualizationTechnology", "DevicesandIOPorts_IntelVTforDirectedIOVTd", "DevicesandIOPorts_SRIOV", "Enabled"},
		redfishsim.Supermicro: {"IntelVirtualizationTechnology#3C2E", "IntelVTforDirectedI/O(VT-d)#1E12", "SR-IOVSupport#0048", "Enable"},
		redfishsim.Huawei:     {"ProcessorVmxEnable", "VTdSupport", "SRIOVEnable", "Enabled"},
	}
	each(t, func(t *testing.T, p redfishsim.Personality) {
		b := bmcOf(t, p)
		_, system := at(t, b, "Systems", "0")
		require.NotEmpty(t, system["BiosVersion"])
		_, bios := at(t, b, "Systems", "0", "Bios")
		if p == redfishsim.OpenBMC {
			require.NotContains(t, bios, "Attributes")
			require.NotContains(t, bios, "@Redfish.Settings")
			return
		}
		values := bios["Attributes"].(map[string]any)
		_, file := at(t, b, "Registries", "0")
		require.Equal(t, bios["AttributeRegistry"], file["Registry"])
		_, registry := ask(t, b, http.MethodGet, file["Location"].([]any)[0].(map[string]any)["Uri"].(string), "")
		entries := registry["RegistryEntries"].(map[string]any)
		described := map[string]bool{}
		for _, e := range entries["Attributes"].([]any) {
			described[e.(map[string]any)["AttributeName"].(string)] = true
		}
		for _, name := range []string{names[p][0], names[p][1], names[p][2]} {
			require.Contains(t, []any{"Disabled", "Disable"}, values[name], name)
			require.True(t, described[name], name)
		}
		require.NoError(t, b.Machine().SetBIOS(map[string]any{names[p][0]: names[p][3]}))
	})
}

// From PATCH to force: what a client does is the same everywhere but for what each personality
// is about, and ends in the same.
func TestBIOSInForceAfterReset(t *testing.T) {
	each(t, func(t *testing.T, p redfishsim.Personality) {
		if p == redfishsim.OpenBMC {
			return
		}
		b := booted(t, bmcOf(t, p))
		_, bios := at(t, b, "Systems", "0", "Bios")
		var name string
		for _, a := range b.Machine().Spec().Attributes {
			if a.Type == hardware.TypeEnumeration && len(a.Values) == 2 && a.Factory != "Enabled" && a.Factory != "Enable" {
				name = a.Name
				break
			}
		}
		on := strings.Replace(bios["Attributes"].(map[string]any)[name].(string), "Disable", "Enable", 1)
		settings := bios["@Redfish.Settings"].(map[string]any)["SettingsObject"].(map[string]any)["@odata.id"].(string)
		w, _ := ask(t, b, http.MethodGet, settings, "")
		body := map[string]any{"Attributes": map[string]any{name: on}}
		if _, knows := bios["@Redfish.Settings"].(map[string]any)["SupportedApplyTimes"]; knows {
			body["@Redfish.SettingsApplyTime"] = map[string]any{"ApplyTime": "OnReset"}
		}
		data, err := json.Marshal(body)
		require.NoError(t, err)
		w, _ = ask(t, b, http.MethodPatch, settings, string(data), "If-Match", w.Header().Get("ETag"))
		require.Contains(t, []int{200, 202}, w.Code, w.Body.String())
		require.NotEqual(t, on, b.Machine().State().BIOS[name])
		_, pending := ask(t, b, http.MethodGet, settings, "")
		require.Equal(t, map[string]any{name: on}, pending["Attributes"])
		require.NoError(t, b.Machine().Reset(redfishsim.ResetForceRestart))
		time.Sleep(5 * time.Minute)
		require.Equal(t, on, b.Machine().State().BIOS[name])
		require.Empty(t, b.Machine().State().Pending)
	})
}
