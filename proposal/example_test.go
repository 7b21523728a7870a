package proposal_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crowbarkit/crowbarkit/proposal"
)

const template = `{
  "id": "template-nova",
  "description": "OpenStack Compute",
  "attributes": { "nova": { "libvirt_type": "kvm", "overcommit": 16.0, "volume": { "eqlx": { "san_ip": null } } } },
  "deployment": {
    "nova": {
      "crowbar-revision": 0,
      "elements": {},
      "element_order": [ [ "nova-controller" ], [ "nova-compute-kvm" ] ],
      "config": { "environment": "nova-config-base", "mode": "full", "transitions": false, "transition_list": [] }
    }
  }
}`

func mustParse(text string) *proposal.Document {
	d, err := proposal.Parse([]byte(text))
	if err != nil {
		panic(err)
	}
	return d
}

func ExampleParse() {
	d, err := proposal.Parse([]byte(template))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Key(), d.IsTemplate(), d.Roles())
	fmt.Println(d.Get("overcommit").Raw, d.Get("volume.eqlx.san_ip").Raw)

	_, err = proposal.Parse([]byte("{\n  \"id\": \"bc-nova-x\",\n  \"id\": \"bc-nova-y\"\n}"))
	fmt.Println(err)
	_, err = proposal.Parse([]byte(`{"id": "bc-nova-x", "attributes": [], "deployment": {"nova": {"elements": {"nova-controller": "node1"}}}}`))
	fmt.Println(err)
	// Output:
	// nova/default true [nova-controller nova-compute-kvm]
	// 16.0 null
	// proposal: line 3, column 3: "id" stands twice in one object
	// proposal: invalid: 2 problems:
	//   /attributes: found a list, expected an object
	//   /deployment/nova/elements/nova-controller: found a string "node1", expected a list of strings (write ["node1"])
}

func ExampleDocument_With() {
	d := mustParse(template)
	d, err := d.With(
		proposal.Edit{Pointer: d.AttributePointer("libvirt_type"), Value: []byte(`"qemu"`)},
		proposal.Edit{Pointer: d.AttributePointer("volume.eqlx.pool"), Value: []byte(`"default"`)},
		proposal.Edit{Pointer: d.AttributePointer("overcommit")},
	)
	fmt.Println(d.Attributes().Raw, err)
	// Output:
	// { "libvirt_type": "qemu", "volume": { "eqlx": { "san_ip": null, "pool": "default" } } } <nil>
}

func ExampleDocument_WithName() {
	d, err := mustParse(template).WithName("default")
	fmt.Println(d.ID(), d.Deployment().Config.Environment, err)
	// Output:
	// bc-nova-default nova-config-default <nil>
}

func ExampleCompare() {
	a := mustParse(template)
	b, _ := a.With(proposal.Edit{Pointer: "/attributes/nova/libvirt_type", Value: []byte(`"qemu"`)})
	b, _ = b.WithElements(map[string][]string{"nova-compute-kvm": {"node7", "node8"}})
	diff, err := proposal.Compare(a, b)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(diff.Text())
	fmt.Println(string(diff.Patch))
	// Output:
	// nova.libvirt_type: "kvm" → "qemu"
	// nova-compute-kvm: + node7, node8
	// [{"op":"replace","path":"/attributes/nova/libvirt_type","value":"qemu"},{"op":"add","path":"/deployment/nova/elements/nova-compute-kvm","value":["node7","node8"]}]
}

func ExampleValidate() {
	d, _ := mustParse(template).WithElements(map[string][]string{
		"nova-controller":  {"node1"},
		"nova-compute-kwm": {"node2"},
	})
	fmt.Println(proposal.Validate(d))
	// Output:
	// proposal: invalid: /deployment/nova/elements/nova-compute-kwm: found unknown role "nova-compute-kwm", expected a role of element_order or element_states (did you mean "nova-compute-kvm"?)
}

func ExampleValidate_schema() {
	schema, err := proposal.CompileSchema([]byte(`{
		"properties": {
			"libvirt_type": { "enum": [ "kvm", "qemu", "xen" ] },
			"overcommit":   { "type": "number", "minimum": 1 },
			"volume":       { "type": "object" }
		},
		"required": [ "libvirt_type" ],
		"additionalProperties": false
	}`), proposal.AttributesOnly, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	d, _ := mustParse(template).With(
		proposal.Edit{Pointer: "/attributes/nova/libvirt_type"},
		proposal.Edit{Pointer: "/attributes/nova/libvrt_type", Value: []byte(`"kvm"`)},
		proposal.Edit{Pointer: "/attributes/nova/overcommit", Value: []byte(`"16"`)},
	)
	fmt.Println(proposal.Validate(d, schema))

	_, err = proposal.CompileSchema([]byte(`{"properties":{"port":{"type":"int"}}}`), proposal.AttributesOnly, nil)
	fmt.Println(err)
	// Output:
	// proposal: invalid: 3 problems:
	//   /attributes/nova/libvirt_type: found nothing, expected one of "kvm", "qemu", "xen" (is "libvrt_type" a misspelling of it?)
	//   /attributes/nova/overcommit: found a string "16", expected a number (write 16 without quotes)
	//   /attributes/nova/libvrt_type: found unknown member "libvrt_type", expected no such member (did you mean "libvirt_type"?)
	// proposal: invalid schema: line 1, column 24: /properties/port/type: found a string "int", expected one of "array", "boolean", "integer", "null", "number", "object", "string" (did you mean "integer"?)
}

func ExampleDocument_Hash() {
	a := mustParse(template)
	b, _ := a.WithName("rack_1") // bookkeeping
	c, _ := a.With(proposal.Edit{Pointer: "/attributes/nova/overcommit", Value: []byte("16")})
	fmt.Println(a.Hash() == b.Hash(), a.Hash() == c.Hash())
	// Output:
	// true false
}

func ExampleMemoryStore() {
	ctx := context.Background()
	store := proposal.NewMemoryStore()
	d, _ := mustParse(template).WithName("default")
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

	number, err := store.Append(ctx, d.Key(), 0, proposal.Revision{Author: "ada", Message: "from the template", Time: at, Document: d})
	fmt.Println(number, err)
	d, _ = d.With(proposal.Edit{Pointer: "/description", Value: []byte(`"Compute of rack 1"`)})
	number, err = store.Append(ctx, d.Key(), number, proposal.Revision{Author: "bob", Message: "say which rack", Time: at, Document: d})
	fmt.Println(number, err)

	// Ada has not seen Bob's revision.
	_, err = store.Append(ctx, d.Key(), 1, proposal.Revision{Author: "ada", Time: at, Document: d})
	fmt.Println(errors.Is(err, proposal.ErrConflict), err)

	history, _ := store.List(ctx, d.Key(), 0, 10)
	for _, r := range history {
		fmt.Println(r.Number, r.Author, r.Message)
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
	// true append to nova/default after revision 1: proposal: conflict: there is a newer revision: the latest is 2
	// 2 bob say which rack
	// 1 ada from the template
}
