package proposal

import "context"

// A Sealer keeps secrets safe where documents are stored. What Seal returns is opaque, differs
// at each call and cannot be altered without Open noticing; Open fails for what another key
// sealed. Errors never hold any of the plain text. Both may be called concurrently.
type Sealer interface {
	Seal(ctx context.Context, plain []byte) (sealed []byte, err error)
	Open(ctx context.Context, sealed []byte) (plain []byte, err error)
}
