package proposal

import (
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	fault "github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// A branch is one alternative that a value does not fit.
type branch struct {
	found []finding
	// misfit tells how little it was meant: 2 for a value of another type, 1 for one that lacks
	// the constant by which such alternatives are told apart, else 0.
	misfit int
}

// alternatives reports a value that fits none of several subschemas: what is wrong by the one
// that fits best. Where that cannot be told, what each of them expects.
func (r *reporter) alternatives(e *jsonschema.ValidationError) []finding {
	branches := make([]branch, 0, len(e.Causes))
	for _, c := range e.Causes {
		branches = append(branches, branch{r.flatten(c), misfit(c, len(e.InstanceLocation))})
	}
	if len(branches) == 0 {
		return nil
	}
	least := slices.MinFunc(branches, func(a, b branch) int { return a.misfit - b.misfit }).misfit
	branches = slices.DeleteFunc(branches, func(b branch) bool { return b.misfit > least })
	fewest := len(slices.MinFunc(branches, func(a, b branch) int { return len(a.found) - len(b.found) }).found)
	branches = slices.DeleteFunc(branches, func(b branch) bool { return len(b.found) > fewest })
	if len(branches) == 1 || fewest == 0 {
		return branches[0].found
	}
	here := r.place(e.InstanceLocation)
	if fewest > 1 {
		// Alternatives as good as each other: the first, and that it is not the only one.
		found := branches[0].found
		if found[0].Hint == "" && here.secret < 0 {
			found[0].Hint = "the schema has other alternatives for this value"
		}
		return found
	}
	var wanted, missing []string
	first := branches[0].found[0]
	samePath := true
	for _, b := range branches {
		f := b.found[0]
		samePath = samePath && f.Path == first.Path
		if f.Found == "nothing" {
			missing = append(missing, quote(strings.TrimPrefix(f.Path, here.path+"/")))
		}
		if !slices.Contains(wanted, f.Expected) {
			wanted = append(wanted, f.Expected)
		}
		if first.Hint == "" && f.Hint != "" {
			first.Hint = f.Hint
		}
	}
	switch {
	case samePath:
		first.Expected = either(wanted)
		return []finding{first}
	case len(missing) == len(branches):
		slices.Sort(missing)
		return []finding{r.problem(here, "none of the members "+either(missing), "one of them", "")}
	}
	texts := make([]string, 0, len(branches))
	for _, b := range branches {
		f := b.found[0]
		texts = append(texts, "at "+strings.TrimPrefix(f.Path, here.path)+" "+f.Expected)
	}
	return []finding{r.problem(here, r.describe(here), either(texts), "")}
}

// misfit looks for what tells alternatives apart: the type of the value at this depth, a constant
// of one of its members.
func misfit(e *jsonschema.ValidationError, depth int) int {
	worst := 0
	switch e.ErrorKind.(type) {
	case *fault.Type:
		if len(e.InstanceLocation) == depth {
			return 2
		}
	case *fault.Const, *fault.Enum:
		if len(e.InstanceLocation) == depth+1 {
			return 1
		}
	case *fault.Schema, *fault.Group, *fault.Reference, *fault.AllOf:
		for _, c := range e.Causes {
			worst = max(worst, misfit(c, depth))
		}
	}
	return worst
}
