// Package swift is the barclamp that places OpenStack Object Storage.
//
// Roles, in the order in which they are applied (storage again once the ring is there):
//
//   - swift-storage: at least two nodes.
//   - swift-ring-compute: exactly one node; it computes the rings for all.
//   - swift-proxy: at least one node.
//   - swift-dispersion: at most one node; it measures how well replicas are spread.
//
// What is suggested: storage on the nodes intended for it, else on those with six disks or more;
// all other roles on the first of them. Crowbar put those on the controller, but a node with
// roles of both Nova and Swift would need two opposite sets of hardware.
package swift

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/internal/intent"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// Name of the barclamp.
const Name = "swift"

// Roles.
const (
	RoleStorage    = "swift-storage"
	RoleRing       = "swift-ring-compute"
	RoleProxy      = "swift-proxy"
	RoleDispersion = "swift-dispersion"
)

const minStorage = 2

//go:embed template.json
var template []byte

//go:embed schema.json
var schema []byte

// Barclamp is swift.
type Barclamp struct {
	template *proposal.Document
}

var (
	_ barclamp.Barclamp  = (*Barclamp)(nil)
	_ barclamp.Validator = (*Barclamp)(nil)
)

// New makes the barclamp.
func New() *Barclamp {
	d, _ := proposal.Parse(template) // a Registry refuses a template that is none
	return &Barclamp{template: d}
}

// Info describes the barclamp.
func (b *Barclamp) Info() barclamp.Info {
	return barclamp.Info{
		Name:        Name,
		Version:     "1.0",
		Description: "OpenStack Object Storage: keeps objects on many disks",
		Roles: []barclamp.Role{
			{Name: RoleStorage, Constraint: barclamp.Constraint{Minimum: minStorage}},
			{Name: RoleRing, Constraint: barclamp.Constraint{Minimum: 1, Count: 1}},
			{Name: RoleProxy, Constraint: barclamp.Constraint{Minimum: 1}},
			{Name: RoleDispersion, Constraint: barclamp.Constraint{Count: 1}},
		},
		RunOrder: 80,
		Template: b.template,
		Schema:   schema,
	}
}

// Propose places storage and, on its first node, the rest.
func (b *Barclamp) Propose(_ context.Context, s barclamp.Site) (*barclamp.Draft, error) {
	d := &barclamp.Draft{}
	storage := slices.DeleteFunc(barclamp.Candidates(s), func(n barclamp.Node) bool { return intent.Storage(n) == "" })
	if slices.ContainsFunc(storage, intent.Stated) {
		storage = slices.DeleteFunc(storage, func(n barclamp.Node) bool { return !intent.Stated(n) })
	}
	for _, n := range storage {
		d.Place(RoleStorage, n.Name, intent.Storage(n))
	}
	if n := len(storage); n < minStorage {
		d.Explain(RoleStorage, "", fmt.Sprintf("lacks nodes: the site has %d for storage, %d are needed", n, minStorage))
	}
	for _, role := range []string{RoleRing, RoleProxy, RoleDispersion} {
		if len(storage) == 0 {
			d.Explain(role, "", "lacks nodes: it goes with the first storage node")
			continue
		}
		d.Place(role, storage[0].Name, "the first storage node: it has no role that wants other hardware")
	}
	if n := len(storage); n > 0 {
		d.Set("/replicas", min(3, n))
		d.Set("/zones", min(2, n))
		d.Set("/cluster_hash", clusterHash(storage))
	}
	return d, nil
}

// clusterHash salts the placement of objects and must be the same on all nodes for ever. It
// follows from the storage nodes because Propose is pure; that keeps clusters apart. An operator
// who fears that clients choose names which hash to one partition sets a secret one.
func clusterHash(nodes []barclamp.Node) string {
	h := sha256.New()
	for _, n := range nodes {
		fmt.Fprintf(h, "%q\n", n.Name)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Validate checks that the rings can be built: replicas and zones against the storage nodes.
func (b *Barclamp) Validate(_ context.Context, _ barclamp.Site, d *proposal.Document) error {
	var problems barclamp.Problems
	whole := func(name string, least int64) (int64, bool) {
		v := d.Get(name)
		ok := v.Type == gjson.Number && v.Num == float64(v.Int()) && v.Int() >= least
		if !ok {
			text := v.Raw
			if !v.Exists() {
				text = "nothing"
			}
			problems.Add(d.AttributePointer(name), text, fmt.Sprintf("an integer of at least %d", least), "")
		}
		return v.Int(), ok
	}
	nodes := int64(len(d.Deployment().Elements[RoleStorage]))
	whole("replicas", 1)
	if zones, ok := whole("zones", 1); ok && zones > nodes && nodes > 0 {
		problems.Add(d.AttributePointer("zones"), fmt.Sprint(zones), fmt.Sprintf("at most %d, the number of nodes in %s", nodes, RoleStorage),
			"a zone without nodes holds no replicas")
	}
	return problems.Err()
}
