package redfishsim_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

func newBMC(t *testing.T, disks int) *redfishsim.BMC {
	t.Helper()
	b, err := redfishsim.NewBMC(redfishsim.Config{Machine: newMachine(t, disks, nil), Username: "root", Password: "secret", SessionLimit: 2})
	require.NoError(t, err)
	return b
}

// ask sends one request with Basic authentication.
func ask(t testing.TB, b http.Handler, method, path, body string, header ...string) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.SetBasicAuth("root", "secret")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	var doc map[string]any
	if w.Body.Len() > 0 {
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &doc))
	}
	return w, doc
}

func TestAuthentication(t *testing.T) {
	b := newBMC(t, 0)
	do := func(method, path, body string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		return w
	}
	const login, sessions = `{"UserName":"root","Password":"secret"}`, "/redfish/v1/SessionService/Sessions"
	require.Equal(t, 200, do(http.MethodGet, "/redfish/v1/", "").Code)
	require.Equal(t, 401, do(http.MethodGet, "/redfish/v1/Systems", "").Code)
	require.Equal(t, 401, do(http.MethodGet, "/redfish/v1/Systems", "", "X-Auth-Token", "guess").Code)
	require.Equal(t, 401, do(http.MethodPost, sessions, `{"UserName":"root","Password":"wrong"}`).Code)
	require.Equal(t, 401, do(http.MethodPost, "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset", `{"ResetType":"On"}`).Code)
	require.Equal(t, redfishsim.PowerOff, b.Machine().State().Power)

	w := do(http.MethodPost, sessions, login)
	require.Equal(t, 201, w.Code)
	token, location := w.Header().Get("X-Auth-Token"), w.Header().Get("Location")
	require.Equal(t, 200, do(http.MethodGet, "/redfish/v1/Systems", "", "X-Auth-Token", token).Code)
	require.Equal(t, 201, do(http.MethodPost, sessions, login).Code)
	require.Equal(t, 503, do(http.MethodPost, sessions, login).Code, "the session limit")
	require.Equal(t, 204, do(http.MethodDelete, location, "", "X-Auth-Token", token).Code)
	require.Equal(t, 401, do(http.MethodGet, "/redfish/v1/Systems", "", "X-Auth-Token", token).Code)
	require.Equal(t, 1, b.Sessions())
	b.DropSessions()
	require.Zero(t, b.Sessions())
}

func TestWrites(t *testing.T) {
	const volumes = "/redfish/v1/Systems/1/Storage/" + controller + "/Volumes"
	b := newBMC(t, 4)
	for _, tt := range []struct {
		name, method, path, body string
		want                     int
	}{
		{"volume", http.MethodPost, volumes, `{"Name":"os","RAIDType":"RAID1","VolumeUsage":"SystemData","Links":{"Drives":[{"@odata.id":"/redfish/v1/Systems/1/Storage/` + controller + `/Drives/n1-D0"},{"@odata.id":"/redfish/v1/Systems/1/Storage/` + controller + `/Drives/n1-D1"}]}}`, 201},
		{"disks in use", http.MethodPost, volumes, `{"RAIDType":"RAID0","Links":{"Drives":[{"@odata.id":"/redfish/v1/Systems/1/Storage/` + controller + `/Drives/n1-D0"}]}}`, 409},
		{"foreign drive", http.MethodPost, volumes, `{"RAIDType":"RAID0","Links":{"Drives":[{"@odata.id":"/elsewhere"}]}}`, 400},
		{"not JSON", http.MethodPost, volumes, `{`, 400},
		{"no such volume", http.MethodDelete, volumes + "/x", ``, 404},
		{"BIOS", http.MethodPatch, "/redfish/v1/Systems/1/Bios/Settings", `{"Attributes":{"LogicalProc":"Disabled"},"@Redfish.SettingsApplyTime":{"ApplyTime":"OnReset"}}`, 200},
		{"BIOS unknown", http.MethodPatch, "/redfish/v1/Systems/1/Bios/Settings", `{"Attributes":{"Nope":1}}`, 400},
		{"BIOS at once", http.MethodPatch, "/redfish/v1/Systems/1/Bios/Settings", `{"Attributes":{"LogicalProc":"Disabled"},"@Redfish.SettingsApplyTime":{"ApplyTime":"Immediate"}}`, 400},
		{"BIOS in force", http.MethodPatch, "/redfish/v1/Systems/1/Bios", `{"Attributes":{"LogicalProc":"Disabled"}}`, 405},
		{"boot", http.MethodPatch, "/redfish/v1/Systems/1", `{"Boot":{"BootSourceOverrideTarget":"Pxe","BootSourceOverrideEnabled":"Once"}}`, 200},
		{"boot unknown", http.MethodPatch, "/redfish/v1/Systems/1", `{"Boot":{"BootSourceOverrideTarget":"Moon"}}`, 400},
		{"reset", http.MethodPost, "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset", `{"ResetType":"On"}`, 204},
		{"reset unknown", http.MethodPost, "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset", `{"ResetType":"Melt"}`, 400},
		{"nowhere", http.MethodPost, "/redfish/v1/Nowhere", `{}`, 404},
	} {
		w, doc := ask(t, b, tt.method, tt.path, tt.body)
		require.Equal(t, tt.want, w.Code, tt.name)
		if w.Code >= 400 {
			require.Contains(t, doc, "error", tt.name)
		}
	}
	s := b.Machine().State()
	require.Len(t, s.Volumes, 1)
	require.True(t, s.Volumes[0].Bootable)
	require.Equal(t, "Disabled", s.Pending["LogicalProc"])
	require.Equal(t, "Once", s.BootEnabled)
	require.Equal(t, redfishsim.PowerPOST, s.Power)
	require.Equal(t, redfishsim.Request{Method: http.MethodPost, Path: "/redfish/v1/Nowhere", Status: 404}, strip(b.RequestLog()[13]))
}

func strip(r redfishsim.Request) redfishsim.Request { r.Time = time.Time{}; return r }

func TestETags(t *testing.T) {
	for _, p := range []redfishsim.Personality{redfishsim.Generic, redfishsim.Dell, redfishsim.HPE} {
		b := bmcOf(t, p)
		uri, doc := at(t, b, "Systems", "0")
		tag := doc["@odata.etag"].(string)
		w, _ := ask(t, b, http.MethodGet, uri, "", "If-None-Match", tag)
		require.Equal(t, http.StatusNotModified, w.Code)
		require.Empty(t, w.Body.String())
		patch := func(target, tag string) int {
			w, _ := ask(t, b, http.MethodPatch, uri, `{"Boot":{"BootSourceOverrideTarget":"`+target+`"}}`, "If-Match", tag)
			return w.Code
		}
		require.Equal(t, 200, patch("Pxe", tag))
		require.Equal(t, 412, patch("Hdd", tag), "the first change made the tag stale")
		require.Equal(t, "Pxe", b.Machine().State().BootTarget)
		require.Equal(t, 200, patch("Hdd", "*"))
	}
}

func TestKnobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBMC(t, 1)
		client := &http.Client{Transport: redfishsim.Transport(func(host string) http.Handler {
			if host == "bmc" {
				return b
			}
			return nil
		})}
		post := func(host string) (*http.Response, error) {
			r, err := http.NewRequest(http.MethodPost, "http://"+host+"/redfish/v1/Systems/1/Actions/ComputerSystem.Reset", bytes.NewReader([]byte(`{"ResetType":"On"}`)))
			require.NoError(t, err)
			r.SetBasicAuth("root", "secret")
			answer, err := client.Do(r)
			if err == nil {
				require.NoError(t, answer.Body.Close())
			}
			return answer, err
		}
		_, err := post("elsewhere")
		require.ErrorContains(t, err, "connection refused")

		b.FailNext(http.MethodPost, "/redfish/v1/Systems", 507)
		resp, err := post("bmc")
		require.NoError(t, err)
		require.Equal(t, 507, resp.StatusCode)
		require.Equal(t, redfishsim.PowerOff, b.Machine().State().Power)

		b.LoseReply(http.MethodPost, "/redfish/v1/Systems")
		_, err = post("bmc")
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, redfishsim.PowerPOST, b.Machine().State().Power, "the effect came all the same")
		log := b.RequestLog()
		require.Equal(t, 0, log[len(log)-1].Status)

		b.SetLatency(3 * time.Second)
		start := time.Now()
		resp, err = post("bmc")
		require.NoError(t, err)
		require.Equal(t, 204, resp.StatusCode)
		require.Equal(t, 3*time.Second, time.Since(start))
	})
}

func TestRequestLogIsBounded(t *testing.T) {
	b, err := redfishsim.NewBMC(redfishsim.Config{Machine: newMachine(t, 0, nil), Username: "u", Password: "p", RequestLogSize: 3})
	require.NoError(t, err)
	for _, path := range []string{"/a", "/b", "/c", "/d"} {
		ask(t, b, http.MethodGet, path, "", "User-Agent", "test")
	}
	log := b.RequestLog()
	require.Len(t, log, 3)
	require.Equal(t, redfishsim.Request{Method: http.MethodGet, Path: "/b", Status: 401, UserAgent: "test"}, strip(log[0]))
	_, err = redfishsim.NewBMC(redfishsim.Config{})
	require.ErrorIs(t, err, redfishsim.ErrInvalid)
}

func TestResetBios(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBMC(t, 0)
		require.NoError(t, b.Machine().SetBIOS(map[string]any{"BootMode": "Bios", "AssetTag": "x"}))
		require.NoError(t, b.Machine().Reset(redfishsim.ResetOn))
		time.Sleep(time.Hour)
		_, doc := ask(t, b, http.MethodGet, "/redfish/v1/Systems/1", "")
		require.Equal(t, "Legacy", doc["Boot"].(map[string]any)["BootSourceOverrideMode"])
		w, _ := ask(t, b, http.MethodPost, "/redfish/v1/Systems/1/Bios/Actions/Bios.ResetBios", "{}")
		require.Equal(t, 204, w.Code)
		require.Equal(t, map[string]any{"BootMode": "Uefi"}, b.Machine().State().Pending)
		require.Equal(t, "", b.Machine().State().BIOS["AssetTag"], "needs no reset")
	})
}
