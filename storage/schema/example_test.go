package schema_test

import (
	"encoding/json"
	"fmt"

	"github.com/crowbarkit/crowbarkit/storage/schema"
)

func Example() {
	var s struct {
		Title    string   `json:"title"`
		Required []string `json:"required"`
	}
	for _, driver := range schema.Drivers() {
		if err := json.Unmarshal(schema.Of(driver), &s); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(driver, "-", s.Title)
	}
	fmt.Println(schema.Of("raw") == nil)
	// Output:
	// eqlx - EqualLogic PS series back end
	// rbd - Ceph RBD
	// true
}
