package storage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"
)

// A Note is what became of a key of an older document, and of all keys below it that have no
// note of their own. A key without a note stands in the Config where it stood. Notes hold no
// values: they may be secrets.
type Note struct {
	Path   string `json:"path"`         // JSON Pointer in the document
	To     string `json:"to,omitempty"` // JSON Pointer in the Config; "" = dropped
	Reason string `json:"reason"`
}

// String is the note as a sentence.
func (n Note) String() string {
	if n.To == "" {
		return fmt.Sprintf("%s was dropped: %s", n.Path, n.Reason)
	}
	return fmt.Sprintf("%s became %s: %s", n.Path, n.To, n.Reason)
}

// UpgradeConfig reads and checks a document of any of the forms that Crowbar had:
//
//	{"volumes": [{"backend_driver": "eqlx", "backend_name": "eqlx1", "eqlx": {…}}]}    since 2014: Config's own
//	{"volume": {"volume_type": "eqlx", "eqlx": {…}, "raw": {…}, …}}                    cinder 2012 to 2014
//	{"volume": {"default": {"volume_type": "eqlx", "eqlx": {…}, …}}}                   cinder 2014, for some weeks
//	{"volume": {"volume_type": "eqlx", "eqlx": {…}, "local_file": …, …}}               nova 2012
//
// The last three may also be given without the "volume" around them, and all of them as they
// stand in a proposal, {"attributes": {"cinder": {…}}}, or in its attributes, {"cinder": {…}}.
// The back end of a form that has no names is called "default", as Crowbar's own migration did.
// Options are given their later names. What became of each key is in the notes.
//
// All problems are returned at once, each with its JSON Pointer in the document; errors.Is
// finds ErrInvalid. The volume types raw and local, the disks of the node itself, are no back ends
// that other nodes could reach: they are dropped where there is another one, and else refused. What other drivers' options must be is
// checked by their Openers.
func UpgradeConfig(raw []byte) (Config, []Note, error) {
	var document map[string]json.RawMessage
	decoder := json.NewDecoder(bytes.NewReader(raw))
	err := decoder.Decode(&document)
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more after the end of the document")
		}
	}
	if err != nil {
		return Config{}, nil, fmt.Errorf(`%w: %s, expected {"volumes":[{"backend_driver":…,"backend_name":…}]}`, ErrInvalid, unreadable(raw, err))
	}
	u := &upgrade{config: Config{Volumes: []BackendConfig{}}}
	u.document(document)
	if err := u.config.check(u.at, nil); err != nil {
		u.problems = multierror.Append(u.problems, err)
	}
	if err := u.problems.ErrorOrNil(); err != nil {
		return Config{}, u.notes, err
	}
	return u.config, u.notes, nil
}

// unreadable says why a text is no JSON object and in which line, from 1.
func unreadable(raw []byte, err error) string {
	var syntax *json.SyntaxError
	var other *json.UnmarshalTypeError
	text := bytes.TrimRight(raw, " \t\r\n")
	switch {
	case len(text) == 0:
		return found(text)
	case errors.As(err, &other):
		return found(raw)
	case errors.As(err, &syntax):
		text = text[:min(max(syntax.Offset-1, 0), int64(len(text)))]
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		err = errors.New("it ends too early")
	default:
		return err.Error()
	}
	return fmt.Sprintf("line %d: %v", bytes.Count(text, []byte("\n"))+1, err)
}

type upgrade struct {
	config   Config
	at       []string // where each back end stood
	notes    []Note
	problems *multierror.Error
}

func (u *upgrade) dropped(path, reason string) { u.notes = append(u.notes, Note{path, "", reason}) }

func (u *upgrade) moved(path, to, reason string) { u.notes = append(u.notes, Note{path, to, reason}) }

func (u *upgrade) problem(path, format string, args ...any) {
	u.problems = problem(u.problems, path, format, args...)
}

// object returns an object's fields; nil with a problem noted if it is none.
func (u *upgrade) object(path string, raw json.RawMessage) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		u.problem(path, "%s, expected an object", found(raw))
		return nil
	}
	return fields
}

const (
	volumesKey  = "volumes"
	volumeKey   = "volume"
	typeKey     = "volume_type"
	defaultsKey = "volume_defaults"
	defaultName = "default"
)

// document finds the form.
func (u *upgrade) document(fields map[string]json.RawMessage) {
	_, cinder := fields["cinder"]
	_, nova := fields["nova"]
	switch {
	case has(fields, "attributes"):
		for _, key := range slices.Sorted(maps.Keys(fields)) {
			if key != "attributes" {
				u.dropped("/"+pointer(key), "it is the proposal's, not about back ends")
			}
		}
		u.barclamps("/attributes", u.object("/attributes", fields["attributes"]))
	case has(fields, typeKey):
		u.block(defaultName, "", fields)
	case !has(fields, volumesKey) && !has(fields, volumeKey) && (cinder || nova):
		u.barclamps("", fields)
	default:
		for _, key := range slices.Sorted(maps.Keys(fields)) {
			if at := "/" + pointer(key); !u.attribute(at, key, fields[key]) {
				u.problem(at, "unknown key, expected %q", volumesKey)
			}
		}
	}
}

func has(fields map[string]json.RawMessage, key string) bool {
	_, there := fields[key]
	return there
}

// barclamps reads what stands in a proposal's attributes.
func (u *upgrade) barclamps(at string, attributes map[string]json.RawMessage) {
	any := false
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		at := at + "/" + pointer(name)
		if name != "cinder" && name != "nova" {
			u.dropped(at, "it is another barclamp's")
			continue
		}
		fields := u.object(at, attributes[name])
		before := len(u.config.Volumes)
		for _, key := range slices.Sorted(maps.Keys(fields)) {
			at := at + "/" + pointer(key)
			if u.attribute(at, key, fields[key]) {
				any = any || key != defaultsKey
				continue
			}
			switch key {
			case hostKeyPolicy: // below, when it is known whom it concerns
			case "use_multipath":
				u.dropped(at, "each machine says it when it connects")
			case "use_multi_backend":
				u.dropped(at, "there may always be several back ends")
			default:
				u.dropped(at, "it is not about back ends")
			}
		}
		if policy, there := fields[hostKeyPolicy]; there {
			u.hostKeyPolicy(at+"/"+hostKeyPolicy, policy, before)
		}
	}
	if !any {
		u.problem(at, "neither %s nor %s in cinder or nova: no back ends", volumesKey, volumeKey)
	}
}

const hostKeyPolicy = "strict_ssh_host_key_policy"

// hostKeyPolicy gives what was one option of Cinder for all back ends to those from first on
// that speak SSH.
func (u *upgrade) hostKeyPolicy(at string, policy json.RawMessage, first int) {
	given := false
	for i, b := range u.config.Volumes {
		var options map[string]json.RawMessage
		if i < first || b.Driver != "eqlx" || json.Unmarshal(b.Options, &options) != nil || options == nil || has(options, hostKeyPolicy) {
			continue
		}
		options[hostKeyPolicy] = policy
		if raw, err := json.Marshal(options); err == nil {
			u.config.Volumes[i].Options, given = raw, true
			u.moved(at, fmt.Sprintf("/%s/%d/eqlx/%s", volumesKey, i, hostKeyPolicy), "each back end has its own")
		}
	}
	if !given {
		u.dropped(at, "no back end needs it")
	}
}

// attribute reads what is about back ends; false: it is not.
func (u *upgrade) attribute(at, key string, raw json.RawMessage) bool {
	switch key {
	case volumesKey:
		u.list(at, raw)
	case volumeKey:
		u.single(at, raw)
	case defaultsKey:
		u.dropped(at, "it is what a form offers for new back ends; none uses it")
	default:
		return false
	}
	return true
}

// list reads the form since 2014.
func (u *upgrade) list(at string, raw json.RawMessage) {
	var entries []json.RawMessage
	if json.Unmarshal(raw, &entries) != nil || entries == nil {
		u.problem(at, "%s, expected an array", found(raw))
		return
	}
	if at != "/"+volumesKey {
		u.moved(at, "/"+volumesKey, "it is taken out of the proposal")
	}
	own := map[string]string{} // back ends of the node's own disks, by where they stand
	for i, entry := range entries {
		at := fmt.Sprintf("%s/%d", at, i)
		var fields map[string]json.RawMessage
		if json.Unmarshal(entry, &fields) != nil {
			u.problem(at, "%s, expected an object", found(entry))
			continue
		}
		driver, ok := u.text(at, driverKey, fields)
		name, named := u.text(at, nameKey, fields)
		for _, key := range slices.Sorted(maps.Keys(fields)) {
			if ok && key != driverKey && key != nameKey && key != driver {
				u.problem(at+"/"+pointer(key), "unknown key, expected %q", driver)
			}
		}
		switch {
		case ok && ownDisks(driver):
			own[at] = driver
		case ok && named:
			if n := len(u.config.Volumes); n != i {
				u.moved(at, fmt.Sprintf("/%s/%d", volumesKey, n), "it has another place in the list")
			}
			u.add(at, name, driver, fields)
		}
	}
	for _, at := range slices.Sorted(maps.Keys(own)) {
		if len(u.config.Volumes) == 0 {
			u.refuse(at+"/"+driverKey, own[at])
		} else {
			u.dropped(at, "LVM on the node's own disks is no back end here; Cinder keeps these volumes")
		}
	}
}

func (u *upgrade) text(at, key string, fields map[string]json.RawMessage) (text string, ok bool) {
	raw := fields[key]
	if err := json.Unmarshal(raw, &text); err != nil || found(raw) != "a string" {
		u.problem(at+"/"+key, "%s, expected a string", found(raw))
		return "", false
	}
	return text, true
}

// ownDisks are the volume types of the node's own disks.
func ownDisks(driver string) bool { return driver == "raw" || driver == "local" }

// refuse says why they are no back end.
func (u *upgrade) refuse(at, driver string) {
	u.problem(at, "%q: LVM on the node's own disks (nova-volume, cinder-volume) is no back end here, "+
		"where any node must reach a volume; use eqlx or rbd, and leave these volumes to Cinder", driver)
}

// single reads the forms before 2014.
func (u *upgrade) single(at string, raw json.RawMessage) {
	fields := u.object(at, raw)
	if fields == nil {
		return
	}
	if has(fields, typeKey) {
		u.block(defaultName, at, fields)
		return
	}
	named := map[string]map[string]json.RawMessage{}
	for key, value := range fields {
		var block map[string]json.RawMessage
		if json.Unmarshal(value, &block) == nil && has(block, typeKey) {
			named[key] = block
		}
	}
	if len(named) == 0 || len(named) < len(fields) {
		u.problem(at+"/"+typeKey, "nothing, expected the volume type, such as %q", "eqlx")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		u.block(name, at+"/"+pointer(name), named[name])
	}
}

// block reads one volume_type with the options of all types.
func (u *upgrade) block(name, at string, fields map[string]json.RawMessage) {
	driver, ok := u.text(at, typeKey, fields)
	if !ok {
		return
	}
	if driver == "" || driver == driverKey || driver == nameKey {
		u.problem(at+"/"+typeKey, "%q, expected a volume type, such as %q", driver, "eqlx")
		return
	}
	if ownDisks(driver) {
		u.refuse(at+"/"+typeKey, driver)
		return
	}
	u.moved(at+"/"+typeKey, fmt.Sprintf("/%s/%d/%s", volumesKey, len(u.config.Volumes), driverKey), "each back end names its driver")
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		at, value := at+"/"+pointer(key), fields[key]
		switch key {
		case typeKey, driver:
		case "use_cinder":
			if string(bytes.TrimSpace(value)) == "true" {
				u.problem(at, "true: these volumes are in the cinder proposal; take that one")
			} else {
				u.dropped(at, "what is here is used")
			}
		case "volume_backend_name":
			u.dropped(at, "the back end's name is the key it stood under")
		case "volume_name", "nova_raw_method", "nova_volume_disks", "cinder_raw_method", "local_file", "local_name", "local_size":
			u.dropped(at, "it is of the volume types raw and local, which were not chosen")
		default:
			if found(value) != "an object" {
				u.problem(at, "unknown key")
				continue
			}
			u.dropped(at, "it is of a volume type that was not chosen")
		}
	}
	u.add(at, name, driver, fields)
}

// add adds a back end whose options are the fields' value for the driver.
func (u *upgrade) add(at, name, driver string, fields map[string]json.RawMessage) {
	to := fmt.Sprintf("/%s/%d", volumesKey, len(u.config.Volumes))
	raw, here := fields[driver], at+"/"+pointer(driver)
	if there := to + "/" + pointer(driver); here != there && len(raw) > 0 && !strings.HasSuffix(here, there) {
		u.moved(here, there, "these are the options of the driver that was chosen")
	}
	u.config.Volumes = append(u.config.Volumes, BackendConfig{Driver: driver, Name: name, Options: u.options(here, to, driver, raw)})
	u.at = append(u.at, at)
}

// An option is what became of one that a driver once had.
type option struct {
	now    string // "" = dropped
	reason string
}

// former are the options of Crowbar's eqlx and rbd that have another name now, or none.
func former(driver string) map[string]option {
	const renamed = "Cinder renamed it in 2015"
	switch driver {
	case "eqlx":
		return map[string]option{
			"eqlx_cli_timeout":   {"ssh_conn_timeout", renamed},
			"eqlx_use_chap":      {"use_chap_auth", renamed},
			"eqlx_chap_login":    {"chap_username", renamed},
			"eqlx_chap_password": {"chap_password", renamed},
		}
	case "rbd":
		return map[string]option{
			"use_crowbar":   {"", "who runs the cluster is the ceph barclamp's matter; config_file and user say how to reach it"},
			"use_ses":       {"", "who runs the cluster is no matter; config_file and user say how to reach it"},
			"admin_keyring": {"", "the driver never is the administrator; it needs the keyring of its user alone"},
			"caps":          {"", "capabilities are given to the user on the cluster, with ceph auth caps"},
		}
	}
	return nil
}

// options gives options their present names.
func (u *upgrade) options(at, to, driver string, raw json.RawMessage) json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil || fields == nil {
		return raw // check tells what is wrong with it
	}
	to += "/" + pointer(driver)
	changed := false
	for old, is := range sorted(former(driver)) {
		value, there := fields[old]
		if !there {
			continue
		}
		changed = true
		delete(fields, old)
		if is.now == "" {
			u.dropped(at+"/"+old, is.reason)
			continue
		}
		if other, both := fields[is.now]; both && !bytes.Equal(bytes.TrimSpace(other), bytes.TrimSpace(value)) {
			u.problem(at+"/"+old, "is the former name of %s, which is there too with another value; keep one of them", is.now)
			continue
		}
		fields[is.now] = value
		u.moved(at+"/"+old, to+"/"+is.now, is.reason)
	}
	if !changed {
		return raw
	}
	out, err := json.Marshal(fields)
	if err != nil {
		u.problem(at, "%v", err)
	}
	return out
}

// sorted goes through a map in the order of its keys.
func sorted[V any](m map[string]V) func(yield func(string, V) bool) {
	return func(yield func(string, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}
