package cli

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx"
	"github.com/crowbarkit/crowbarkit/storage/rbd"
)

// openers are the drivers of this program, by name. Only the back end that was named is opened,
// so that another one that cannot be opened is not in the way.
func (v *volumes) openers() map[string]storage.Opener {
	drivers := v.Drivers
	if drivers == nil {
		drivers = map[string]storage.Opener{"eqlx": v.openEQLX, "rbd": rbd.Open}
	}
	openers := map[string]storage.Opener{}
	for name, open := range drivers {
		openers[name] = func(ctx context.Context, backend string, config json.RawMessage, deps storage.Deps) (storage.Driver, error) {
			if v.backend != "" && v.backend != backend {
				return absent{errors.New("not opened")}, nil
			}
			driver, err := open(ctx, backend, config, deps)
			if errors.Is(err, rbd.ErrNotBuilt) {
				v.broken[backend] = err
				return absent{err}, nil
			}
			return driver, err
		}
	}
	for _, b := range v.config.Volumes {
		if openers[b.Driver] == nil && v.backend != "" && v.backend != b.Name {
			openers[b.Driver] = func(context.Context, string, json.RawMessage, storage.Deps) (storage.Driver, error) {
				return absent{errors.New("not opened")}, nil
			}
		}
	}
	return openers
}

// openEQLX is eqlx.Open with a place for host keys: the driver trusts the first key that it sees
// for as long as it lives, and a command lives for a moment.
func (v *volumes) openEQLX(_ context.Context, backend string, raw json.RawMessage, deps storage.Deps) (storage.Driver, error) {
	config, err := eqlx.ParseConfig(raw)
	if err != nil {
		return nil, err
	}
	config.KnownHostsFile, config.PrivateKeyFile = v.beside(config.KnownHostsFile), v.beside(config.PrivateKeyFile)
	if config.HostKey == "" && config.KnownHostsFile == "" {
		config.KnownHostsFile = v.knownHosts()
	}
	config.Logger, config.Clock = deps.Logger.With("backend", backend), deps.Clock
	driver, err := eqlx.New(config)
	if err != nil {
		return nil, err
	}
	return driver, nil
}

// beside is a file of the configuration: a relative name is from where the configuration is. Where
// the command runs must not decide which host keys are known.
func (v *volumes) beside(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(v.path), name)
}

// knownHosts is the user's file of host keys of storage, "" if he has no home.
func (v *volumes) knownHosts() string {
	dir := v.Getenv("XDG_CONFIG_HOME")
	if home := v.Getenv("HOME"); !filepath.IsAbs(dir) && home != "" {
		dir = filepath.Join(home, ".config")
	}
	if !filepath.IsAbs(dir) {
		return ""
	}
	dir = filepath.Join(dir, "crowbar")
	if os.MkdirAll(dir, 0o700) != nil {
		return ""
	}
	return filepath.Join(dir, "storage_known_hosts")
}

// absent is a back end that this program cannot reach, and says why. It keeps the others usable.
type absent struct{ why error }

func (d absent) Check(context.Context) error { return d.why }

func (d absent) Create(context.Context, storage.VolumeSpec) (*storage.Volume, error) {
	return nil, d.why
}

func (d absent) Get(context.Context, string) (*storage.Volume, error) { return nil, d.why }

func (d absent) Delete(context.Context, string) error { return d.why }

func (d absent) Connect(context.Context, string, storage.Connector) (*storage.Connection, error) {
	return nil, d.why
}

func (d absent) Stats(context.Context) (*storage.Stats, error) { return nil, d.why }
