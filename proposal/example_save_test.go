package proposal_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// saved stores a template as the first revision of nova/default, and a change as the second.
func saved(ctx context.Context) (proposal.Store, proposal.Key, time.Time) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	store := proposal.NewMemoryStore()
	first, _ := mustParse(template).WithName("default")
	_, _ = proposal.Save(ctx, store, first.Key(), 0, proposal.Revision{Author: "ada", Time: at, Document: first}, nil)
	second, _ := first.Set("libvirt_type", []byte(`"qemu"`))
	_, _ = proposal.Save(ctx, store, first.Key(), 1, proposal.Revision{Author: "ada", Time: at, Document: second}, nil)
	return store, first.Key(), at
}

func ExampleSave() {
	ctx := context.Background()
	store, key, at := saved(ctx) // revisions 1 and 2

	// Bob still has revision 1 before him. What he changed is merged into revision 2.
	first, _ := store.Get(ctx, key, 1)
	bobs, _ := first.Document.Set("overcommit", []byte("4.0"))
	s, err := proposal.Save(ctx, store, key, 1, proposal.Revision{Author: "bob", Time: at, Document: bobs}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Revision, s.Merged, s.Revision.Document.Get("libvirt_type"), s.Revision.Document.Get("overcommit").Raw)

	// What contradicts it is not.
	bobs, _ = first.Document.Set("libvirt_type", []byte(`"xen"`))
	_, err = proposal.Save(ctx, store, key, 1, proposal.Revision{Author: "bob", Time: at, Document: bobs}, nil)
	fmt.Println(errors.Is(err, proposal.ErrConflict), err)
	// Output:
	// nova/default revision 3 by bob [2] qemu 4.0
	// true save nova/default, made from revision 1, after revision 3: proposal: conflict in 1 value:
	//   /attributes/nova/libvirt_type: changed-both: base "kvm", ours "qemu", theirs "xen"
}

func ExampleRollback() {
	ctx := context.Background()
	store, key, at := saved(ctx) // revisions 1 and 2
	s, undone, err := proposal.Rollback(ctx, store, key, 1, proposal.Revision{Author: "ada", Time: at})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Revision, "-", s.Revision.Message)
	fmt.Print(undone.Text())
	// Output:
	// nova/default revision 3 by ada - roll back to revision 1
	// nova.libvirt_type: "qemu" → "kvm"
}

func ExampleSummarize() {
	a, _ := mustParse(template).WithElements(map[string][]string{"nova-compute-kvm": {"node3", "node7"}})
	b, _ := a.Set("libvirt_type", []byte(`"qemu"`))
	b, _ = b.WithElements(map[string][]string{"nova-controller": {"node7"}, "nova-compute-kvm": {"node3"}})
	fmt.Println(proposal.Summarize(a, b))
	// Output:
	// nova.libvirt_type; nova-compute-kvm − 1, nova-controller + 1 <nil>
}
