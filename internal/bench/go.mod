// Benchmarks against peers live in their own module, so that no user of CrowbarKit downloads a peer.
module github.com/crowbarkit/crowbarkit/internal/bench

go 1.26

require (
	github.com/ceph/go-ceph v0.41.0
	github.com/crowbarkit/crowbarkit v0.0.0
	github.com/google/go-cmp v0.7.0
	github.com/looplab/fsm v1.0.3
	github.com/qmuntal/stateless v1.7.2
	github.com/stmcginnis/gofish v0.26.0
	github.com/wI2L/jsondiff v0.7.1
	golang.org/x/crypto v0.45.0
)

require (
	filippo.io/age v1.3.1 // indirect
	filippo.io/hpke v0.4.0 // indirect
	github.com/hashicorp/errwrap v1.0.0 // indirect
	github.com/hashicorp/go-multierror v1.1.1 // indirect
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3 // indirect
	github.com/tidwall/gjson v1.20.1 // indirect
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.1 // indirect
	github.com/tidwall/sjson v1.2.5 // indirect
	go.etcd.io/bbolt v1.5.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.31.0 // indirect
)

replace github.com/crowbarkit/crowbarkit => ../..
