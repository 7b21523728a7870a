package boltstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/boltstore"
)

func Example() {
	dir, err := os.MkdirTemp("", "boltstore")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store, err := boltstore.Open(filepath.Join(dir, "store.db"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	ctx := context.Background()
	revision, err := store.Txn(ctx, nil, []crowbar.Op{{Key: "lifecycle", Value: []byte("v1")}})
	fmt.Println(revision, err)
	// Of two who read revision 1, the second to write is told.
	for _, value := range []string{"mine", "yours"} {
		_, err = store.Txn(ctx, []crowbar.Condition{{Key: "lifecycle", Revision: 1}},
			[]crowbar.Op{{Key: "lifecycle", Value: []byte(value)}})
		fmt.Println(value, err == nil, errors.Is(err, crowbar.ErrConflict))
	}
	// Output:
	// 1 <nil>
	// mine true false
	// yours false true
}
