package nova_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/nova"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/swift"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// name of the node with a number.
func name(number int) string { return barclamptest.NewNode(number, 0).Name }

func TestPropose(t *testing.T) {
	noFlags := func(s *barclamptest.FakeSite, numbers ...int) {
		for _, i := range numbers {
			s.Machines[i-1].Facts.CPU.Flags = nil
		}
	}
	for title, c := range map[string]struct {
		change  func(*barclamptest.FakeSite)
		want    map[string][]string
		libvirt any
	}{
		"by disks": {func(*barclamptest.FakeSite) {},
			map[string][]string{nova.RoleController: {name(1)}, nova.RoleKVM: {name(2), name(3)}}, "kvm"},
		"an intended controller": {func(s *barclamptest.FakeSite) { s.Machines[1].IntendedRole = "controller" },
			map[string][]string{nova.RoleController: {name(2)}, nova.RoleKVM: {name(1), name(3)}}, "kvm"},
		"intended compute": {func(s *barclamptest.FakeSite) { s.Machines[0].IntendedRole = "compute" },
			map[string][]string{nova.RoleController: {name(2)}, nova.RoleKVM: {name(1)}}, "kvm"},
		"intended storage": {func(s *barclamptest.FakeSite) { s.Machines[0].IntendedRole = "storage" },
			map[string][]string{nova.RoleController: {name(2)}, nova.RoleKVM: {name(3)}}, "kvm"},
		"many disks but meant to compute": {func(s *barclamptest.FakeSite) { s.Machines[3].IntendedRole = "compute" },
			map[string][]string{nova.RoleController: {name(1)}, nova.RoleKVM: {name(4)}}, "kvm"},
		"no_role is no intention": {func(s *barclamptest.FakeSite) { s.Machines[3].IntendedRole = "no_role" },
			map[string][]string{nova.RoleController: {name(1)}, nova.RoleKVM: {name(2), name(3)}}, "kvm"},
		"one CPU without virtualization": {func(s *barclamptest.FakeSite) { noFlags(s, 2) },
			map[string][]string{nova.RoleController: {name(1)}, nova.RoleKVM: {name(3)}, nova.RoleQEMU: {name(2)}}, "kvm"},
		"no CPU with virtualization": {func(s *barclamptest.FakeSite) { noFlags(s, 1, 2, 3, 4) },
			map[string][]string{nova.RoleController: {name(1)}, nova.RoleQEMU: {name(2), name(3)}}, "qemu"},
		"AMD": {func(s *barclamptest.FakeSite) { s.Machines[1].Facts.CPU.Flags = []string{"svm"} },
			map[string][]string{nova.RoleController: {name(1)}, nova.RoleKVM: {name(2), name(3)}}, "kvm"},
		"the admin node is left out": {func(s *barclamptest.FakeSite) { s.Machines[0].Admin = true },
			map[string][]string{nova.RoleController: {name(2)}, nova.RoleKVM: {name(3)}}, "kvm"},
	} {
		t.Run(title, func(t *testing.T) {
			s := barclamptest.NewSite(3, 1)
			c.change(s)
			d, err := nova.New().Propose(t.Context(), s)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(c.want, d.Elements))
			require.Equal(t, c.libvirt, d.Attributes["/libvirt_type"])
		})
	}
}

func TestTwoNodesAreTooFew(t *testing.T) {
	s := barclamptest.NewSite(1, 1)
	b := nova.New()
	draft, err := b.Propose(t.Context(), s)
	require.NoError(t, err)
	require.Contains(t, draft.Explanations[len(draft.Explanations)-1].Reason, "lacks nodes")
	d, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
	require.NoError(t, barclamp.CheckPlacement(b.Info(), d, s))
	var invalid *proposal.ValidationError
	require.ErrorAs(t, b.Validate(t.Context(), s, d), &invalid)
	require.Equal(t, "/deployment/nova/elements/nova-compute-kvm", invalid.Problems[0].Path)
	require.Contains(t, invalid.Error(), "role nova-compute-kvm lacks nodes")
}

func TestValidateLeavesOtherErasAlone(t *testing.T) {
	d, err := proposal.Parse([]byte(`{"id":"bc-nova-default","attributes":{"nova":{}},"deployment":{"nova":{
		"elements":{"nova-multi-controller":["a"]},"element_order":[["nova-multi-controller"],["nova-multi-compute"]]}}}`))
	require.NoError(t, err)
	require.NoError(t, nova.New().Validate(t.Context(), barclamptest.NewSite(1, 0), d))
}

func TestValidateVolumes(t *testing.T) {
	for name, c := range map[string]struct {
		volume string
		want   []string
	}{
		"complete":     {`{"volume_type":"eqlx","local_file":"/v.raw","eqlx":{"san_ip":"192.168.124.11","san_password":"12345"}}`, nil},
		"no group":     {`{"volume_type":"eqlx"}`, []string{"/eqlx"}},
		"no address":   {`{"volume_type":"eqlx","eqlx":{"san_ip":"","san_login":"grpadmin"}}`, []string{"/eqlx/san_ip", "/eqlx"}},
		"not chosen":   {`{"volume_type":"raw","eqlx":{"san_ip":""}}`, nil},
		"in cinder":    {`{"use_cinder":true,"volume_type":"eqlx"}`, nil},
		"nothing said": {`{}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := proposal.Parse([]byte(`{"id":"bc-nova-default","attributes":{"nova":{"volume":` + c.volume + `}},"deployment":{"nova":{
				"elements":{"nova-multi-controller":["a"]},"element_order":[["nova-multi-controller"],["nova-multi-compute"]]}}}`))
			require.NoError(t, err)
			err = nova.New().Validate(t.Context(), barclamptest.NewSite(1, 0), d)
			if c.want == nil {
				require.NoError(t, err)
				return
			}
			var invalid *proposal.ValidationError
			require.ErrorAs(t, err, &invalid)
			var got []string
			for _, p := range invalid.Problems {
				got = append(got, strings.TrimPrefix(p.Path, "/attributes/nova/volume"))
			}
			require.Equal(t, c.want, got)
		})
	}
}

// TestNovaAndSwiftShareNoNode: a node with roles of both would need opposite hardware.
func TestNovaAndSwiftShareNoNode(t *testing.T) {
	s := barclamptest.NewSite(5, 3)
	s.Machines[1].IntendedRole = "storage"
	s.Machines[6].IntendedRole = "compute"
	n, err := nova.New().Propose(t.Context(), s)
	require.NoError(t, err)
	w, err := swift.New().Propose(t.Context(), s)
	require.NoError(t, err)
	of := map[string]string{}
	for role, nodes := range n.Elements {
		for _, node := range nodes {
			of[node] = role
		}
	}
	require.NotEmpty(t, of)
	for role, nodes := range w.Elements {
		for _, node := range nodes {
			require.Empty(t, of[node], "%s has %s and %s", node, of[node], role)
		}
	}
}
