package provisioner_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/provisioner"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/pxe"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

const base = "http://192.168.124.10:3000"

// server is what a Booter asks, for one node in a state ("": unknown).
type server struct {
	site    *barclamptest.FakeSite
	state   string
	tickets int
	err     error
}

func newServer(t *testing.T, state string) *server {
	t.Helper()
	s := &server{site: barclamptest.NewSite(1, 0), state: state}
	_, err := s.site.Commit(t.Context(), provisioner.New(provisioner.Config{}))
	require.NoError(t, err)
	return s
}

func (s *server) booter(t *testing.T) *provisioner.Booter {
	t.Helper()
	b, err := provisioner.NewBooter(provisioner.BooterConfig{
		Site:    func() barclamp.Site { return s.site },
		BaseURL: base,
		Lookup: func(net.HardwareAddr) (string, string, bool) {
			return s.site.Machines[0].Name, s.state, s.state != ""
		},
		Ticket: func(_ context.Context, mac net.HardwareAddr, state string) (provisioner.Ticket, error) {
			require.Equal(t, "52:54:00:00:00:01", mac.String())
			require.Equal(t, s.state, state, "the ticket is for the state that decided")
			s.tickets++
			return provisioner.Ticket{Node: s.site.Machines[0].Name, Boot: 7, Token: "T0ken"}, s.err
		},
	})
	require.NoError(t, err)
	return b
}

func (s *server) set(t *testing.T, pointer, value string) {
	t.Helper()
	d, ok := barclamp.First(s.site, provisioner.Name)
	require.True(t, ok)
	d, err := d.With(proposal.Edit{Pointer: "/attributes/provisioner/" + pointer, Value: json.RawMessage(value)})
	require.NoError(t, err)
	s.site.Put(d)
}

var client = pxe.Client{MAC: pxe.MAC{0x52, 0x54, 0, 0, 0, 1}, Arch: pxe.ArchX8664}

func TestBootByState(t *testing.T) {
	const discovery, installer, local = base + "/files/discovery/vmlinuz", base + "/files/ubuntu-24.04/casper/vmlinuz", ""
	for state, want := range map[string]struct{ kernel, action string }{
		"":                    {discovery, "discovery"},
		"discovering":         {discovery, "discovery"},
		"discovered":          {discovery, "discovery"},
		"hardware-installing": {discovery, "hwinstall"},
		"hardware-installed":  {installer, "os_install"},
		"installing":          {installer, "os_install"},
		"installed":           {local, ""},
		"readying":            {local, ""},
		"ready":               {local, ""},
		"applying":            {local, ""},
		"problem":             {local, ""},
		"hardware-updating":   {discovery, "update"},
		"reset":               {discovery, "reset"},
		"debug":               {discovery, "debug"},
		"delete":              {local, ""},
		"delete-final":        {local, ""},
		"never-heard-of":      {local, ""},
	} {
		t.Run("state "+state, func(t *testing.T) {
			s := newServer(t, state)
			d, err := s.booter(t).Boot(t.Context(), client)
			require.NoError(t, err)
			require.NotEmpty(t, d.Reason)
			require.Equal(t, want.kernel, d.Kernel)
			if want.kernel == local {
				require.Equal(t, pxe.ActionLocal, d.Action)
				require.Zero(t, s.tickets, "an installed system keeps its ticket")
				return
			}
			require.Equal(t, pxe.ActionBoot, d.Action)
			require.Equal(t, 1, s.tickets)
			args := []string{"crowbar.hostname=" + s.site.Machines[0].Name, "crowbar.state=" + want.action,
				"crowbar.url=" + base, "crowbar.token=T0ken", "crowbar.boot=7"}
			if want.kernel == installer {
				args = append(args, "crowbar.os=ubuntu-24.04")
			}
			require.Equal(t, args, d.Args)
			_, err = pxe.Script(d)
			require.NoError(t, err, "it can be sent")
		})
	}
}

func TestADoubtBootsTheDisk(t *testing.T) {
	for name, c := range map[string]struct {
		state  string
		change func(t *testing.T, s *server)
		reason string
	}{
		"network boot is off":            {"discovered", func(t *testing.T, s *server) { s.set(t, "enable_pxe", "false") }, "enable_pxe"},
		"off for new machines, too":      {"", func(t *testing.T, s *server) { s.set(t, "enable_pxe", "false") }, "enable_pxe"},
		"no such operating system":       {"installing", func(t *testing.T, s *server) { s.set(t, "default_os", `"plan9"`) }, "no kernel of plan9 for x86_64"},
		"no default_os of several":       {"installing", func(t *testing.T, s *server) { s.set(t, "default_os", `""`); s.set(t, "supported_oses", "{}") }, "no default_os"},
		"nothing in force, no installer": {"installing", func(_ *testing.T, s *server) { s.site.Committed = nil }, "no provisioner proposal is in force"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, c.state)
			c.change(t, s)
			d, err := s.booter(t).Boot(t.Context(), client)
			require.NoError(t, err)
			require.Equal(t, pxe.ActionLocal, d.Action)
			require.Contains(t, d.Reason, c.reason)
		})
	}
}

func TestErrorsAreDoubtsToo(t *testing.T) {
	s := newServer(t, "discovered")
	s.err = errors.New("store is full")
	_, err := s.booter(t).Boot(t.Context(), client)
	require.ErrorContains(t, err, "store is full")

	s = newServer(t, "ready")
	s.set(t, "dhcp/state_machine/ready", `"os_install"`)
	_, err = s.booter(t).Boot(t.Context(), client)
	require.Error(t, err, "no overlay leads around the pause")
	require.Zero(t, s.tickets)

	w := httptest.NewRecorder()
	pxe.Handler(s.booter(t), nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, pxe.Path+"?mac=52:54:00:00:00:01", nil))
	require.Contains(t, w.Body.String(), "exit 1")
}

func TestWithoutAProposalMachinesAreDiscovered(t *testing.T) {
	for _, state := range []string{"", "discovered"} {
		s := newServer(t, state)
		s.site.Committed = nil
		d, err := s.booter(t).Boot(t.Context(), client)
		require.NoError(t, err)
		require.Equal(t, base+"/files/discovery/vmlinuz", d.Kernel)
	}
}

func TestTheProposalInForceDecides(t *testing.T) {
	s := newServer(t, "discovered")
	s.set(t, "dhcp/state_machine/discovered", `"debug"`)
	s.set(t, "discovery/append", `"console=ttyS0  quiet"`)
	d, err := s.booter(t).Boot(t.Context(), client)
	require.NoError(t, err)
	action, _ := d.Arg("crowbar.state")
	require.Equal(t, "debug", action)
	require.Equal(t, []string{"console=ttyS0", "quiet"}, d.Args[len(d.Args)-2:])
}

func TestNewBooterWantsItsParts(t *testing.T) {
	_, err := provisioner.NewBooter(provisioner.BooterConfig{BaseURL: base})
	require.Error(t, err)
	_, err = provisioner.NewBooter(provisioner.BooterConfig{
		Site:   func() barclamp.Site { return &barclamptest.FakeSite{} },
		Lookup: func(net.HardwareAddr) (string, string, bool) { return "", "", false },
		Ticket: func(context.Context, net.HardwareAddr, string) (provisioner.Ticket, error) {
			return provisioner.Ticket{}, nil
		},
		BaseURL: "localhost",
	})
	require.ErrorContains(t, err, `base URL "localhost"`)
}

// TestTemplateSaysWhatTheLifecycleSays: as long as nobody edits it, the overlay changes nothing.
func TestTemplateSaysWhatTheLifecycleSays(t *testing.T) {
	life := lifecycle.Default()
	states := map[string]string{}
	for state, action := range provisioner.New(provisioner.Config{}).Info().Template.Get("dhcp.state_machine").Map() {
		states[state] = action.String()
	}
	overlaid, warnings, err := life.WithBootActions(states)
	require.NoError(t, err)
	require.Empty(t, warnings)
	for _, s := range life.Machine().States() {
		require.Equal(t, life.BootAction(s.Name), overlaid.BootAction(s.Name), "state %s", s.Name)
	}
}
