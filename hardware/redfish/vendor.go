package redfish

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// Vendor is what is known of one vendor's BMCs beyond the standard. Besides the two methods it
// may be a [Quirker], [Speller], [JobQueue], [POSTReader] or [ControllerReader]; what it is not
// goes by the standard. Vendors are values without state, safe for concurrent use.
//
// Config.Vendors are asked first, so an embedder can add one, or replace one of ours.
type Vendor interface {
	// Name is what Snapshot.BMC.Vendor shows.
	Name() string
	// Recognises reports whether a service is this vendor's.
	Recognises(Identity) bool
}

// Identity is what a service says about who made it.
type Identity struct {
	Vendor, Product     string   // of the service root (ServiceRoot v1.5 and later)
	Manufacturer, Model string   // of the system
	OEM                 []string // names under Oem of root and system
}

// mentions reports whether one of the fields that name a maker begins with a word, in any case.
func (i Identity) mentions(words ...string) bool {
	for _, text := range append([]string{i.Vendor, i.Manufacturer}, i.OEM...) {
		for _, word := range words {
			if strings.HasPrefix(strings.ToLower(text), word) {
				return true
			}
		}
	}
	return false
}

// Quirker is a Vendor with deviations that are plain facts.
type Quirker interface{ Quirks() Quirks }

// Quirks are facts about a vendor's BMCs. docs/hardware.md lists them with their evidence.
type Quirks struct {
	// SettingsMakeJobs: changed settings are carried out by a job that the next reset starts;
	// until it has ended no others are taken (quadsproject/quads#726).
	SettingsMakeJobs bool
	// PendingShownAsCurrent: Bios shows values that a job has yet to bring in force
	// (dsx-ai-factory/libredfish#25).
	PendingShownAsCurrent bool
	// VolumesAfterPOST: volumes can be seen and changed only once POST has found them
	// (HewlettPackard/ilo-ansible-collection#47).
	VolumesAfterPOST bool
	// BootOrderOnReset: a new boot order takes a reset.
	BootOrderOnReset bool
	// NoVolumeUsage: a volume cannot be marked as the one to boot from.
	NoVolumeUsage bool
}

// Speller is a Vendor that knows how intents are called in its BIOS.
type Speller interface {
	// Spellings of an intent, the preferred first. A machine's own attributes and registry
	// decide which of them it has.
	Spellings(hardware.Intent) []Spelling
}

// Spelling is an attribute that carries an intent.
type Spelling struct {
	// Attribute is the name, or with a * at its end how the name begins: Supermicro appends the
	// number of the setup question.
	Attribute string
	// Values of the attribute by intent value. Those that a machine's registry does not have are
	// left out; without a registry the value in effect must be one of them.
	Values map[string]any
}

// ErrNoQueue is returned by a JobQueue for a BMC that has none.
var ErrNoQueue = errors.New("redfish: no job queue of the vendor's own")

// JobQueue is a Vendor that keeps jobs outside TaskService and JobService.
type JobQueue interface {
	// Jobs lists the jobs; those that have ended may be among them. manager is the BMC's Manager
	// resource. ErrNoQueue: this BMC is like others in that.
	Jobs(ctx context.Context, s Service, manager gjson.Result) ([]hardware.Job, error)
	// CancelSettings removes the scheduled job of BIOS settings, and with it what it would do.
	CancelSettings(ctx context.Context, s Service, manager gjson.Result, job hardware.Job) error
}

// POSTReader is a Vendor that tells in its own way whether firmware is at work.
type POSTReader interface {
	// InPOST reads the system resource; known is false if it does not say.
	InPOST(system gjson.Result) (inPOST, known bool)
}

// ControllerReader is a Vendor whose storage controllers have peculiarities.
type ControllerReader interface {
	// ReadController corrects what was read of a Storage resource.
	ReadController(storage gjson.Result, c *hardware.Controller)
}

// Service is a connection to a BMC, for vendor modules. Paths are links that the service gave.
type Service interface {
	Get(ctx context.Context, uri string) (gjson.Result, error)
	// Members reads a collection whole, all pages, in one request where the service expands.
	Members(ctx context.Context, uri string) ([]gjson.Result, error)
	Post(ctx context.Context, uri string, body any) error
	Delete(ctx context.Context, uri string) error
}

// Get implements Service.
func (n *conn) Get(ctx context.Context, uri string) (gjson.Result, error) {
	d, err := n.get(ctx, uri)
	return d.Result, err
}

// Members implements Service.
func (n *conn) Members(ctx context.Context, uri string) ([]gjson.Result, error) {
	docs, err := n.allMembers(ctx, uri)
	out := make([]gjson.Result, len(docs))
	for i, d := range docs {
		out[i] = d.Result
	}
	return out, err
}

// Post implements Service.
func (n *conn) Post(ctx context.Context, uri string, body any) error {
	_, err := n.change(ctx, "POST", uri, body, nil)
	return err
}

// Delete implements Service.
func (n *conn) Delete(ctx context.Context, uri string) error {
	_, err := n.change(ctx, "DELETE", uri, nil, nil)
	return err
}

// Vendors returns the built-in ones, the generic last.
func Vendors() []Vendor {
	return []Vendor{dell{}, hpe{}, lenovo{}, supermicro{}, openbmc{}, generic{}}
}

// recognise finds the vendor of the system that was read.
func (n *conn) recognise(system gjson.Result) {
	i := Identity{Vendor: n.root.Get("Vendor").String(), Product: n.root.Get("Product").String(),
		Manufacturer: system.Get("Manufacturer").String(), Model: system.Get("Model").String()}
	for _, d := range []gjson.Result{n.root, system} {
		d.Get("Oem").ForEach(func(name, _ gjson.Result) bool { i.OEM = append(i.OEM, name.String()); return true })
	}
	for _, v := range slices.Concat(n.c.config.Vendors, Vendors()) {
		if v.Recognises(i) {
			n.vendor, n.quirks = v, Quirks{}
			if q, ok := v.(Quirker); ok {
				n.quirks = q.Quirks()
			}
			return
		}
	}
}

// generic is any BMC that keeps to the standard.
type generic struct{}

func (generic) Name() string             { return "generic" }
func (generic) Recognises(Identity) bool { return true }
