package proposal

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// A Document is one proposal document as Crowbar wrote it: id, description, attributes and
// deployment of one barclamp. It is immutable and keeps the text as read, so that every value
// survives: key order, number text (1.0, 1e3, integers of 20 digits), nulls, unicode. The zero
// value is not a document; Parse and With make them.
type Document struct {
	tree                                  // the source and where its values lie
	barclamp               string         // the key of deployment
	attributes, deployment int            // value of attributes.<barclamp> (-1: none) and deployment.<barclamp>
	bookkeeping            []int          // values that are no content, ascending
	id, description        string         // as decoded
	roles                  []string       // see Roles
	secrets                map[int]string // values that are secrets, and what is shown in their place
}

var (
	_ json.Marshaler   = (*Document)(nil)
	_ json.Unmarshaler = (*Document)(nil)
)

// Parse reads one document. It fails with *SyntaxError at the first place that is not strict
// JSON or exceeds MaxBytes or MaxDepth, else with a *ValidationError listing every value that
// has not the shape of a proposal:
//
//   - id is a string; description, if there, too
//   - attributes is an object; its member named as the barclamp, if there, too
//   - deployment is an object with one member, an object, whose name is the barclamp
//   - in it, where present: elements and element_states map roles to lists of strings,
//     element_order is a list of lists of strings, element_run_list_order maps roles to
//     integers, config holds environment, mode (strings), transitions (boolean) and
//     transition_list (list of strings), schema-revision is an integer
//
// There null counts as absent and an empty list as an empty map, since real documents have
// both. All else is kept and not looked at. Whether the parts fit together is Validate's
// question: a draft may be incomplete.
func Parse(data []byte) (*Document, error) {
	t, err := scan(string(data))
	if err != nil {
		return nil, err
	}
	return newDocument(t)
}

// Bytes returns the text as it was read (and edited), white space and secrets included.
func (d *Document) Bytes() []byte { return []byte(d.src) }

// MarshalJSON returns the Bytes of Redacted: whatever encodes a structure that holds a document (a
// log handler, an API) shows no secret that is marked in it. Only Bytes has them. Package
// encoding/json then drops white space and writes <, > and & as escapes, which leaves every value
// as it is.
func (d *Document) MarshalJSON() ([]byte, error) { return d.Redacted().Bytes(), nil }

// UnmarshalJSON is Parse into a new Document, for structures that hold one. Never call it on a
// Document in use.
func (d *Document) UnmarshalJSON(data []byte) error {
	parsed, err := Parse(data)
	if err != nil {
		return err
	}
	*d = *parsed
	return nil
}

// String returns the key, "nova/default", and never content.
func (d *Document) String() string { return d.Key().String() }

// ID returns id: bc-nova-default, or nova-default from SUSE's Crowbar.
func (d *Document) ID() string { return d.id }

// Barclamp returns the name of the barclamp that the document configures.
func (d *Document) Barclamp() string { return d.barclamp }

// Name returns the proposal's name, see NameFromID.
func (d *Document) Name() string { return NameFromID(d.barclamp, d.id) }

// Key returns Barclamp and Name. It is as the document has it; Key.Check tells whether it is valid.
func (d *Document) Key() Key { return Key{Barclamp: d.barclamp, Name: d.Name()} }

// Description returns description, "" if there is none.
func (d *Document) Description() string { return d.description }

// IsTemplate tells whether the id is a template's: template-nova or bc-template-nova.
func (d *Document) IsTemplate() bool { return isTemplateID(d.barclamp, d.id) }

// Attributes returns attributes.<barclamp>; its Exists is false if there is none.
func (d *Document) Attributes() gjson.Result {
	if d.attributes < 0 {
		return gjson.Result{}
	}
	return gjson.Parse(d.raw(d.attributes))
}

// Get returns what a gjson path names below attributes.<barclamp>: Get("volume.eqlx.san_ip").
// A dot in a key is written `\.`.
func (d *Document) Get(path string) gjson.Result {
	if d.attributes < 0 {
		return gjson.Result{}
	}
	return gjson.Get(d.raw(d.attributes), path)
}

// Roles returns every role that the document knows: those of element_order by first
// appearance, then those only in element_states or element_run_list_order, by name.
func (d *Document) Roles() []string { return slices.Clone(d.roles) }

// Deployment is deployment.<barclamp> as read. Maps are never nil; what the document has not
// is empty.
type Deployment struct {
	SchemaRevision int                 // schema-revision: version of the template's format
	Elements       map[string][]string // elements: role → nodes (or cluster:<name>, remotes:<name>)
	ElementOrder   [][]string          // element_order: batches in sequence, roles of one in parallel
	ElementStates  map[string][]string // element_states: role → node states in which it is active
	RunListOrder   map[string]int      // element_run_list_order: role → priority in the run list
	Config         Config              // config
}

// Config is deployment.<barclamp>.config.
type Config struct {
	Environment    string   // environment: <barclamp>-config-<name>
	Mode           string   // mode: always "full" in Crowbar
	Transitions    bool     // transitions: whether the barclamp hooks node states
	TransitionList []string // transition_list: which states, "all" for every one
}

// Deployment returns a fresh copy, the caller's to change.
func (d *Document) Deployment() Deployment {
	at := func(name string) int { return d.member(d.deployment, name) }
	v := Deployment{
		Elements:      d.textsByName(at(keyElements)),
		ElementOrder:  d.batches(at(keyElementOrder)),
		ElementStates: d.textsByName(at(keyElementStates)),
		RunListOrder:  make(map[string]int),
	}
	v.SchemaRevision, _ = d.integer(at(keySchemaRevision))
	if order := at(keyRunListOrder); order >= 0 && d.kind(order) == isObject {
		for c := range d.children(order) {
			v.RunListOrder[d.name(c)], _ = d.integer(c)
		}
	}
	if c := at(keyConfig); c >= 0 {
		v.Config.Environment = d.optionalText(d.member(c, keyEnvironment))
		v.Config.Mode = d.optionalText(d.member(c, "mode"))
		t := d.member(c, "transitions")
		v.Config.Transitions = t >= 0 && d.raw(t) == "true"
		v.Config.TransitionList = d.texts(d.member(c, "transition_list"))
	}
	return v
}

// AttributePointer returns the JSON Pointer of a dotted path below attributes.<barclamp>, as
// Edit wants it: volume.eqlx.san_ip → /attributes/nova/volume/eqlx/san_ip. `\.` and `\\` stand
// for the characters themselves. Unlike Get it takes no gjson wildcards or queries, so that
// it always names one place; "" names the attributes as a whole.
func (d *Document) AttributePointer(path string) string {
	pointer := pointerTo("/attributes", d.barclamp)
	if path == "" {
		return pointer
	}
	var token strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\' && i+1 < len(path):
			i++
			token.WriteByte(path[i])
		case c == '.':
			pointer = pointerTo(pointer, token.String())
			token.Reset()
		default:
			token.WriteByte(c)
		}
	}
	return pointerTo(pointer, token.String())
}
