package storage_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/memory"
)

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
	// create db-1 on large: storage: exists already: with 5368709120 bytes, not 6442450944
}
