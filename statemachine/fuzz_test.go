package statemachine_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crowbarkit/crowbarkit/statemachine"
)

// Any text is refused with problems or is a machine that starts, draws and reads back the same.
func FuzzParse(f *testing.F) {
	valid, err := json.Marshal(disk())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(valid)
	f.Add([]byte(`{"name":"x","initial":"a","states":[{"name":"a","kind":"rest","deadline_seconds":0.000000001,"on_deadline":"a"}]}`))
	f.Add([]byte(`{"name":"x","initial":"a","states":[{"name":"a","kind":"work"},{"name":"a"}]}`))
	f.Add([]byte(`{"states":[null],"initial":null}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := statemachine.Parse(data)
		if err != nil {
			var refused *statemachine.DefinitionError
			if !errors.As(err, &refused) || len(refused.Problems) == 0 {
				t.Fatalf("refused without a problem: %v", err)
			}
			return
		}
		if at, _ := m.Start(start); at.State != m.Initial() || m.Why(at, nil).Kind == "" {
			t.Fatalf("started in %+v", at)
		}
		again, err := json.Marshal(m.Definition())
		if err != nil {
			t.Fatal(err)
		}
		same, err := statemachine.Parse(again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if diff := cmp.Diff(m.Mermaid()+m.DOT(), same.Mermaid()+same.DOT()); diff != "" {
			t.Fatal(diff)
		}
	})
}
