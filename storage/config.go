package storage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"
)

// A Config is the back ends of a Manager, in Crowbar's form:
//
//	{"volumes": [{"backend_driver": "eqlx", "backend_name": "eqlx1", "eqlx": {…}}]}
//
// What is not in the document is set by whoever embeds the Manager.
type Config struct {
	Volumes []BackendConfig `json:"volumes"`

	// Deps goes to every driver; its Logger is the Manager's too.
	Deps Deps `json:"-"`
	// Concurrency is how many calls a back end gets at once, 0 = 4: an EqualLogic group has
	// few sessions. Long calls are at most half of them, but one there may be.
	Concurrency int `json:"-"`
	// Timeout is how long one call may take, 0 = 5 minutes. LongTimeout is that of the long
	// calls (see Backend), 0 = 24 hours; those of them that move data are ended when nothing
	// moves for StallTimeout, 0 = 5 minutes. All are real time.
	Timeout      time.Duration `json:"-"`
	LongTimeout  time.Duration `json:"-"`
	StallTimeout time.Duration `json:"-"`
	// Observe gets every call of a Backend when it ends, in the goroutine of its caller: it
	// must be quick and safe for concurrent use. nil = nobody looks.
	Observe func(Observation) `json:"-"`
}

// A BackendConfig is one back end. Options is the value of the key that is named like the
// driver; absent is {}.
type BackendConfig struct {
	Driver  string // backend_driver
	Name    string // backend_name, a volume ID in form, unique
	Options json.RawMessage
}

// LogValue has the names of the options and none of their values: some are secrets.
func (b BackendConfig) LogValue() slog.Value {
	var options map[string]json.RawMessage
	_ = json.Unmarshal(b.Options, &options) // what is no object has no names
	return slog.GroupValue(slog.String(driverKey, b.Driver), slog.String(nameKey, b.Name),
		slog.Any("options", slices.Sorted(maps.Keys(options))))
}

// String is LogValue as text.
func (b BackendConfig) String() string { return b.LogValue().String() }

// GoString is String.
func (b BackendConfig) GoString() string { return b.String() }

// LogValue has the back ends without the values of their options.
func (c Config) LogValue() slog.Value {
	all := make([]slog.Attr, 0, len(c.Volumes))
	for _, b := range c.Volumes {
		all = append(all, slog.Any(b.Name, b))
	}
	return slog.GroupValue(all...)
}

// String is LogValue as text.
func (c Config) String() string { return fmt.Sprint(c.Volumes) }

// GoString is String.
func (c Config) GoString() string { return c.String() }

const (
	driverKey = "backend_driver"
	nameKey   = "backend_name"
)

// UnmarshalJSON is ParseConfig; what is set by whoever embeds the Manager stays.
func (c *Config) UnmarshalJSON(raw []byte) error {
	read, err := ParseConfig(raw)
	if err == nil {
		c.Volumes = read.Volumes
	}
	return err
}

// MarshalJSON writes Crowbar's form.
func (b BackendConfig) MarshalJSON() ([]byte, error) {
	options := b.Options
	if len(options) == 0 {
		options = json.RawMessage("{}")
	}
	return json.Marshal(map[string]any{driverKey: b.Driver, nameKey: b.Name, b.Driver: options})
}

// ParseConfig is UpgradeConfig without the notes.
func ParseConfig(raw []byte) (Config, error) {
	config, _, err := UpgradeConfig(raw)
	return config, err
}

// check finds all problems, those with the drivers only if there are openers. at are the JSON
// Pointers of the back ends in the document that was read.
func (c *Config) check(at []string, openers map[string]Opener) error {
	var problems *multierror.Error
	names := map[string]string{}
	for i, b := range c.Volumes {
		at := at[i]
		switch {
		case b.Driver == "" || b.Driver == driverKey || b.Driver == nameKey:
			problems = problem(problems, at+"/"+driverKey, "%q, expected the name of a driver", b.Driver)
		case openers != nil && openers[b.Driver] == nil:
			problems = problem(problems, at+"/"+driverKey, "%q, expected one of: %s", b.Driver,
				strings.Join(slices.Sorted(maps.Keys(openers)), ", "))
		}
		if CheckID(b.Name) != nil {
			problems = problem(problems, at+"/"+nameKey, "%q, expected [A-Za-z0-9._-]{1,%d} beginning with a letter or digit", b.Name, MaxID)
		} else if first, twice := names[b.Name]; twice {
			problems = problem(problems, at+"/"+nameKey, "%q is the name of %s too; give each back end a name of its own", b.Name, first)
		} else {
			names[b.Name] = at
		}
		if options := bytes.TrimSpace(b.Options); len(options) > 0 && (options[0] != '{' || !json.Valid(options)) {
			problems = problem(problems, at+"/"+pointer(b.Driver), "%s, expected an object", found(options))
		}
	}
	return problems.ErrorOrNil()
}

func problem(problems *multierror.Error, path, format string, args ...any) *multierror.Error {
	return multierror.Append(problems, fmt.Errorf("%w: %s: %s", ErrInvalid, path, fmt.Sprintf(format, args...)))
}

// found names the kind of a JSON value; the value itself may be a secret.
func found(raw json.RawMessage) string {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// pointer escapes a key for a JSON Pointer (RFC 6901).
func pointer(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// An Opener makes the Driver of one back end from its options. It may talk to the back end,
// but must not need it: a back end that is down is for Check to say. All problems in the
// options are returned at once, as ErrInvalid, with paths relative to them. If the Driver is
// an io.Closer the Manager closes it. If it has a method Namespace() string, that says within what
// the names of its volumes are unique, and Open warns of two back ends with the same.
type Opener func(ctx context.Context, backend string, config json.RawMessage, deps Deps) (Driver, error)

// Open makes a Manager. openers are the drivers it may use, by name. All problems of config
// and options are returned at once, each with its JSON Pointer; nothing stays open then.
func Open(ctx context.Context, c Config, openers map[string]Opener) (*Manager, error) {
	if openers == nil {
		openers = map[string]Opener{}
	}
	at := make([]string, len(c.Volumes))
	for i := range at {
		at[i] = fmt.Sprintf("/volumes/%d", i)
	}
	if err := c.check(at, openers); err != nil {
		return nil, err
	}
	if c.Deps.Logger == nil {
		c.Deps.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Concurrency <= 0 {
		c.Concurrency = 4
	}
	for timeout, standard := range map[*time.Duration]time.Duration{
		&c.Timeout: 5 * time.Minute, &c.LongTimeout: 24 * time.Hour, &c.StallTimeout: 5 * time.Minute,
	} {
		if *timeout <= 0 {
			*timeout = standard
		}
	}
	m := &Manager{}
	spaces := map[string]string{} // back ends by where the names of their volumes are unique
	var problems *multierror.Error
	for i, b := range c.Volumes {
		options := b.Options
		if len(options) == 0 {
			options = json.RawMessage("{}")
		}
		driver, err := openers[b.Driver](ctx, b.Name, options, c.Deps)
		if err != nil {
			problems = multierror.Append(problems, fmt.Errorf("/volumes/%d/%s: %w", i, pointer(b.Driver), err))
			continue
		}
		if d, ok := driver.(interface{ Namespace() string }); ok {
			if first, twice := spaces[d.Namespace()]; twice {
				c.Deps.Logger.Warn("two back ends have the same volumes: names are the array's or pool's, whatever else differs; give each a volume_name_template of its own",
					"backend", b.Name, "other", first, "names", d.Namespace())
			} else {
				spaces[d.Namespace()] = b.Name
			}
		}
		m.backends = append(m.backends, newBackend(b.Name, driver, c))
	}
	if err := problems.ErrorOrNil(); err != nil {
		return nil, multierror.Append(problems, m.Close()).ErrorOrNil()
	}
	return m, nil
}
