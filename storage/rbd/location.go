package rbd

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/crowbarkit/crowbarkit/storage"
)

// A Location is an image's snapshot on a cluster, as Glance names it:
// rbd://FSID/POOL/IMAGE/SNAPSHOT, each part quoted as in a URL.
type Location struct{ FSID, Pool, Image, Snapshot string }

// ParseLocation reads a location. ErrInvalid: it is none.
func ParseLocation(s string) (Location, error) {
	bad := func(why string) (Location, error) {
		return Location{}, fmt.Errorf("%w: image location %.200q: %s, expected rbd://FSID/POOL/IMAGE/SNAPSHOT", storage.ErrInvalid, s, why)
	}
	rest, ok := strings.CutPrefix(s, "rbd://")
	if !ok {
		return bad("not on Ceph")
	}
	parts := strings.Split(rest, "/")
	if len(parts) != 4 {
		return bad(fmt.Sprintf("%d parts", len(parts)))
	}
	for i, part := range parts {
		text, err := url.PathUnescape(part)
		if err != nil {
			return bad("wrong quoting")
		}
		if text == "" || strings.ContainsAny(text, "/@\x00") {
			return bad("a part that is no name")
		}
		parts[i] = text
	}
	return Location{parts[0], parts[1], parts[2], parts[3]}, nil
}

// String returns the location as Glance writes it.
func (l Location) String() string {
	return "rbd://" + url.PathEscape(l.FSID) + "/" + url.PathEscape(l.Pool) + "/" + url.PathEscape(l.Image) + "/" + url.PathEscape(l.Snapshot)
}
