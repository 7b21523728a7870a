// Benchmarks against peers live in their own module, so that no user of CrowbarKit downloads a peer.
module github.com/crowbarkit/crowbarkit/internal/bench

go 1.26

require (
	github.com/crowbarkit/crowbarkit v0.0.0
	github.com/looplab/fsm v1.0.3
	github.com/qmuntal/stateless v1.7.2
)

require (
	github.com/hashicorp/errwrap v1.0.0 // indirect
	github.com/hashicorp/go-multierror v1.1.1 // indirect
)

replace github.com/crowbarkit/crowbarkit => ../..
