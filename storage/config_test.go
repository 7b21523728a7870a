package storage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/memory"
)

const document = `{"volumes":[
	{"backend_driver":"eqlx","backend_name":"eqlx1","eqlx":{"san_ip":"192.168.124.11","san_password":"12345"}},
	{"backend_driver":"memory","backend_name":"fast"}
]}`

func TestParseConfig(t *testing.T) {
	config, err := storage.ParseConfig([]byte(document))
	require.NoError(t, err)
	want := []storage.BackendConfig{
		{Driver: "eqlx", Name: "eqlx1", Options: json.RawMessage(`{"san_ip":"192.168.124.11","san_password":"12345"}`)},
		{Driver: "memory", Name: "fast"},
	}
	require.Empty(t, cmp.Diff(want, config.Volumes))

	raw, err := json.Marshal(config)
	require.NoError(t, err)
	again, err := storage.ParseConfig(raw)
	require.NoError(t, err)
	want[1].Options = json.RawMessage("{}")
	require.Empty(t, cmp.Diff(want, again.Volumes))

	var site struct{ Storage storage.Config }
	site.Storage.Concurrency = 2
	require.NoError(t, json.Unmarshal([]byte(`{"storage":`+document+`}`), &site), "in a document of the embedder's")
	want[1].Options = nil
	require.Empty(t, cmp.Diff(want, site.Storage.Volumes))
	require.Equal(t, 2, site.Storage.Concurrency)
	require.ErrorIs(t, json.Unmarshal([]byte(`{"storage":{"volumes":[{"backend_driver":"memory"}]}}`), &site), storage.ErrInvalid)

	for _, empty := range []string{`{}`, `{"volumes":[]}`} {
		config, err := storage.ParseConfig([]byte(empty))
		require.NoError(t, err)
		require.Empty(t, config.Volumes)
	}
}

func TestParseConfigSaysEverything(t *testing.T) {
	for name, c := range map[string]struct {
		document string
		says     []string
	}{
		"not JSON":    {`volumes:`, []string{"expected {"}},
		"two":         {`{"volumes":[]}{}`, []string{"end of the document"}},
		"unknown":     {`{"volume":[]}`, []string{"volume"}},
		"not objects": {`{"volumes":["eqlx"]}`, []string{"volumes"}},
		"empty entry": {`{"volumes":[{}, null]}`, []string{
			"/volumes/0/backend_driver: nothing, expected a string", "/volumes/0/backend_name", "/volumes/1/backend_driver",
		}},
		"types": {`{"volumes":[{"backend_driver":7,"backend_name":["x"]}]}`, []string{
			"/volumes/0/backend_driver: a number", "/volumes/0/backend_name: an array",
		}},
		"other keys": {`{"volumes":[{"backend_driver":"eqlx","backend_name":"a","rbd":{},"a/b~":1}]}`, []string{
			`/volumes/0/rbd: unknown key, expected "eqlx"`, "/volumes/0/a~1b~0",
		}},
		"values": {`{"volumes":[{"backend_driver":"eqlx","backend_name":"a b","eqlx":[]},{"backend_driver":"","backend_name":"-"}]}`, []string{
			`/volumes/0/backend_name: "a b"`, "/volumes/0/eqlx: an array, expected an object", "/volumes/1/backend_driver", "/volumes/1/backend_name",
		}},
		"same name": {`{"volumes":[{"backend_driver":"a","backend_name":"x"},{"backend_driver":"b","backend_name":"x"}]}`, []string{
			"/volumes/1/backend_name", "/volumes/0 too",
		}},
		"key as driver": {`{"volumes":[{"backend_driver":"backend_name","backend_name":"x"}]}`, []string{"/volumes/0/backend_driver"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := storage.ParseConfig([]byte(c.document))
			require.ErrorIs(t, err, storage.ErrInvalid)
			for _, says := range c.says {
				require.ErrorContains(t, err, says)
			}
		})
	}
	_, err := storage.ParseConfig([]byte(`{"volumes":[{"backend_driver":"eqlx","backend_name":"a","eqlx":"p4ssw0rd"}]}`))
	require.ErrorIs(t, err, storage.ErrInvalid)
	require.NotContains(t, err.Error(), "p4ssw0rd", "what stands in the wrong place may be a secret")
}

func FuzzParseConfig(f *testing.F) {
	f.Add(document)
	f.Add(`{"volumes":[{"backend_driver":"","backend_name":null,"":1}]}`)
	for _, old := range []string{nova2012, cinder2012, cinder2013, cinder2014, cinder2016} {
		f.Add(old)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		config, notes, err := storage.UpgradeConfig([]byte(raw))
		if err != nil {
			require.ErrorIs(t, err, storage.ErrInvalid)
			return
		}
		require.Empty(t, unaccounted(t, raw, config, notes))
		out, err := json.Marshal(config)
		require.NoError(t, err)
		again, err := storage.ParseConfig(out)
		require.NoError(t, err)
		require.Len(t, again.Volumes, len(config.Volumes))
	})
}

// closing is a driver that must be closed.
type closing struct {
	storage.Driver
	closed *atomic.Int32
	err    error
}

func (c closing) Close() error { c.closed.Add(1); return c.err }

func TestOpen(t *testing.T) {
	var closed atomic.Int32
	refuses := errors.New("/san_ip: nothing, expected an address")
	var got []string
	openers := map[string]storage.Opener{
		"memory": func(ctx context.Context, name string, raw json.RawMessage, deps storage.Deps) (storage.Driver, error) {
			require.NotNil(t, deps.Logger)
			got = append(got, name+" "+string(raw))
			d, err := memory.Open(ctx, name, raw, deps)
			return closing{Driver: d, closed: &closed}, err
		},
		"eqlx": func(context.Context, string, json.RawMessage, storage.Deps) (storage.Driver, error) {
			return nil, refuses
		},
	}
	config := storage.Config{Volumes: []storage.BackendConfig{
		{Driver: "memory", Name: "b", Options: json.RawMessage(`{"capacity_bytes":5}`)},
		{Driver: "memory", Name: "a"},
	}}
	m, err := storage.Open(t.Context(), config, openers)
	require.NoError(t, err)
	require.Equal(t, []string{`b {"capacity_bytes":5}`, `a {}`}, got)
	require.Equal(t, []string{"b", "a"}, m.Backends())
	_, err = m.Backend("c")
	require.ErrorIs(t, err, storage.ErrNotFound)
	require.ErrorContains(t, err, "b, a")
	require.NoError(t, m.Check(t.Context()))
	require.NoError(t, m.Close())
	require.EqualValues(t, 2, closed.Load())

	config.Volumes = append(config.Volumes, storage.BackendConfig{Driver: "eqlx", Name: "e"}, storage.BackendConfig{Driver: "eqlx", Name: "f"})
	_, err = storage.Open(t.Context(), config, openers)
	require.ErrorIs(t, err, refuses)
	for _, path := range []string{"/volumes/2/eqlx: /san_ip", "/volumes/3/eqlx: /san_ip"} {
		require.ErrorContains(t, err, path)
	}
	require.EqualValues(t, 4, closed.Load(), "nothing stays open")

	config.Volumes = append(config.Volumes, storage.BackendConfig{Driver: "netapp", Name: "b"})
	_, err = storage.Open(t.Context(), config, openers)
	require.ErrorIs(t, err, storage.ErrInvalid)
	require.ErrorContains(t, err, `/volumes/4/backend_driver: "netapp", expected one of: eqlx, memory`)
	require.ErrorContains(t, err, "/volumes/4/backend_name")
	_, err = storage.Open(t.Context(), config, nil)
	require.Error(t, err)
	require.Equal(t, 5, strings.Count(err.Error(), "expected one of"))
}

func TestConfigShowsNoSecrets(t *testing.T) {
	c, err := storage.ParseConfig([]byte(`{"volumes":[{"backend_driver":"eqlx","backend_name":"a","eqlx":{"san_ip":"h","san_password":"hunter2"}}]}`))
	require.NoError(t, err)
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("open", "config", c, "backend", c.Volumes[0])
	for _, text := range []string{out.String(), fmt.Sprint(c), fmt.Sprintf("%+v %#v", c, c), fmt.Sprintf("%v %#v", c.Volumes[0], c.Volumes)} {
		require.NotContains(t, text, "hunter2")
		require.Contains(t, text, "san_password", "but what there is")
	}
	raw, err := json.Marshal(c)
	require.NoError(t, err)
	require.Contains(t, string(raw), "hunter2", "a document has them")
}

// spaced is a driver that says where its names are.
type spaced struct {
	*memory.Driver
	space string
}

func (s spaced) Namespace() string { return s.space }

func TestOpenWarnsOfSharedVolumes(t *testing.T) {
	for second, warns := range map[string]bool{"group1 volume-<id>": true, "group1 fast-<id>": false} {
		spaces := map[string]string{"a": "group1 volume-<id>", "b": second}
		var out bytes.Buffer
		m, err := storage.Open(t.Context(), storage.Config{
			Volumes: []storage.BackendConfig{{Driver: "d", Name: "a"}, {Driver: "d", Name: "b"}},
			Deps:    storage.Deps{Logger: slog.New(slog.NewTextHandler(&out, nil))},
		}, map[string]storage.Opener{"d": func(_ context.Context, backend string, _ json.RawMessage, _ storage.Deps) (storage.Driver, error) {
			d, err := memory.New(memory.Config{})
			return spaced{d, spaces[backend]}, err
		}})
		require.NoError(t, err)
		require.NoError(t, m.Close())
		require.Equal(t, warns, strings.Contains(out.String(), "two back ends have the same volumes"), out.String())
	}
}
