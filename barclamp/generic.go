package barclamp

import (
	"context"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// A Generic stands in for a barclamp that nobody registered: its roles are those of the
// document's element_order, without constraints and without a schema. It places no nodes,
// because it knows nothing of what the roles do; the operator's elements are applied as they are.
type Generic struct {
	info Info
}

var _ Barclamp = (*Generic)(nil)

// NewGeneric makes a barclamp from a document alone.
func NewGeneric(d *proposal.Document) *Generic {
	info := Info{
		Name:          d.Barclamp(),
		Description:   d.Description(),
		RunOrder:      1000,
		Template:      d,
		AllowMultiple: true,
	}
	for _, role := range d.Roles() {
		info.Roles = append(info.Roles, Role{Name: role})
	}
	return &Generic{info: info}
}

// Info describes the document's barclamp.
func (g *Generic) Info() Info { return g.info }

// Propose leaves every role empty and says so.
func (g *Generic) Propose(context.Context, Site) (*Draft, error) {
	d := &Draft{}
	for _, r := range g.info.Roles {
		d.Explain(r.Name, "", "the barclamp "+g.info.Name+" is not registered, so no nodes can be suggested")
	}
	return d, nil
}
