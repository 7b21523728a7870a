package storage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/memory"
)

// A Manager over two back ends: a volume goes where it leaves the most space, and asking for it
// again returns it.
func Example() {
	ctx := context.Background()
	config, err := storage.ParseConfig([]byte(`{"volumes":[
		{"backend_driver":"memory","backend_name":"small","memory":{"capacity_bytes":1073741824}},
		{"backend_driver":"memory","backend_name":"large","memory":{"capacity_bytes":1099511627776}}
	]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	manager, err := storage.Open(ctx, config, map[string]storage.Opener{"memory": memory.Open})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer manager.Close()

	stats, err := manager.Stats(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	name, err := storage.Pick(stats, 5<<30)
	fmt.Println(name, err)
	backend, err := manager.Backend(name)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, size := range []int64{5 << 30, 5 << 30, 6 << 30} {
		volume, err := backend.Create(ctx, storage.VolumeSpec{ID: "db-1", SizeBytes: size})
		if errors.Is(err, storage.ErrExists) {
			fmt.Println(err)
			continue
		}
		fmt.Println(volume.Name, volume.SizeBytes, err)
	}
	// Output:
	// large <nil>
	// volume-db-1 5368709120 <nil>
	// volume-db-1 5368709120 <nil>
	// create db-1 on large: storage: exists already: with 5368709120 bytes, not 6442450944 bytes
}

// A nova proposal of 2012 is read as it is.
func ExampleUpgradeConfig() {
	config, notes, err := storage.UpgradeConfig([]byte(`{"attributes": {"nova": {"volume": {
		"volume_type": "eqlx",
		"local_file": "/var/lib/nova/volume.raw",
		"eqlx": {"san_ip": "192.168.124.11", "eqlx_cli_timeout": 30}
	}}}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, note := range notes {
		fmt.Println(note)
	}
	upgraded, err := json.Marshal(config)
	fmt.Println(string(upgraded), err)
	// Output:
	// /attributes/nova/volume/volume_type became /volumes/0/backend_driver: each back end names its driver
	// /attributes/nova/volume/local_file was dropped: it is of the volume types raw and local, which were not chosen
	// /attributes/nova/volume/eqlx became /volumes/0/eqlx: these are the options of the driver that was chosen
	// /attributes/nova/volume/eqlx/eqlx_cli_timeout became /volumes/0/eqlx/ssh_conn_timeout: Cinder renamed it in 2015
	// {"volumes":[{"backend_driver":"eqlx","backend_name":"default","eqlx":{"san_ip":"192.168.124.11","ssh_conn_timeout":30}}]} <nil>
}

// An image goes into a volume, and a clone of the volume comes out again.
func ExampleBackend_Import() {
	ctx := context.Background()
	config := storage.Config{
		Volumes: []storage.BackendConfig{{Driver: "memory", Name: "fast"}},
		Observe: func(o storage.Observation) { fmt.Println(o.Op, o.ID, o.Class()) },
	}
	manager, err := storage.Open(ctx, config, map[string]storage.Opener{"memory": memory.Open})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer manager.Close()
	backend, err := manager.Backend("fast")
	if err != nil {
		fmt.Println(err)
		return
	}
	image := strings.NewReader("a very small image")
	if _, err := backend.Import(ctx, storage.VolumeSpec{ID: "golden", SizeBytes: 1 << 20}, image, image.Size(), nil); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := backend.Clone(ctx, storage.VolumeSpec{ID: "web-1"}, "golden"); err != nil {
		fmt.Println(err)
		return
	}
	var out bytes.Buffer
	err = backend.Export(ctx, "web-1", &out, nil)
	fmt.Printf("%s %d %v\n", out.Bytes()[:18], out.Len(), err)
	// Output:
	// import golden ok
	// clone web-1 ok
	// export web-1 ok
	// a very small image 1048576 <nil>
}
