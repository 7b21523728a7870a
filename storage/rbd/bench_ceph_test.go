//go:build ceph && cgo

package rbd_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/ceph/go-ceph/rados"
	ceph "github.com/ceph/go-ceph/rbd"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/rbd"
)

// The benchmarks have three rows for each operation: this driver, the same by go-ceph called
// directly on a connection that is open, and where there is one the rbd or ceph command, which
// is what scripts do. Direct does what the operation needs and nothing for safety: it looks at
// no watchers and counts no depth.

type bench struct {
	b      *testing.B
	c      rbd.Config
	d      *rbd.Driver
	io     *rados.IOContext
	conn   *rados.Conn
	prefix string
}

func newBench(b *testing.B) bench {
	c := config(b)
	d, err := rbd.New(c, storage.Deps{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, d.Close()) })
	require.NoError(b, d.Check(b.Context()))
	conn, err := rados.NewConnWithClusterAndUser("ceph", "client.cinder")
	require.NoError(b, err)
	require.NoError(b, conn.ReadConfigFile(c.ConfigFile))
	require.NoError(b, conn.Connect())
	io, err := conn.OpenIOContext("volumes")
	require.NoError(b, err)
	b.Cleanup(func() { io.Destroy(); conn.Shutdown() })
	return bench{b, c, d, io, conn, prefix(c)}
}

// run measures do, which gets a number of its own each time; prepare is not measured.
func (n bench) run(name string, prepare, do func(i int)) {
	n.b.Run(name, func(b *testing.B) {
		at := 0
		for b.Loop() {
			i := at
			at++
			if prepare != nil {
				b.StopTimer()
				prepare(i)
				b.StartTimer()
			}
			do(i)
		}
	})
}

func (n bench) must(err error) {
	if err != nil {
		n.b.Fatal(err)
	}
}

func (n bench) options() *ceph.ImageOptions {
	options := ceph.NewRbdImageOptions()
	n.must(options.SetUint64(ceph.ImageOptionFeatures, 61))
	n.must(options.SetUint64(ceph.ImageOptionOrder, 22))
	return options
}

func (n bench) createDirect(name string) {
	options := n.options()
	defer options.Destroy()
	n.must(ceph.CreateImage(n.io, name, 1<<30, options))
}

func (n bench) open(name string) *ceph.Image {
	image, err := ceph.OpenImage(n.io, name, ceph.NoSnapshot)
	n.must(err)
	return image
}

func (n bench) rbd(args ...string) {
	_, err := shared.Get(n.b).RBD(context.Background(), append([]string{"--id", "cinder"}, args...)...)
	n.must(err)
}

func BenchmarkCreate(b *testing.B) {
	n := newBench(b)
	n.run("driver", nil, func(i int) { create(b, n.d, fmt.Sprint("d", i), 1<<30) })
	n.run("go-ceph", nil, func(i int) { n.createDirect(fmt.Sprint(n.prefix, "g", i)) })
	n.run("command", nil, func(i int) { n.rbd("create", "--size", "1G", fmt.Sprint("volumes/", n.prefix, "c", i)) })
}

func BenchmarkDelete(b *testing.B) {
	n := newBench(b)
	made := func(kind string) func(i int) {
		return func(i int) { n.createDirect(fmt.Sprint(n.prefix, kind, i)) }
	}
	n.run("driver", made("d"), func(i int) { n.must(n.d.Delete(b.Context(), fmt.Sprint("d", i))) })
	n.run("go-ceph", made("g"), func(i int) { n.must(ceph.RemoveImage(n.io, fmt.Sprint(n.prefix, "g", i))) })
	n.run("command", made("c"), func(i int) { n.rbd("rm", "--no-progress", fmt.Sprint("volumes/", n.prefix, "c", i)) })
}

func BenchmarkSnapshot(b *testing.B) {
	n := newBench(b)
	for _, kind := range []string{"d", "g", "c"} {
		create(b, n.d, kind, 1<<30)
	}
	n.run("driver", nil, func(i int) {
		_, err := n.d.CreateSnapshot(b.Context(), "d", fmt.Sprint("s", i))
		n.must(err)
	})
	n.run("go-ceph", nil, func(i int) {
		image := n.open(n.prefix + "g")
		snapshot, err := image.CreateSnapshot(fmt.Sprint("s", i))
		n.must(err)
		n.must(snapshot.Protect())
		n.must(image.Close())
	})
	n.run("command", nil, func(i int) {
		name := fmt.Sprint("volumes/", n.prefix, "c@s", i)
		n.rbd("snap", "create", "--no-progress", name)
		n.rbd("snap", "protect", name)
	})
}

// BenchmarkClone clones a volume: snapshot, protection, clone, each time of a source of its own,
// since snapshots of one image add up.
func BenchmarkClone(b *testing.B) {
	n := newBench(b)
	source := func(kind string) func(i int) {
		return func(i int) { n.createDirect(fmt.Sprint(n.prefix, kind, i)) }
	}
	n.run("driver", source("d"), func(i int) { clone(b, n.d, fmt.Sprint("dc", i), fmt.Sprint("d", i)) })
	n.run("go-ceph", source("g"), func(i int) {
		name := fmt.Sprint(n.prefix, "g", i)
		image := n.open(name)
		snapshot, err := image.CreateSnapshot("s")
		n.must(err)
		n.must(snapshot.Protect())
		options := n.options()
		defer options.Destroy()
		n.must(ceph.CloneImage(n.io, name, "s", n.io, name+"-clone", options))
		n.must(image.Close())
	})
	n.run("command", source("c"), func(i int) {
		name := fmt.Sprint("volumes/", n.prefix, "c", i)
		n.rbd("snap", "create", "--no-progress", name+"@s")
		n.rbd("snap", "protect", name+"@s")
		n.rbd("clone", name+"@s", name+"-clone")
	})
}

func BenchmarkConnect(b *testing.B) {
	n := newBench(b)
	v := create(b, n.d, "v", 1<<30)
	n.run("driver", nil, func(int) {
		_, err := n.d.Connect(b.Context(), "v", storage.Connector{Host: "node1"})
		n.must(err)
	})
	n.run("go-ceph", nil, func(int) {
		image, err := ceph.OpenImageReadOnly(n.io, v.Name, ceph.NoSnapshot)
		n.must(err)
		n.must(image.Close())
		_, _, err = n.conn.MonCommand([]byte(`{"prefix":"mon dump","format":"json"}`))
		n.must(err)
	})
	n.run("command", nil, func(int) {
		_, err := shared.Get(b).Ceph(context.Background(), "--id", "cinder", "mon", "dump", "--format", "json")
		n.must(err)
	})
}

func BenchmarkStats(b *testing.B) {
	n := newBench(b)
	for i := range 100 {
		create(b, n.d, fmt.Sprint("v", i), 1<<30)
	}
	n.run("driver", nil, func(int) {
		_, err := n.d.Stats(b.Context())
		n.must(err)
	})
	n.run("go-ceph", nil, func(int) {
		for _, command := range []string{`{"prefix":"df","format":"json"}`, `{"prefix":"osd pool get-quota","pool":"volumes","format":"json"}`} {
			_, _, err := n.conn.MonCommand([]byte(command))
			n.must(err)
		}
		_, err := ceph.GetImageNames(n.io)
		n.must(err)
	})
	n.run("command", nil, func(int) {
		_, err := shared.Get(b).Ceph(context.Background(), "--id", "cinder", "df", "--format", "json")
		n.must(err)
	})
}
