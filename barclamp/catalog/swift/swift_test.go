package swift_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/swift"
	"github.com/crowbarkit/crowbarkit/proposal"
)

func name(number int) string { return barclamptest.NewNode(number, 0).Name }

func TestPropose(t *testing.T) {
	s := barclamptest.NewSite(2, 4)
	d, err := swift.New().Propose(t.Context(), s)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(map[string][]string{
		swift.RoleStorage:    {name(3), name(4), name(5), name(6)},
		swift.RoleRing:       {name(3)},
		swift.RoleProxy:      {name(3)},
		swift.RoleDispersion: {name(3)},
	}, d.Elements))
	require.Equal(t, 3, d.Attributes["/replicas"])
	require.Equal(t, 2, d.Attributes["/zones"])
	require.Regexp(t, "^[0-9a-f]{32}$", d.Attributes["/cluster_hash"])

	s.Machines[0].IntendedRole, s.Machines[1].IntendedRole = "storage", "storage"
	intended, err := swift.New().Propose(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, []string{name(1), name(2)}, intended.Elements[swift.RoleStorage], "who is intended goes before who has many disks")
	require.Equal(t, 2, intended.Attributes["/replicas"])
	require.NotEqual(t, d.Attributes["/cluster_hash"], intended.Attributes["/cluster_hash"])
}

func TestOneStorageNodeIsTooFew(t *testing.T) {
	s := barclamptest.NewSite(1, 1)
	b := swift.New()
	draft, err := b.Propose(t.Context(), s)
	require.NoError(t, err)
	require.Contains(t, draft.Explanations, barclamp.Explanation{Role: swift.RoleStorage,
		Reason: "lacks nodes: the site has 1 for storage, 2 are needed"})
	d, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
	require.ErrorContains(t, barclamp.CheckPlacement(b.Info(), d, s), "role swift-storage lacks nodes")
}

func TestValidate(t *testing.T) {
	s := barclamptest.NewSite(0, 3)
	d, err := s.Commit(t.Context(), swift.New())
	require.NoError(t, err)
	for pointer, value := range map[string]string{"replicas": "0", "zones": "4"} {
		d, err = d.With(proposal.Edit{Pointer: "/attributes/swift/" + pointer, Value: json.RawMessage(value)})
		require.NoError(t, err)
	}
	var invalid *proposal.ValidationError
	require.ErrorAs(t, swift.New().Validate(t.Context(), s, d), &invalid)
	require.Len(t, invalid.Problems, 2)
	require.Equal(t, "/attributes/swift/replicas", invalid.Problems[0].Path)
	require.Equal(t, "/attributes/swift/zones", invalid.Problems[1].Path)
}
