package proposal_test

import (
	"errors"
	"fmt"

	"github.com/crowbarkit/crowbarkit/proposal"
)

func ExampleMerge() {
	base := mustParse(template)
	ours, _ := base.Set("libvirt_type", []byte(`"qemu"`))
	ours, _ = ours.WithElements(map[string][]string{"nova-compute-kvm": {"node7"}})
	theirs, _ := base.Set("libvirt_type", []byte(`"xen"`))
	theirs, _ = theirs.Set("overcommit", []byte("4.0"))
	theirs, _ = theirs.WithElements(map[string][]string{"nova-compute-kvm": {"node8"}})

	_, err := proposal.Merge(base, ours, theirs, nil)
	fmt.Println(err)

	var conflict *proposal.MergeError
	if !errors.As(err, &conflict) {
		return
	}
	merged, err := proposal.Merge(base, ours, theirs, &proposal.MergeOptions{
		Resolve: map[string]proposal.Side{conflict.Conflicts[0].Path: proposal.SideTheirs},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(merged.Get("libvirt_type"), merged.Get("overcommit").Raw, merged.Deployment().Elements)
	// Output:
	// proposal: conflict in 1 value:
	//   /attributes/nova/libvirt_type: changed-both: base "kvm", ours "qemu", theirs "xen"
	// xen 4.0 map[nova-compute-kvm:[node7 node8]]
}

func ExampleDiff_Summary() {
	a, _ := mustParse(template).WithElements(map[string][]string{"nova-compute-kvm": {"node3", "node7"}})
	b, _ := a.Set("libvirt_type", []byte(`"qemu"`))
	b, _ = b.WithElements(map[string][]string{"nova-controller": {"node7", "node9"}, "nova-compute-kvm": {"node3"}})
	diff, err := proposal.Compare(a, b)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(diff.Summary())
	fmt.Print(diff.Text())
	// Output:
	// nova.libvirt_type; nova-compute-kvm − 1, nova-controller + 2
	// nova.libvirt_type: "kvm" → "qemu"
	// nova-compute-kvm: − node7 (to nova-controller)
	// nova-controller: + node7 (from nova-compute-kvm), node9
}

func ExampleDocument_Set() {
	d, err := mustParse(template).Set("volume.eqlx.san_ip", []byte(`"10.0.0.5"`))
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err = d.Delete("overcommit")
	fmt.Println(d.Attributes().Raw, err)
	fmt.Println(d.Position(d.AttributePointer("volume")))
	// Output:
	// { "libvirt_type": "kvm", "volume": { "eqlx": { "san_ip": "10.0.0.5" } } } <nil>
	// 4 52 true
}
