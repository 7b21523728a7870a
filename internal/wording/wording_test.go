package wording_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/internal/wording"
	"github.com/crowbarkit/crowbarkit/proposal"
)

func TestError(t *testing.T) {
	for given, want := range map[string]string{
		"crowbar: not found: no node is called x":                                                           "no node is called x",
		"crowbar: invalid: proposal: invalid: a name":                                                       "a name",
		"request: body: more than one JSON value":                                                           "body: more than one JSON value",
		"proposal: conflict: there is a newer revision: proposal a/b exists":                                "proposal a/b exists",
		"crowbar: commit a/b: crowbar: conflict: the record changed since it was read: job 1 runs":          "commit a/b: job 1 runs",
		"no such path: /proposal: x":                                                                        "no such path: /proposal: x",
		"revision 9 of a/b: proposal: not found":                                                            "revision 9 of a/b: not found",
		"sim: the directory holds another site: the machines in D have seed 1":                              "the machines in D have seed 1",
		"client: wrong configuration: server \"x\" is no URL":                                               `server "x" is no URL`,
		"crowbar: simulated and real nodes do not mix: this store holds real nodes":                         "this store holds real nodes",
		"file.json is no proposal: proposal: invalid: line 1":                                               "file.json is no proposal: line 1",
		"crowbar: node n: statemachine: \"allocate\" is refused in state \"ready\" by guard \"granted\": g": `node n: "allocate" is refused in state "ready" by guard "granted": g`,
	} {
		require.Equal(t, want, wording.Error(errors.New(given)))
	}
}

func TestNumbers(t *testing.T) {
	require.Equal(t, "1 reboot", wording.Count(1, "reboot"))
	require.Equal(t, "0 reboots", wording.Count(0, "reboot"))
	for n, want := range map[int]string{1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 13: "13th", 21: "21st", 112: "112th"} {
		require.Equal(t, want, wording.Ordinal(n))
	}
}

func TestRoles(t *testing.T) {
	in := func(name, role string) barclamp.Membership {
		return barclamp.Membership{Proposal: proposal.Key{Barclamp: name, Name: "default"}, Role: role}
	}
	require.Empty(t, wording.Roles(nil, 0))
	require.Equal(t, "(+1)", wording.Roles([]barclamp.Membership{in("bios", "bios-configure")}, 0))
	all := []barclamp.Membership{in("network", "network"), in("swift", "swift-storage"), in("swift", "swift-proxy"), in("swift", "swift-proxy")}
	for width, want := range map[int]string{
		0: "swift-proxy swift-storage (+1)", 30: "swift-proxy swift-storage (+1)", 29: "swift-proxy (+2)", 3: "(+3)",
	} {
		require.Equal(t, want, wording.Roles(all, width), fmt.Sprint(width))
	}
	require.Equal(t, "d52-54", wording.Node("d52-54.crowbar.internal"))
}
