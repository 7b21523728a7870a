package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/storage"
)

// volumes is one run of a volume command. It needs no server: it talks to the back ends of a
// configuration itself.
type volumes struct {
	*app
	path    string // of the configuration
	backend string
	verbose bool

	verb    string // the command, without "crowbar volume"
	printed bool   // a document of JSON
	config  storage.Config
	broken  map[string]error // back ends whose driver is not in this program
}

// defaultVolumes is the configuration where none is named.
const defaultVolumes = "volumes.json"

func (a *app) volumeCommand() *cobra.Command {
	v := &volumes{app: a, broken: map[string]error{}}
	c := group("volume", "make volumes on storage back ends; no server is needed",
		group("backend", "look at the back ends, and empty their trash",
			v.backendListCommand(), v.backendStatsCommand(), v.backendCheckCommand(), v.backendPurgeCommand()),
		v.createCommand(), v.listCommand(), v.showCommand(), v.extendCommand(), v.deleteCommand(),
		group("snapshot", "keep states of volumes, and go back to them",
			v.snapshotCreateCommand(), v.snapshotListCommand(), v.snapshotShowCommand(), v.snapshotDeleteCommand(), v.revertCommand()),
		v.cloneCommand(),
		v.attachCommand(), v.detachCommand(),
		v.manageCommand(), v.unmanageCommand(),
		v.importCommand(), v.exportCommand(),
		group("qos", "limit what the users of a volume may do",
			v.qosShowCommand(), v.qosSetCommand(), v.qosClearCommand()),
	)
	c.Long = "volume works on the back ends of a configuration, without a server. The configuration is Crowbar's:\n" +
		`{"volumes":[{"backend_driver":"eqlx","backend_name":"eqlx1","eqlx":{...}}]}; its older forms and whole` + "\n" +
		"cinder and nova proposals are read, too. docs/volumes.md lists the options.\n\n" +
		"VOLUME is an ID of yours: up to 63 letters, digits, '.', '_' and '-', beginning with a letter or digit.\n" +
		"Upper and lower case differ. What the back end calls it is shown as NAME THERE.\n\n" +
		sizesMean + "\n\n" +
		"A command may be repeated: what is there already, and is what was asked for, is returned.\n" +
		"Exit status: 0 done, 1 error, 3 not confirmed, 4 something else is there or in the way."
	f := c.PersistentFlags()
	f.StringVar(&v.path, "config", "", "configuration of the back ends (CROWBAR_VOLUMES; default "+defaultVolumes+")")
	f.StringVar(&v.backend, "backend", "", "the back end; may be left out if there is only one")
	f.BoolVarP(&v.verbose, "verbose", "v", false, "log what is asked of the back ends")
	return c
}

// load reads the configuration.
func (v *volumes) load(cmd *cobra.Command) error {
	v.verb = strings.TrimPrefix(cmd.CommandPath(), "crowbar volume ")
	from := "--config"
	if v.path == "" {
		from, v.path = "CROWBAR_VOLUMES", v.Getenv("CROWBAR_VOLUMES")
	}
	if v.path == "" {
		from, v.path = "", defaultVolumes
	}
	raw, err := os.ReadFile(v.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && from == "":
		return fmt.Errorf("no configuration of back ends: there is no %s here; name one with --config or CROWBAR_VOLUMES (docs/volumes.md)", defaultVolumes)
	case err != nil:
		return fmt.Errorf("%s: %w", from, err)
	}
	config, notes, err := storage.UpgradeConfig(raw)
	if err != nil {
		return configError(v.path, err)
	}
	if hidden := hiddenSecrets(config); len(hidden) > 0 {
		return fmt.Errorf("%s: hidden: %s; put back what crowbar proposal export left out", v.path, strings.Join(hidden, ", "))
	}
	switch about := cmd.Parent().Name(); {
	case len(notes) == 0:
	case about == "backend":
		for _, n := range notes {
			lines(v.Stderr, "%s: %s", v.path, n)
		}
	default:
		lines(v.Stderr, "%s was upgraded as it was read; crowbar volume backend list tells how", v.path)
	}
	names := []string{}
	for _, b := range config.Volumes {
		names = append(names, b.Name)
	}
	switch {
	case len(names) == 0:
		return fmt.Errorf("%s has no back ends; add one (docs/volumes.md)", v.path)
	case v.backend != "" && !slices.Contains(names, v.backend):
		return fmt.Errorf("%s has no back end %q; it has %s", v.path, v.backend, strings.Join(names, ", "))
	}
	v.config = config
	return nil
}

// hiddenSecrets are the paths of options that a proposal was exported without, as it names them.
func hiddenSecrets(c storage.Config) (paths []string) {
	for _, b := range c.Volumes {
		var options map[string]any
		_ = json.Unmarshal(b.Options, &options) // they are an object, or absent
		for _, name := range slices.Sorted(maps.Keys(options)) {
			text, _ := options[name].(string)
			if path, hidden := strings.CutPrefix(text, strings.TrimPrefix(hiddenSecret, `"`)); hidden {
				paths = append(paths, "/"+strings.TrimSuffix(path, ")"))
			}
		}
	}
	return paths
}

// ask is the body of a command on the back ends.
func (v *volumes) ask(do func(ctx context.Context, m *storage.Manager, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := v.load(cmd); err != nil {
			return v.failed(err)
		}
		v.config.Deps.Logger = v.logger(v.verbose, slog.LevelInfo)
		m, err := storage.Open(cmd.Context(), v.config, v.openers())
		if err != nil {
			return v.failed(configError(v.path, err))
		}
		err = v.settled(cmd.Context(), m, do(cmd.Context(), m, args))
		if left := m.Close(); left != nil { // what was asked for was done, or not, before
			lines(v.Stderr, "crowbar: %s", bare(left))
		}
		return v.failed(err)
	}
}

// askOne is the body of a command on one back end.
func (v *volumes) askOne(do func(ctx context.Context, b *storage.Backend, args []string) error) func(*cobra.Command, []string) error {
	return v.ask(func(ctx context.Context, m *storage.Manager, args []string) error {
		b, err := v.only(m)
		if err != nil {
			return err
		}
		return do(ctx, b, args)
	})
}

// only returns the back end that was named, or the only one.
func (v *volumes) only(m *storage.Manager) (*storage.Backend, error) {
	names := v.chosen(m)
	if len(names) > 1 {
		return nil, fmt.Errorf("%s has several back ends, %s; choose one with --backend", v.path, strings.Join(names, ", "))
	}
	return m.Backend(names[0])
}

// chosen are the names of the back end that was named, or of all.
func (v *volumes) chosen(m *storage.Manager) []string {
	if v.backend != "" {
		return []string{v.backend}
	}
	return m.Backends()
}

// done tells that something without a result was done.
func (v *volumes) done(b *storage.Backend, id, action, sentence string) error {
	if v.output == "json" {
		return v.json(struct {
			Backend string `json:"backend"`
			ID      string `json:"id"`
			Action  string `json:"action"`
		}{b.Name(), id, action})
	}
	lines(v.Stdout, "%s", sentence)
	return nil
}
