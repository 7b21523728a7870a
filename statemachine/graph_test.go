package statemachine_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/statemachine"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestGraphs(t *testing.T) {
	d := disk()
	// Names that are one identifier in Mermaid.
	d.States[4].Transitions = append(d.States[4].Transitions,
		statemachine.Transition{Event: "park", To: "a-b"}, statemachine.Transition{Event: "store", To: "a.b"})
	d.States = append(d.States, statemachine.State{Name: "a-b", Kind: statemachine.Rest}, statemachine.State{Name: "a.b", Kind: statemachine.Rest})
	m := newMachine(t, d)
	for file, got := range map[string]string{"disk.dot": m.DOT(), "disk.mmd": m.Mermaid()} {
		t.Run(file, func(t *testing.T) {
			path := filepath.Join("testdata", file)
			if *update {
				require.NoError(t, os.MkdirAll("testdata", 0o755))
				require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), got, "run go test -update and read the diff")
		})
	}
}
