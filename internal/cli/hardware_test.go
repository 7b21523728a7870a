package cli_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
	"github.com/crowbarkit/crowbarkit/internal/clock"
)

const bmcPassword = "bmc-password-4711"

// A bmcShell is a shell in front of a simulated machine, reached over a real socket.
type bmcShell struct {
	*shell
	machine *redfishsim.Machine
	bmc     *redfishsim.BMC
	server  *httptest.Server
	dir     string
}

// newBMCShell serves a machine of four disks, of which two hold a volume.
func newBMCShell(t *testing.T, secure bool) *bmcShell {
	s := newBMCShellOf(t, secure, redfishsim.Generic, clock.Scaled(200)) // with the client's deadlines still seconds
	_, err := s.machine.CreateVolume(redfishsim.Volume{Name: "old", RAIDLevel: hardware.RAID1, Disks: []string{"n1-D0", "n1-D1"}, Controller: "RAID.Integrated.1-1"})
	require.NoError(t, err)
	return s
}

// newBMCShellOf serves a vendor's machine of four disks without volumes.
func newBMCShellOf(t *testing.T, secure bool, whose redfishsim.Personality, runs clock.Clock) *bmcShell {
	m, err := redfishsim.NewMachine(redfishsim.Spec{Name: "node1", Personality: whose, Disks: redfishsim.Disks("n1", 4),
		Times: redfishsim.Times{POST: 10 * time.Second, Shutdown: 2 * time.Second},
		NICs:  []redfishsim.NIC{{Name: "NIC.1", MAC: "52:54:00:00:00:01", SpeedMbps: 25000}}}, &redfishsim.Options{Clock: runs})
	require.NoError(t, err)
	s := &bmcShell{shell: &shell{t: t, clock: runs}, machine: m, dir: t.TempDir()}
	s.bmc, err = redfishsim.NewBMC(redfishsim.Config{Machine: m, Username: "root", Password: bmcPassword, RequestLogSize: 4096})
	require.NoError(t, err)
	s.server = httptest.NewUnstartedServer(s.bmc)
	if secure {
		s.server.StartTLS()
	} else {
		s.server.Start()
	}
	t.Cleanup(s.server.Close)
	s.env = map[string]string{"CROWBAR_BMC": s.server.URL, "CROWBAR_BMC_USER": "root", "CROWBAR_BMC_PASSWORD": bmcPassword}
	return s
}

func (s *bmcShell) address() string { return s.server.Listener.Addr().String() }

// file writes a file and returns its path.
func (s *bmcShell) file(name, text string) string {
	path := filepath.Join(s.dir, name)
	require.NoError(s.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// writes are the requests that changed something, logins aside.
func (s *bmcShell) writes() (list []string) {
	for _, r := range s.bmc.RequestLog() {
		if r.Method != http.MethodGet && !strings.Contains(r.Path, "/Sessions") {
			list = append(list, r.Method+" "+r.Path)
		}
	}
	return list
}

// unchanged fails if anything was changed, or a session is left.
func (s *bmcShell) unchanged() {
	s.t.Helper()
	require.Empty(s.t, s.writes())
	require.Zero(s.t, s.bmc.Sessions())
}

// interruptedAfter is a context that ends when a change to such a path was answered.
func (s *bmcShell) interruptedAfter(method, suffix string) context.Context {
	ctx, interrupt := context.WithCancel(s.t.Context())
	serve := s.server.Config.Handler
	s.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serve.ServeHTTP(w, r)
		if r.Method == method && strings.HasSuffix(r.URL.Path, suffix) {
			interrupt()
		}
	})
	return ctx
}

const (
	compute  = `{"bios":{"set":"Virtualization"},"raid":{"set":"SingleRaid10"},"boot":{"target":"pxe"}}`
	allDisks = "n1-D0,n1-D1,n1-D2,n1-D3"
)

func TestHardwareInventory(t *testing.T) {
	s := newBMCShell(t, false)
	report := s.ok("hardware", "inventory")
	for _, line := range []string{
		"machine      " + s.address(),
		"system       CrowbarKit Simulated Server, serial SN-node1, OK",
		"power        off",
		"bmc          Simulated BMC, firmware 7.10.30.00, Redfish 1.17.0, treated as generic, OK",
		"processors   2 x Simulated(R) CPU @ 2.40GHz, 32 cores, 64 threads",
		"memory       128 GiB",
		"boot         by its own order, UEFI",
		"secure boot  off, UserMode",
		"",
		"NIC.1  NIC.1  52:54:00:00:00:01  25 Gb/s  LinkUp",
		"RAID.Integrated.1-1  CrowbarKit RAID H740  51.16.0   OK      can be made  0 1 5 6 10 50 60",
		"n1-D1  RAID.Integrated.1-1  n1-D1   CK1000NM  1.0 TB  SAS HDD  OK      old",
		"n1-D2  RAID.Integrated.1-1  n1-D2   CK1000NM  1.0 TB  SAS HDD  OK      -",
		"Disk.Virtual.1  RAID.Integrated.1-1  old   RAID1  1.0 TB  OK      n1-D0 n1-D1",
		"virtualization  off       -     ProcVirtualization  Disabled",
		"Boot0001     PXE NIC.1   pxe",
		"Storage.RAID.Integrated.1-1  51.16.0",
	} {
		require.Contains(t, report, line+"\n")
	}
	require.Regexp(t, `\n\d+ requests\n$`, report)
	var seen hardware.Snapshot
	require.NoError(t, json.Unmarshal([]byte(s.ok("hardware", "inventory", "-o", "json")), &seen))
	require.Equal(t, s.address(), seen.Node)
	require.Equal(t, "old", seen.Storage[0].Volumes[0].Name)
	attributes := s.ok("hardware", "inventory", "--attributes")
	require.Contains(t, attributes, "AcPwrRcvryUserDelay  60                        -        60 to 600\n")
	require.Contains(t, attributes, "SysMemSize           128 GB                    -        read-only\n")
	s.unchanged()

	require.NoError(t, s.machine.SetBIOS(map[string]any{"ProcVirtualization": "Enabled"}))
	require.Contains(t, s.ok("hardware", "inventory"), "virtualization  off       on    ProcVirtualization  Disabled\n")
	require.Contains(t, s.ok("hardware", "inventory"), ", 1 value waiting for a reset\n")
	s.bmc.FailNext(http.MethodGet, "/redfish/v1/Systems/1/EthernetInterfaces", http.StatusInternalServerError)
	s.bmc.FailNext(http.MethodGet, "/redfish/v1/Systems/1/EthernetInterfaces", http.StatusInternalServerError)
	require.Regexp(t, `NOT READ +WHY\n/redfish/v1/Systems/1/EthernetInterfaces +rejected by the BMC: 500 the simulator was told to fail this request\n`,
		s.ok("hardware", "inventory"))
}

func TestHardwarePlan(t *testing.T) {
	s := newBMCShell(t, false)
	profile := s.file("compute.json", compute)
	code, stdout, stderr := s.run("hardware", "plan", "--profile", profile)
	require.Equal(t, 2, code, stderr)
	require.Contains(t, stdout, "6 operations, 1 reboot, DESTROYS all data on n1-D0, n1-D1, n1-D2, n1-D3\n")
	require.Empty(t, stderr)

	s.stdin = compute
	code, stdout, stderr = s.run("hardware", "plan", "--profile", "-", "-o", "json")
	require.Equal(t, 2, code, stderr)
	var plan struct {
		Operations []map[string]any
		Destroys   []string
		Reboots    int
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &plan))
	require.Equal(t, strings.Split(allDisks, ","), plan.Destroys)
	require.Equal(t, 1, plan.Reboots)
	require.Len(t, plan.Operations, 6)
	for _, op := range plan.Operations {
		for _, key := range []string{"component", "action", "before", "after", "reason", "reboot", "destroys"} {
			require.Contains(t, op, key)
		}
		require.IsType(t, []any{}, op["destroys"], "%v", op["id"])
	}
	require.Equal(t, []any{"n1-D0", "n1-D1"}, plan.Operations[0]["destroys"])

	seen := s.file("seen.json", s.ok("hardware", "inventory", "-o", "json"))
	asked := len(s.bmc.RequestLog())
	code, offline, stderr := s.run("hardware", "plan", "--profile", profile, "--snapshot", seen, "-o", "json")
	require.Equal(t, 2, code, stderr)
	require.Equal(t, stdout, offline)
	require.Len(t, s.bmc.RequestLog(), asked, "the machine was not asked")

	code, stdout, stderr = s.run("hardware", "plan", "--profile", s.file("same.json", `{"bios":{"intents":{"smt":"on"}}}`))
	require.Equal(t, 0, code, stderr)
	require.Equal(t, "nothing to do\n", stdout)
	s.unchanged()
}

func TestHardwareProblemsOfAProfile(t *testing.T) {
	s := newBMCShell(t, false)
	wrong := s.file("wrong.json", `{"bios":{"intents":{"smt":"maybe"}},"raid":{"set":"Best"}}`)
	s.fails(1, wrong+": 2 problems\n  /bios/intents/smt: found \"maybe\", expected on or off\n  /raid/set: found \"Best\", expected JBODOnly, ",
		"hardware", "plan", "--profile", wrong)
	require.Empty(t, s.bmc.RequestLog(), "the machine is not asked about a wrong profile")
	impossible := s.file("impossible.json", `{"bios":{"attributes":{"ProcVirtualisation":"Enabled"}},"raid":{"volumes":[{"raid_level":"RAID60","disk_count":8}]}}`)
	s.fails(1, impossible+" cannot be had on "+s.address()+": 2 problems\n  /", "hardware", "apply", "--profile", impossible, "--allow-destroy", allDisks)

	code, stdout, _ := s.run("hardware", "plan", "--profile", impossible, "-o", "json")
	require.Equal(t, 1, code)
	var body struct {
		Error struct {
			Code, Message string
			Problems      []hardware.Problem
		}
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &body))
	require.Equal(t, "invalid", body.Error.Code)
	require.Equal(t, impossible+" cannot be had on "+s.address()+": 2 problems", body.Error.Message)
	require.Len(t, body.Error.Problems, 2)

	s.fails(1, "give --profile FILE", "hardware", "plan")
	s.fails(1, "--profile: open ", "hardware", "plan", "--profile", filepath.Join(s.dir, "none.json"))
	s.fails(1, "is no inventory", "hardware", "plan", "--profile", s.file("p.json", compute), "--snapshot", wrong)
	s.fails(1, "exclude each other", "hardware", "apply", "--profile", wrong, "--plan", wrong)
	s.fails(1, "is no plan; make one with", "hardware", "apply", "--plan", wrong)
	s.unchanged()
}

func TestHardwarePlanOfANode(t *testing.T) {
	s := newBMCShell(t, false)
	detail := func(profile string) json.RawMessage {
		_, stdout, _ := s.run("hardware", "plan", "--profile", s.file("p.json", profile), "-o", "json")
		return json.RawMessage(stdout)
	}
	part := func(name, state string, p barclamp.Plan) client.PlanPart {
		return client.PlanPart{Barclamp: name, State: state, Plan: p}
	}
	plan := client.Plan{Node: "node7", Parts: []client.PlanPart{
		part("raid", "hardware-installing", barclamp.Plan{Detail: detail(`{"raid":{"set":"SingleRaid10"}}`)}),
		part("bios", "hardware-installing", barclamp.Plan{Detail: detail(`{"bios":{"intents":{"smt":"off"}}}`)}),
		part("provisioner", "installing", barclamp.Plan{Text: "installs an operating system", Detail: json.RawMessage(`{"disk":"n1-D0"}`)}),
		part("ipmi", "hardware-installing", barclamp.Plan{Skipped: "the node has no BMC"}),
	}}
	s.answers(func(_, path string, _ []byte) (int, string) {
		require.Equal(t, "/api/v1/nodes/node7/plan", path)
		raw, err := json.Marshal(plan)
		require.NoError(t, err)
		return http.StatusOK, string(raw)
	})
	var all struct {
		Profile    hardware.Profile
		Operations []hardware.Operation
	}
	code, stdout, stderr := s.run("hardware", "plan", "node7", "-o", "json")
	require.Equal(t, 2, code, stderr)
	require.NoError(t, json.Unmarshal([]byte(stdout), &all))
	require.Len(t, all.Operations, 3)
	require.Equal(t, "off", all.Profile.BIOS.Intents[hardware.SMT])
	require.Equal(t, hardware.RAID10, all.Profile.RAID.Volumes[0].RAIDLevel)
	code, stdout, stderr = s.run("hardware", "plan", "node7")
	require.Equal(t, 2, code, stderr)
	require.Contains(t, stdout, "3 operations, 1 reboot, DESTROYS all data on n1-D0, n1-D1, n1-D2, n1-D3\n")
	require.Equal(t, "ipmi is skipped: the node has no BMC\n", stderr)
	plan.Parts = plan.Parts[2:]
	require.Equal(t, "nothing to do\n", s.ok("hardware", "plan", "node7"))
	plan.Parts = plan.Parts[:1]
	s.fails(1, "nothing is planned for the hardware of node7: no proposal in force configures it; see what it waits for: crowbar node why node7", "hardware", "plan", "node7")
	plan.Parts[0].Detail = json.RawMessage(`{"operations":[],"hash":"x"}`)
	s.fails(1, "the server's plan for provisioner cannot be read", "hardware", "plan", "node7")
	s.fails(1, "leave out --profile: the profile of node7 is that of its roles", "hardware", "plan", "node7", "--profile", "p.json")
	s.fails(1, "takes no node, only --bmc URL; of a server's nodes crowbar hardware plan NODE shows the plan", "hardware", "apply", "node7")
	s.unchanged()
}

func TestHardwareApply(t *testing.T) {
	s := newBMCShell(t, false)
	profile := s.file("compute.json", compute)
	apply := []string{"hardware", "apply", "--profile", profile}
	s.fails(3, "nothing was done: all data on n1-D0, n1-D1, n1-D2, n1-D3 would be lost; if that is meant, give --allow-destroy "+allDisks+"\n", apply...)
	s.fails(3, "all data on n1-D1, n1-D3 would be lost; if that is meant, give --allow-destroy "+allDisks+"\n", append(apply, "--allow-destroy", "n1-D0, n1-D2", "--allow-destroy", "n1-D9")...)
	failed := s.failsAsJSON(3, "not_authorized", apply...)
	require.Contains(t, failed.Error.Message, "nothing was done: all data on n1-D0, ")
	require.Equal(t, strings.Split(allDisks, ","), failed.Plan.Destroys())
	s.unchanged()

	out := s.ok(append(apply, "--allow-destroy", allDisks+",n1-D9")...)
	require.Contains(t, out, "6 operations, 1 reboot, DESTROYS all data on")
	require.Regexp(t, `\n6 of 6 operations done and read back; 1 reboot, \d+ requests\n$`, out)
	state := s.machine.State()
	require.Len(t, state.Volumes, 1)
	require.Equal(t, hardware.RAID10, state.Volumes[0].RAIDLevel)
	require.Equal(t, "Enabled", state.BIOS["ProcVirtualization"])
	require.Zero(t, s.bmc.Sessions())

	written := s.writes()
	require.Equal(t, "nothing to do\n", s.ok(apply...), "nothing is lost any more, so nothing needs to be named")
	require.Equal(t, "nothing to do\n", s.ok("hardware", "plan", "--profile", profile))
	require.Equal(t, written, s.writes())

	code, stdout, stderr := s.run("hardware", "apply", "--profile", s.file("smt.json", `{"bios":{"intents":{"smt":"off"}}}`), "--reset-at-once", "-o", "json")
	require.Equal(t, 0, code, stderr)
	var result hardware.Result
	require.NoError(t, json.Unmarshal([]byte(stdout), &result))
	require.Equal(t, []string{"bios-set-LogicalProc=Disabled"}, result.Done)
	require.Equal(t, 1, result.Reboots)
	require.Contains(t, stderr, "1 operation, 1 reboot\n")
	require.Zero(t, s.bmc.Sessions())
}

func TestHardwareProgressIsForTerminals(t *testing.T) {
	s := newBMCShell(t, false)
	apply := []string{"hardware", "apply", "--profile", s.file("smt.json", `{"bios":{"intents":{"smt":"off"}}}`)}
	s.terminal = true
	code, _, stderr := s.run(apply...)
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stderr, "0 of 1 done: resetting the machine\n")
	require.Contains(t, stderr, "1 of 1 done: bios-set-LogicalProc=Disabled: verified\n")
}

func TestHardwarePlanIsKept(t *testing.T) {
	s := newBMCShell(t, false)
	kept := filepath.Join(s.dir, "plan.json")
	code, _, stderr := s.run("hardware", "plan", "--profile", s.file("compute.json", compute), "--out", kept)
	require.Equal(t, 2, code)
	require.Equal(t, "the plan is in "+kept+"; to carry it out: crowbar hardware apply --plan "+kept+"\n", stderr)

	raw, err := os.ReadFile(kept)
	require.NoError(t, err)
	for was, is := range map[string]string{`"n1-D0"`: `"n1-D7"`, `"reboot": true`: `"reboot": false`, `"virtualization": "on"`: `"virtualization": "off"`} {
		edited := s.file("edited.json", strings.Replace(string(raw), was, is, 1))
		s.fails(1, "the plan was edited, or an older version wrote it: it does not match its checksum; make the plan again",
			"hardware", "apply", "--plan", edited, "--allow-destroy", allDisks)
	}
	s.fails(1, kept+" is a plan, not an inventory; make one with", "hardware", "plan", "--snapshot", kept, "--profile", s.file("compute.json", compute))

	other := newBMCShell(t, false)
	other.fails(4, kept+" is a plan for "+s.address()+", and --bmc is "+other.address(), "hardware", "apply", "--plan", kept, "--allow-destroy", allDisks)
	other.unchanged()

	// Somebody makes a volume of the other disks, which the plan knows nothing of.
	_, err = s.machine.CreateVolume(redfishsim.Volume{Name: "new", RAIDLevel: hardware.RAID1, Disks: []string{"n1-D2", "n1-D3"}, Controller: "RAID.Integrated.1-1"})
	require.NoError(t, err)
	s.fails(4, "stale plan", "hardware", "apply", "--plan", kept, "--allow-destroy", allDisks)
	s.unchanged()
	require.Len(t, s.machine.State().Volumes, 2)

	require.NoError(t, s.machine.DeleteVolume("Disk.Virtual.2"))
	s.fails(3, "give --allow-destroy "+allDisks, "hardware", "apply", "--plan", kept)
	require.Contains(t, s.ok("hardware", "apply", "--plan", kept, "--allow-destroy", allDisks), "6 of 6 operations done")
	require.Contains(t, s.ok("hardware", "apply", "--plan", kept, "--allow-destroy", allDisks), "0 of 6 operations done and read back, 6 in effect already; 0 reboots")
}

func TestHardwareInterrupted(t *testing.T) {
	s := newBMCShell(t, false)
	ctx := s.interruptedAfter(http.MethodPost, "/Volumes")
	apply := []string{"hardware", "apply", "--profile", s.file("compute.json", compute), "--allow-destroy", allDisks}
	code, stdout, stderr := s.runContext(ctx, apply...)
	require.Equal(t, 1, code)
	require.Equal(t, "crowbar: interrupted; what the BMC was told goes on there. Give the same command again to do the rest\n", stderr)
	require.Contains(t, stdout, "1 of 6 operations done and read back; 0 reboots")
	require.Zero(t, s.bmc.Sessions())

	require.Contains(t, s.ok(apply...), "4 of 4 operations done")
	require.Len(t, s.machine.State().Volumes, 1)
	require.Equal(t, 1, strings.Count(strings.Join(s.writes(), "\n"), "POST /redfish/v1/Systems/1/Storage/"))
	require.Zero(t, s.bmc.Sessions())
}

func TestHardwarePasswords(t *testing.T) {
	s := newBMCShell(t, false)
	delete(s.env, "CROWBAR_BMC_PASSWORD")
	inventory := []string{"hardware", "inventory", "-v"}
	s.fails(1, "no password of root; give it with --password-file or CROWBAR_BMC_PASSWORD", inventory...)
	require.Empty(t, s.bmc.RequestLog())

	secret := func(stdout, stderr string) {
		t.Helper()
		require.NotContains(t, stdout+stderr, bmcPassword)
		require.NotContains(t, stdout+stderr, "other-4712")
	}
	right := s.file("password", bmcPassword+"\n")
	code, stdout, stderr := s.run(append(inventory, "--password-file", right)...)
	require.Equal(t, 0, code, stderr)
	require.Regexp(t, `msg="redfish: request" host=127\.0\.0\.1:\d+ method=GET path=/redfish/v1/Systems/1/Bios status=200 took=`, stderr)
	secret(stdout, stderr)

	s.terminal, s.stdin = true, bmcPassword+"\n"
	code, stdout, stderr = s.run(inventory...)
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stderr, "password of root at "+s.address()+": \n")
	secret(stdout, stderr)
	s.stdin = "\n"
	code, _, stderr = s.run(inventory...)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "no password of root was given")
	s.terminal, s.stdin = false, ""

	code, stdout, stderr = s.run(append(inventory, "--password-file", s.file("wrong", "other-4712"))...)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "credentials refused")
	require.Contains(t, stderr, "check --user and the password, and what that account may do")
	secret(stdout, stderr)

	s.fails(1, "is not one line, the password", append(inventory, "--password-file", s.file("two", bmcPassword+"\nother-4712\n"))...)
	for _, given := range []string{"http://root:" + bmcPassword + "@" + s.address(), "https://root:" + bmcPassword + "@:%zz"} {
		code, stdout, stderr = s.run(append(inventory, "--bmc", given, "--password-file", right)...)
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "crowbar: --bmc ")
		secret(stdout, stderr)
	}
	s.env["CROWBAR_BMC"] = "http://root:" + bmcPassword + "@" + s.address()
	secret(s.ok("hardware", "inventory", "--help"), "")
	s.env["CROWBAR_BMC"] = s.server.URL

	ended, end := context.WithCancel(t.Context())
	end()
	code, _, stderr = s.runContext(ended, "hardware", "inventory", "--bmc", "http://192.0.2.10", "--password-file", right)
	require.Equal(t, 1, code)
	require.Equal(t, "the password goes to 192.0.2.10 unencrypted: the URL says http\ncrowbar: interrupted\n", stderr)

	delete(s.env, "CROWBAR_BMC_USER")
	s.fails(1, "give it with --user", append(inventory, "--password-file", right)...)
	s.fails(1, "give an account with --user", "hardware", "inventory")
	require.NotContains(t, s.ok(append(inventory, "--user", "root", "--password-file", right)...), bmcPassword)
	delete(s.env, "CROWBAR_BMC")
	s.fails(1, "no BMC; give its URL with --bmc or CROWBAR_BMC", inventory...)
	s.unchanged()
}

func TestHardwareCertificates(t *testing.T) {
	s := newBMCShell(t, true)
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes fail on purpose
	s.env["CROWBAR_BMC"] = s.address()                    // https is what is meant without a scheme
	certificate := s.server.Certificate()
	sum := sha256.Sum256(certificate.Raw)
	fingerprint := hex.EncodeToString(sum[:])
	inventory := []string{"hardware", "inventory"}

	s.fails(1, "the certificate of "+s.address()+" is not trusted: ", inventory...)
	s.fails(1, "Nothing was sent. Its SHA-256 is "+fingerprint+"; give the CA that signed it with --ca, or record it with --pin-file\n", inventory...)
	require.Empty(t, s.bmc.RequestLog())

	ca := s.file("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})))
	require.Contains(t, s.ok(append(inventory, "--ca", ca)...), "Simulated Server")
	s.fails(1, "has no certificate in PEM form", append(inventory, "--ca", s.file("none.pem", "x"))...)
	s.fails(1, "exclude each other", append(inventory, "--ca", ca, "--pin-file", ca)...)

	known := filepath.Join(s.dir, "pins")
	code, _, stderr := s.run(append(inventory, "--pin-file", known)...)
	require.Equal(t, 0, code, stderr)
	require.Equal(t, "the certificate of "+s.address()+" is recorded in "+known+", seen for the first time: SHA-256 "+fingerprint+"\n", stderr)
	s.env["CROWBAR_BMC_PINS"] = known
	code, _, stderr = s.run(inventory...)
	require.Equal(t, 0, code, stderr)
	require.Empty(t, stderr)

	asked := len(s.bmc.RequestLog())
	other := strings.Repeat("ab", 32)
	s.file("pins", "# rack 7\n192.0.2.9:443 "+other+"\n"+s.address()+" "+other+"\n")
	s.fails(1, "it is SHA-256 "+fingerprint+", and "+known+" has "+other+" in line 3. Nothing was sent. If it was renewed on purpose, remove that line", inventory...)
	s.file("pins", "nonsense\n")
	s.fails(1, "--pin-file: "+known+":1: not an address and a SHA-256 fingerprint", inventory...)
	s.fails(1, "--pin-file: open ", append(inventory, "--pin-file", filepath.Join(s.dir, "none", "pins"))...)
	require.Len(t, s.bmc.RequestLog(), asked)
	s.file("pins", "# rack 7\n192.0.2.9:443 "+other+"\n")
	require.Contains(t, s.ok(inventory...), "Simulated Server")
	s.unchanged()
}

func TestHardwarePower(t *testing.T) {
	s := newBMCShell(t, false)
	for _, step := range []struct{ action, says string }{
		{"on", "is on"}, {"on", "is on"}, {"reset", "was reset"}, {"shutdown", "is off"}, {"reset", "was reset"}, {"on", "is on"}, {"off", "is off"},
	} {
		require.Equal(t, s.address()+" "+step.says+"\n", s.ok("hardware", "power", step.action))
		require.Zero(t, s.bmc.Sessions())
	}
	require.Equal(t, redfishsim.PowerOff, s.machine.State().Power)
	require.Equal(t, object("node", s.address(), "action", "off", "power", "off"), s.read("hardware", "power", "off"))
	s.fails(1, `"on-and-off" is no power action; give on, off, shutdown or reset`, "hardware", "power", "on-and-off")
	s.fails(1, "ACTION is missing", "hardware", "power")
}
