package lifecycle_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/statemachine"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

var update = flag.Bool("update", false, "rewrite docs/lifecycle.md")

// docs/lifecycle.md is written from the lifecycle itself.
func TestDocs(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "lifecycle.md")
	got := document(lifecycle.Default())
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "run go test ./statemachine/lifecycle -update and read the diff")
}

func document(l *lifecycle.Lifecycle) string {
	var b strings.Builder
	b.WriteString(`# The life of a node

<!-- Written by go test ./statemachine/lifecycle -update from statemachine/lifecycle/default.json. -->

The default lifecycle. It is data: ` + "`statemachine/lifecycle/default.json`" + ` is what the engine runs, and
` + "`attributes.provisioner.lifecycle`" + ` of a provisioner proposal replaces it. A state is shown as
entering until its hooks have finished. When work fails or takes too long, the node goes where
the state says, with the reason.

## States

`)
	for _, s := range l.Machine().States() {
		fmt.Fprintf(&b, "- **%s**: %s %s\n", s.Name, s.Description, fate(l, s))
	}
	b.WriteString("\n## Who moves it on\n\nA node asks for a state by its name; the event is named only where it is called otherwise.\n\n| State | Leads to |\n|---|---|\n")
	for _, s := range l.Machine().States() {
		fmt.Fprintf(&b, "| %s | %s |\n", s.Name, ways(s))
	}
	b.WriteString("\n## Graph\n\nGreen states are for ever, the yellow one is the pause, red ones destroy data and are entered by\ndecision only.\n\n```mermaid\n" + l.Machine().Mermaid() + "```\n")
	return b.String()
}

// fate says in words who moves a state on, how long it may take, and what boots.
func fate(l *lifecycle.Lifecycle, s statemachine.State) string {
	var b strings.Builder
	switch who := s.Actor; s.Kind {
	case statemachine.Pause:
		fmt.Fprintf(&b, "Paused until the %s decides.", who)
	case statemachine.End:
		b.WriteString("The end.")
	case statemachine.Rest:
		b.WriteString("May stay for ever.")
	default:
		article := "the "
		if who == lifecycle.ActorBMC {
			article = "its "
		}
		fmt.Fprintf(&b, "Moved on by %s%s within %s", article, who, s.Deadline)
		switch {
		case s.OnDeadline != "" && s.OnDeadline != s.OnFailure:
			fmt.Fprintf(&b, ", else %s; on failure %s.", s.OnDeadline, s.OnFailure)
		default:
			fmt.Fprintf(&b, ", else %s.", s.OnFailure)
		}
	}
	if s.Destructive {
		b.WriteString(" Destroys data.")
	}
	fmt.Fprintf(&b, " Boots `%s`.", l.BootAction(s.Name))
	return b.String()
}

func ways(s statemachine.State) string {
	var out []string
	for _, tr := range s.Transitions {
		way := tr.To
		switch {
		case tr.Event == statemachine.Settled:
			way += " when its hooks have finished"
		case tr.Event != tr.To:
			way += " (" + tr.Event + ")"
		}
		if len(tr.Actors) > 0 {
			way += " by " + strings.Join(tr.Actors, " or ")
		}
		if guards := slices.DeleteFunc(slices.Clone(tr.Guards), func(g string) bool { return g == statemachine.GuardSettled }); len(guards) > 0 {
			way += " if " + strings.Join(guards, " and ")
		}
		out = append(out, way)
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, ", ")
}
