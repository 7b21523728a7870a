package network_test

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/network"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// addresses lets the nodes of a site claim in the given order.
func addresses(t *testing.T, s *barclamptest.FakeSite, order []barclamp.Node) map[string]netip.Addr {
	t.Helper()
	b := network.New()
	d, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
	require.NoError(t, b.Validate(t.Context(), s, d))
	book := &barclamptest.AddressBook{}
	for _, n := range order {
		e, err := s.Event(n.Name, "hardware-installing", d)
		require.NoError(t, err)
		steps, err := b.Transition(t.Context(), s, e)
		require.NoError(t, err)
		require.Len(t, steps, 1)
		sc := barclamptest.NewStepContext(e.Node)
		sc.Book = book
		require.NoError(t, steps[0].Run(t.Context(), sc))
	}
	return book.Addresses(network.Admin)
}

func TestAddressesDoNotDependOnWhoComesFirst(t *testing.T) {
	for _, nodes := range []int{8, 80, 100} {
		s := barclamptest.NewSite(nodes, 0)
		got := addresses(t, s, s.Nodes())
		require.Len(t, got, nodes)
		distinct := map[netip.Addr]bool{}
		for _, a := range got {
			distinct[a] = true
		}
		require.Len(t, distinct, nodes, "each node has an address of its own")
		shuffled := s.Nodes()
		rand.New(rand.NewPCG(1, 2)).Shuffle(nodes, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		require.Empty(t, cmp.Diff(got, addresses(t, s, shuffled), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })))
	}
}

func TestSmallSiteKeepsCrowbarsRange(t *testing.T) {
	s := barclamptest.NewSite(2, 0)
	got := addresses(t, s, s.Nodes())
	require.Equal(t, netip.MustParseAddr("192.168.124.81"), got[s.Nodes()[0].Name])
	require.Equal(t, netip.MustParseAddr("192.168.124.82"), got[s.Nodes()[1].Name])
}

func TestLargeSiteGetsALargerNetwork(t *testing.T) {
	s := barclamptest.NewSite(81, 0)
	draft, err := network.New().Propose(t.Context(), s)
	require.NoError(t, err)
	require.Contains(t, draft.Explanations[81].Reason, "81 nodes are more than the 80 addresses")
	d, err := s.Commit(t.Context(), network.New())
	require.NoError(t, err)
	hosts, err := network.Host(d)
	require.NoError(t, err)
	require.Equal(t, "10.124.64.0-10.124.127.255", hosts.String())
	require.Equal(t, 16384, hosts.Size())
	require.NoError(t, network.New().Validate(t.Context(), s, d))
}

func TestAddressIsClaimedOnce(t *testing.T) {
	s := barclamptest.NewSite(1, 0)
	b := network.New()
	d, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
	has := netip.MustParseAddr("192.168.124.99")
	n := &s.Machines[0]
	for _, state := range []string{"hardware-installing", "installed", "readying"} {
		steps := func() []barclamp.Step {
			e, err := s.Event(n.Name, state, d)
			require.NoError(t, err)
			steps, err := b.Transition(t.Context(), s, e)
			require.NoError(t, err)
			return steps
		}
		n.Addresses, n.Data = nil, nil
		require.Len(t, steps(), 1, "it has no address")
		n.Addresses = map[string]netip.Addr{network.Admin: has}
		require.Len(t, steps(), 1, "a crash came between the claim and the record")
		n.Data = map[string]json.RawMessage{network.Name: []byte(`{"network":"admin","address":"192.168.124.99"}`)}
		require.Empty(t, steps(), "it has an address")
	}
}

func TestExhaustedRangeSaysWhich(t *testing.T) {
	s := barclamptest.NewSite(2, 0)
	b := network.New()
	d, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
	d, err = d.With(proposal.Edit{Pointer: "/attributes/network/networks/admin/ranges/host/end", Value: json.RawMessage(`"192.168.124.81"`)})
	require.NoError(t, err)
	require.ErrorContains(t, b.Validate(t.Context(), s, d), "found 1 addresses, expected at least 2")
	book := &barclamptest.AddressBook{}
	for i, n := range s.Nodes() {
		e, err := s.Event(n.Name, "hardware-installing", d)
		require.NoError(t, err)
		steps, err := b.Transition(t.Context(), s, e)
		require.NoError(t, err)
		sc := barclamptest.NewStepContext(e.Node)
		sc.Book = book
		if err = steps[0].Run(t.Context(), sc); i == 0 {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, barclamp.ErrExhausted)
			require.ErrorContains(t, err, "192.168.124.81-192.168.124.81")
		}
	}
}

func TestRangeFromYieldsEachAddressOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 600).Draw(t, "size")
		start := netip.MustParseAddr("10.0.0.200")
		end := start
		for range size - 1 {
			end = end.Next()
		}
		r := network.Range{Start: start, End: end}
		require.Equal(t, size, r.Size())
		index := rapid.IntRange(0, 2000).Draw(t, "index")
		got := slices.Collect(r.From(index))
		require.Len(t, got, size)
		want := start
		for range index % size {
			want = want.Next()
		}
		require.Equal(t, want, got[0])
		slices.SortFunc(got, netip.Addr.Compare)
		require.Equal(t, got, slices.Compact(slices.Clone(got)))
		require.Equal(t, start, got[0])
		require.Equal(t, end, got[size-1])
	})
}

func TestValidate(t *testing.T) {
	const base = "/attributes/network/networks"
	for name, c := range map[string]struct {
		edits map[string]string // below networks
		paths []string
	}{
		"a range outside its subnet":  {map[string]string{"/storage/ranges/host/end": `"192.168.126.1"`}, []string{"/storage/ranges/host/end"}},
		"a range the wrong way round": {map[string]string{"/storage/ranges/host/start": `"192.168.125.250"`}, []string{"/storage/ranges/host"}},
		"ranges that overlap":         {map[string]string{"/admin/ranges/dhcp/end": `"192.168.124.90"`}, []string{"/admin/ranges/host"}},
		"ranges of two networks":      {map[string]string{"/bmc/ranges/host/start": `"192.168.124.160"`}, []string{"/bmc/ranges/host", "/bmc_vlan/ranges/host"}},
		"a router outside":            {map[string]string{"/admin/router": `"10.0.0.1"`}, []string{"/admin/router"}},
		"no address":                  {map[string]string{"/admin/ranges/host/start": `"eighty-one"`, "/public/subnet": `7`}, []string{"/public/subnet", "/admin/ranges/host/start"}},
		"a netmask with a hole":       {map[string]string{"/storage/netmask": `"255.0.255.0"`}, []string{"/storage/netmask"}},
		"a subnet that is none":       {map[string]string{"/storage/subnet": `"192.168.125.3"`}, []string{"/storage/subnet"}},
		"no host range":               {map[string]string{"/admin/ranges": `{}`}, []string{"/admin/ranges/host"}},
		"no networks":                 {map[string]string{"": `[]`}, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			d := network.New().Info().Template
			for pointer, value := range c.edits {
				var err error
				d, err = d.With(proposal.Edit{Pointer: base + pointer, Value: json.RawMessage(value)})
				require.NoError(t, err)
			}
			var invalid *proposal.ValidationError
			require.ErrorAs(t, network.New().Validate(t.Context(), &barclamptest.FakeSite{}, d), &invalid)
			var paths []string
			for _, p := range invalid.Problems {
				paths = append(paths, p.Path)
			}
			for i := range c.paths {
				c.paths[i] = base + c.paths[i]
			}
			require.ElementsMatch(t, c.paths, paths, "%v", invalid)
		})
	}
}

func TestCrowbarsTemplateIsValid(t *testing.T) {
	data, err := os.ReadFile("../../../../shared/data/crowbar-templates/network__crowbar.json")
	if err != nil {
		t.Skip("no real templates here:", err)
	}
	d, err := proposal.Parse(data)
	require.NoError(t, err)
	require.NoError(t, network.New().Validate(t.Context(), &barclamptest.FakeSite{}, d))
	hosts, err := network.Host(d)
	require.NoError(t, err)
	require.Equal(t, 80, hosts.Size())
}
