package redfishsim_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

func set(t *testing.T, b *redfishsim.BMC, change func(*redfishsim.Knobs)) {
	t.Helper()
	k := b.Knobs()
	change(&k)
	require.NoError(t, b.SetKnobs(k))
	require.Equal(t, k, b.Knobs())
}

// client reaches a BMC in process.
func client(b *redfishsim.BMC) *http.Client {
	return &http.Client{Transport: redfishsim.Transport(func(string) http.Handler { return b })}
}

func TestKnobsAreChecked(t *testing.T) {
	b := newBMC(t, 0)
	for _, k := range []redfishsim.Knobs{{Latency: -1}, {Jitter: -1}, {ErrorRate: 1.1}, {ErrorRate: -0.1}, {SessionLimit: -1}, {SlowPower: -1}} {
		require.ErrorIs(t, b.SetKnobs(k), redfishsim.ErrInvalid)
		_, err := redfishsim.NewBMC(redfishsim.Config{Machine: b.Machine(), Username: "u", Password: "p", Knobs: k})
		require.ErrorIs(t, err, redfishsim.ErrInvalid)
	}
	require.Zero(t, b.Knobs())
}

// What is random comes again with the seed.
func TestJitterAndErrors(t *testing.T) {
	run := func(seed uint64) (durations []time.Duration, statuses []int) {
		synctest.Test(t, func(t *testing.T) {
			b, err := redfishsim.NewBMC(redfishsim.Config{Machine: newMachine(t, 0, nil), Username: "root", Password: "secret", Seed: seed,
				Knobs: redfishsim.Knobs{Latency: time.Second, Jitter: time.Second, ErrorRate: 0.5}})
			require.NoError(t, err)
			for range 20 {
				start := time.Now()
				w, _ := ask(t, b, http.MethodGet, "/redfish/v1/Systems/1", "")
				durations = append(durations, time.Since(start))
				statuses = append(statuses, w.Code)
				if w.Code == http.StatusServiceUnavailable {
					require.Equal(t, "1", w.Header().Get("Retry-After"))
				}
			}
			for range 20 { // only GETs
				w, _ := ask(t, b, http.MethodPatch, "/redfish/v1/Systems/1", `{"Boot":{}}`)
				require.Equal(t, http.StatusOK, w.Code)
			}
		})
		return durations, statuses
	}
	durations, statuses := run(1)
	for _, d := range durations {
		require.GreaterOrEqual(t, d, time.Second)
		require.Less(t, d, 2*time.Second)
	}
	require.Contains(t, statuses, 200)
	require.Contains(t, statuses, 503)
	again, sameStatuses := run(1)
	require.Equal(t, durations, again)
	require.Equal(t, statuses, sameStatuses)
	other, _ := run(2)
	require.NotEqual(t, durations, other)
}

// A BMC that restarts cannot be reached at first, then answers 503, then has forgotten its
// sessions; the machine goes on meanwhile.
func TestRestartBMC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBMC(t, 0)
		require.NoError(t, b.Machine().Reset(redfishsim.ResetOn))
		c := client(b)
		get := func() (*http.Response, error) {
			r, err := c.Get("http://bmc/redfish/v1/")
			if err == nil {
				require.NoError(t, r.Body.Close())
			}
			return r, err
		}
		w, _ := ask(t, b, http.MethodPost, "/redfish/v1/SessionService/Sessions", `{"UserName":"root","Password":"secret"}`)
		token := w.Header().Get("X-Auth-Token")
		w, _ = ask(t, b, http.MethodPost, "/redfish/v1/Managers/1/Actions/Manager.Reset", `{"ResetType":"Halfway"}`)
		require.Equal(t, http.StatusBadRequest, w.Code)
		w, _ = ask(t, b, http.MethodPost, "/redfish/v1/Managers/1/Actions/Manager.Reset", `{"ResetType":"GracefulRestart"}`)
		require.Equal(t, http.StatusNoContent, w.Code)
		_, err := get()
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		w, _ = ask(t, b, http.MethodGet, "/redfish/v1/", "")
		require.Equal(t, http.StatusServiceUnavailable, w.Code, "over a socket that was open")
		time.Sleep(31 * time.Second)
		r, err := get()
		require.NoError(t, err)
		require.Equal(t, http.StatusServiceUnavailable, r.StatusCode)
		require.Equal(t, "29", r.Header.Get("Retry-After"))
		time.Sleep(29 * time.Second)
		r, err = get()
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.Zero(t, b.Sessions())
		q, err := http.NewRequest(http.MethodGet, "http://bmc/redfish/v1/Systems", nil)
		require.NoError(t, err)
		q.Header.Set("X-Auth-Token", token)
		r, err = c.Do(q)
		require.NoError(t, err)
		require.NoError(t, r.Body.Close())
		require.Equal(t, http.StatusUnauthorized, r.StatusCode)
		_, doc := ask(t, b, http.MethodGet, "/redfish/v1/Managers/1", "")
		require.Equal(t, b.Machine().State().LastBMCReset.UTC().Format(time.RFC3339), doc["LastResetTime"])
		time.Sleep(30 * time.Second)
		require.Equal(t, redfishsim.PowerOn, b.Machine().State().Power)
		require.NotZero(t, b.Machine().State().LastBMCReset)
	})
}

func TestPowerKnobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBMC(t, 0)
		set(t, b, func(k *redfishsim.Knobs) { k.SlowPower = 3; k.IgnoreShutdown = true })
		require.NoError(t, b.Machine().Reset(redfishsim.ResetOn))
		time.Sleep(4 * time.Minute)
		require.Equal(t, redfishsim.PowerPOST, b.Machine().State().Power, "three times 90 s")
		time.Sleep(time.Minute)
		w, _ := ask(t, b, http.MethodPost, "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset", `{"ResetType":"GracefulShutdown"}`)
		require.Equal(t, http.StatusNoContent, w.Code)
		time.Sleep(time.Hour)
		require.Equal(t, redfishsim.PowerOn, b.Machine().State().Power, "nothing happens")
		set(t, b, func(k *redfishsim.Knobs) { *k = redfishsim.Knobs{} })
		ask(t, b, http.MethodPost, "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset", `{"ResetType":"GracefulShutdown"}`)
		time.Sleep(20 * time.Second)
		require.Equal(t, redfishsim.PowerOff, b.Machine().State().Power)
	})
}

func TestSessionLimitKnob(t *testing.T) {
	b := newBMC(t, 0) // 2 by configuration
	login := func() int {
		w, _ := ask(t, b, http.MethodPost, "/redfish/v1/SessionService/Sessions", `{"UserName":"root","Password":"secret"}`)
		return w.Code
	}
	set(t, b, func(k *redfishsim.Knobs) { k.SessionLimit = 1 })
	require.Equal(t, []int{201, 503}, []int{login(), login()})
	set(t, b, func(k *redfishsim.Knobs) { k.SessionLimit = 0 })
	require.Equal(t, []int{201, 503}, []int{login(), login()})
}

// What a client has to survive (stmcginnis/gofish#99, #322, #409): numbers as strings, missing links, null.
func TestMalformed(t *testing.T) {
	b := bmcOf(t, redfishsim.Generic)
	set(t, b, func(k *redfishsim.Knobs) { k.Malformed = true })
	_, system := at(t, b, "Systems", "0")
	require.NotContains(t, system, "Memory")
	require.Nil(t, system["Status"])
	require.Equal(t, "2", system["ProcessorSummary"].(map[string]any)["Count"])
	_, bios := at(t, b, "Systems", "0", "Bios")
	require.EqualValues(t, 60, bios["Attributes"].(map[string]any)["AcPwrRcvryUserDelay"], "attributes are left alone")
	_, drive := ask(t, b, http.MethodGet, controllerPath+"/Drives/n1-D0", "")
	require.Equal(t, "1000204886016", drive["CapacityBytes"])
	require.NotContains(t, drive, "Identifiers")
	_, manager := at(t, b, "Managers", "0")
	require.NotContains(t, manager, "Links")
}

// No body makes a BMC panic, answer what is not JSON, or leave a machine that breaks its rules.
func FuzzBodies(f *testing.F) {
	for _, body := range []string{`{}`, `[]`, `null`, `{"Boot":{"BootOrder":["Boot0001"],"BootSourceOverrideMode":"UEFI"}}`, virtOn + onReset, dellRAID1(),
		`{"Attributes":{"AcPwrRcvryUserDelay":1e400,"AssetTag":[{}],"LogicalProc":null}}`, `{"ResetType":"On"}`, `{"SecureBootEnable":true}`,
		`{"TargetSettingsURI":"` + dellSettings + `"}`, `{"RAIDType":"RAID1","CapacityBytes":-1,"Links":{"Drives":[{"@odata.id":"/redfish/v1"},{}]}}`,
		`{"UserName":"root","Password":"secret"}`} {
		f.Add(uint8(0), uint8(0), body)
		f.Add(uint8(1), uint8(1), body)
	}
	paths := []string{"/Systems/%s", "/Systems/%s/Bios/Settings", "/Systems/%s/Bios/Pending", "/Systems/%s/SecureBoot", "/Systems/%s/Actions/ComputerSystem.Reset",
		"/Systems/%s/Bios/Actions/Bios.ResetBios", "/Systems/%s/Storage/RAID.Integrated.1-1/Volumes", "/Systems/%s/Storage/AHCI.Slot.1-1/Volumes",
		"/SessionService/Sessions", "/Managers/iDRAC.Embedded.1/Oem/Dell/Jobs", "/Managers/1/Actions/Manager.Reset", "/", ""}
	f.Fuzz(func(t *testing.T, which, where uint8, body string) {
		p := redfishsim.Personalities()[int(which)%len(redfishsim.Personalities())]
		b := bmcOf(t, p)
		system := map[redfishsim.Personality]string{redfishsim.Dell: "System.Embedded.1", redfishsim.DellBOSS: "System.Embedded.1", redfishsim.OpenBMC: "system"}[p]
		if system == "" {
			system = "1"
		}
		path := "/redfish/v1" + strings.ReplaceAll(paths[int(where)%len(paths)], "%s", system)
		for _, method := range []string{http.MethodPatch, http.MethodPost, http.MethodDelete, http.MethodPut} {
			w, _ := ask(t, b, method, path, body, "If-Match", "*")
			require.NotEqual(t, http.StatusInternalServerError, w.Code)
		}
		s := b.Machine().State()
		data, err := json.Marshal(s)
		require.NoError(t, err)
		var back redfishsim.State
		require.NoError(t, json.Unmarshal(data, &back))
		allowed := map[string]redfishsim.Attribute{}
		for _, a := range b.Machine().Spec().Attributes {
			allowed[a.Name] = a
		}
		for name := range s.Pending {
			require.Contains(t, allowed, name)
		}
		require.Contains(t, []string{"Disabled", "Once", "Continuous"}, s.BootEnabled)
		for _, v := range s.Volumes {
			require.Positive(t, v.SizeBytes)
			require.NotEmpty(t, v.Disks)
		}
	})
}

func TestBodyTooLarge(t *testing.T) {
	w, _ := ask(t, newBMC(t, 0), http.MethodPatch, "/redfish/v1/Systems/1", `{"Boot":{},"x":"`+strings.Repeat("x", 1<<20)+`"}`)
	require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
}
