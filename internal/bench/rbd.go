//go:build ceph && cgo

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ceph/go-ceph/rados"
	ceph "github.com/ceph/go-ceph/rbd"

	"github.com/crowbarkit/crowbarkit/internal/cephtest"
	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/rbd"
)

// rbdSite is a Ceph cluster of its own, and all sides' ways to it, as the same restricted user.
type rbdSite struct {
	cluster *cephtest.Cluster
	ours    *rbd.Driver
	conn    *rados.Conn
	io      *rados.IOContext
	cinder  *cinderLoop // nil where it is not installed
	next    int         // number of the next volume
	kept    int         // how many volumes there are that no round removes
	image   []byte      // to be imported
	patient bool        // its monitors
}

func newRBDSite(withCinder bool) (_ *rbdSite, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	s := &rbdSite{}
	if s.cluster, err = cephtest.Start(ctx, &cephtest.Options{Pools: []string{"volumes"}}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.ours, err = rbd.New(rbd.Config{ConfigFile: s.cluster.ConfFile, User: "cinder", Pool: "volumes"}, storage.Deps{}); err != nil {
		return nil, err
	}
	if s.conn, err = rados.NewConnWithClusterAndUser("ceph", "client.cinder"); err != nil {
		return nil, err
	}
	// Without the cache, as our driver has it: see there.
	if err := errors.Join(s.conn.ReadConfigFile(s.cluster.ConfFile), s.conn.SetConfigOption("rbd_cache", "false")); err != nil {
		return nil, err
	}
	if err = s.conn.Connect(); err != nil {
		return nil, err
	}
	if s.io, err = s.conn.OpenIOContext("volumes"); err != nil {
		return nil, err
	}
	if withCinder {
		s.cinder, err = startCinder(s.cluster.ConfFile)
	}
	return s, err
}

func (s *rbdSite) Close() error {
	var errs []error
	if s.cinder != nil {
		errs = append(errs, s.cinder.close())
	}
	if s.ours != nil {
		errs = append(errs, s.ours.Close())
	}
	if s.io != nil {
		s.io.Destroy()
		s.conn.Shutdown()
	}
	return errors.Join(append(errs, s.cluster.Close())...)
}

// A way is how one side does an operation, n times, on volumes numbered from first.
type way func(s *rbdSite, first, n int) error

// atOnce is how many clones are made at once where many are.
const atOnce = 8

// each is a way that goes one by one.
func each(do func(s *rbdSite, i int) error) way {
	return func(s *rbdSite, first, n int) error {
		for i := range n {
			if err := do(s, first+i); err != nil {
				return err
			}
		}
		return nil
	}
}

// batches is a way that does atOnce of them at once, n times.
func batches(do func(s *rbdSite, i, first int) error) way {
	return func(s *rbdSite, first, n int) error {
		for batch := range n {
			errs := make(chan error, atOnce)
			for k := range atOnce {
				go func() { errs <- do(s, first+batch*atOnce+k, first) }()
			}
			for range atOnce {
				if err := <-errs; err != nil {
					return err
				}
			}
		}
		return nil
	}
}

func name(i int) string { return fmt.Sprint("volume-n", i) }
func id(i int) string   { return fmt.Sprint("n", i) }

// rbdComparison measures ways of one operation. What it needs is made, and what it leaves is
// removed, outside of the time, the same way for all sides.
func rbdComparison(site *shared[*rbdSite], operation string, needs way, ours way, peers map[string]way) comparison {
	work := func(do way) func(*testing.B) error {
		return site.with(func(b *testing.B, s *rbdSite) error {
			b.StopTimer()
			first := s.next
			s.next += b.N * atOnce // as many as it could want
			if err := errors.Join(s.monitors(false), needs(s, first, b.N)); err != nil {
				return err
			}
			b.StartTimer()
			err := do(s, first, b.N)
			b.StopTimer()
			return errors.Join(err, s.sweep())
		})
	}
	c := comparison{name: "rbd-" + operation, ours: contender{"ours", work(ours)}}
	for _, peer := range []string{"go-ceph", "go-ceph-remove-only", "command", "cinder"} {
		if do := peers[peer]; do != nil {
			c.peers = append(c.peers, contender{peer, work(do)})
		}
	}
	return c
}

// rbdComparisons share one cluster. Beside our driver are, for each operation,
//
//   - go-ceph: the calls of librbd that our driver makes, made directly on one connection: what is
//     above 1 is what our driver adds, its workers, locks and errors;
//   - command: the rbd and ceph commands of a script, each a process that connects;
//   - cinder: Cinder's own RBDDriver, its methods called in a loop inside one process. It connects
//     to the cluster for each operation, and runs "ceph mon dump" for each attachment. What goes on
//     at once does so in green threads, with librbd in real ones, as in its service.
func rbdComparisons(notes io.Writer) []comparison {
	if err := cephtest.Missing(); err != nil {
		fmt.Fprintln(notes, "bench: rbd left out:", err)
		return nil
	}
	cinder := func(operation string, workers int) way {
		return func(s *rbdSite, first, n int) error { return s.askCinder(operation, first, n, workers) }
	}
	missing := cinderInstalled()
	if missing != nil {
		fmt.Fprintln(notes, "bench: rbd: cinder left out:", missing)
		cinder = func(string, int) way { return nil }
	}
	site := &shared[*rbdSite]{open: func() (*rbdSite, error) { return newRBDSite(missing == nil) }}
	ctx := context.Background()
	images := each(func(s *rbdSite, i int) error { return s.create(name(i)) })
	sources := each(func(s *rbdSite, i int) error { return s.source(name(i)) })
	again := func(s *rbdSite, first, n int) error {
		return each(func(s *rbdSite, i int) error { return s.cloneOurs(i, first) })(s, first, n)
	}
	all := []comparison{
		rbdComparison(site, "create", func(*rbdSite, int, int) error { return nil },
			each(func(s *rbdSite, i int) error {
				_, err := s.ours.Create(ctx, storage.VolumeSpec{ID: id(i), SizeBytes: 1 << 30})
				return err
			}), map[string]way{
				"go-ceph": images,
				"command": each(func(s *rbdSite, i int) error { return s.rbd("create", "--size", "1G", "volumes/"+name(i)) }),
				"cinder":  cinder("create", 1),
			}),
		// The first clone of a volume.
		rbdComparison(site, "clone", sources,
			each(func(s *rbdSite, i int) error { return s.cloneOurs(i, i) }),
			map[string]way{
				"go-ceph": each(func(s *rbdSite, i int) error { return s.clone(i) }),
				"command": each(func(s *rbdSite, i int) error {
					image := "volumes/" + name(i)
					snapshot := image + "@" + name(i) + "-clone.clone_snap"
					return errors.Join(s.rbd("snap", "create", "--no-progress", snapshot), s.rbd("snap", "protect", snapshot), s.rbd("clone", snapshot, image+"-clone"))
				}),
				"cinder": cinder("clone", 1),
			}),
		// More clones of a volume that has one and was not written to since. Ours stand on the first
		// one's snapshot; Cinder makes one for each.
		rbdComparison(site, "clone-again", (*rbdSite).cloned, again, map[string]way{
			"go-ceph": func(s *rbdSite, first, n int) error {
				return each(func(s *rbdSite, i int) error { return s.cloneAgain(i, first) })(s, first, n)
			},
			"cinder": cinder("clone_first", 1),
		}),
		// The same where the monitors wait between their decisions as Ceph has it by default; the
		// cluster of all other comparisons has them wait a twentieth of that. A first clone waits for
		// them with any driver, up to a second, so that there is nothing to compare.
		rbdComparison(site, "clone-again-default-monitors", patient((*rbdSite).cloned), again, map[string]way{"cinder": cinder("clone_first", 1)}),
		// Eight at once, of one volume that has no clone yet, and each of its own.
		rbdComparison(site, "clone-8-of-one", func(s *rbdSite, first, n int) error {
			return s.source(name(first))
		},
			batches((*rbdSite).cloneOurs), map[string]way{"cinder": cinder("clone_first", atOnce)}),
		rbdComparison(site, "clone-8-of-eight", func(s *rbdSite, first, n int) error { return sources(s, first, n*atOnce) },
			batches(func(s *rbdSite, i, _ int) error { return s.cloneOurs(i, i) }),
			map[string]way{
				"go-ceph": batches(func(s *rbdSite, i, _ int) error { return s.clone(i) }),
				"cinder":  cinder("clone", atOnce),
			}),
		// 64 MiB without a hole. go-ceph does one write after another; the command, which is what
		// Cinder runs, has ten under way, and begins with a file.
		rbdComparison(site, "import", (*rbdSite).imageFile,
			each(func(s *rbdSite, i int) error {
				_, err := s.ours.Import(ctx, storage.VolumeSpec{ID: id(i)}, bytes.NewReader(s.image), int64(len(s.image)), nil)
				return err
			}), map[string]way{
				"go-ceph": each((*rbdSite).fill),
				"command": each(func(s *rbdSite, i int) error {
					return s.rbd("import", "--no-progress", s.cluster.Dir+"/image", "volumes/"+name(i))
				}),
			}),
		rbdComparison(site, "snapshot", func(s *rbdSite, _, _ int) error { return s.create("volume-snapped") },
			each(func(s *rbdSite, i int) error {
				_, err := s.ours.CreateSnapshot(ctx, "snapped", fmt.Sprint(i))
				return err
			}), map[string]way{
				"go-ceph": each((*rbdSite).snapshot),
				"command": each(func(s *rbdSite, i int) error {
					snapshot := fmt.Sprint("volumes/volume-snapped@snapshot-", i)
					return errors.Join(s.rbd("snap", "create", "--no-progress", snapshot), s.rbd("snap", "protect", snapshot))
				}),
				"cinder": cinder("snapshot", 1),
			}),
		rbdComparison(site, "delete", images,
			each(func(s *rbdSite, i int) error { return s.ours.Delete(ctx, id(i)) }),
			map[string]way{
				"go-ceph": each((*rbdSite).delete),
				// Without a look at who uses the image.
				"go-ceph-remove-only": each(func(s *rbdSite, i int) error { return ceph.RemoveImage(s.io, name(i)) }),
				"command":             each(func(s *rbdSite, i int) error { return s.rbd("rm", "--no-progress", "volumes/"+name(i)) }),
				"cinder":              cinder("delete", 1),
			}),
		// Cinder does not look whether the image is there; its Manager knows that from the database.
		rbdComparison(site, "connect", keep(1),
			each(func(s *rbdSite, _ int) error {
				c, err := s.ours.Connect(ctx, "kept0", storage.Connector{Host: "node1"})
				if err == nil && len(c.RBD.Hosts) == 0 {
					err = errors.New("no hosts")
				}
				return err
			}), map[string]way{
				"go-ceph": each((*rbdSite).connect),
				"command": each(func(s *rbdSite, _ int) error {
					return errors.Join(s.rbd("info", "volumes/volume-kept0"), s.ceph("mon", "dump", "--format", "json"))
				}),
				"cinder": cinder("connect", 1),
			}),
		// Of 100 volumes. In a pool of its own Cinder does not add up their sizes; ours remembers them.
		rbdComparison(site, "stats", func(s *rbdSite, first, n int) error {
			if err := keep(100)(s, first, n); err != nil {
				return err
			}
			_, err := s.ours.Stats(ctx) // the first looks at each image
			return err
		},
			each(func(s *rbdSite, _ int) error {
				stats, err := s.ours.Stats(ctx)
				if err == nil && stats.ProvisionedBytes != 100<<30 {
					err = fmt.Errorf("%d bytes provisioned", stats.ProvisionedBytes)
				}
				return err
			}), map[string]way{
				"go-ceph": each((*rbdSite).stats),
				"command": each(func(s *rbdSite, _ int) error {
					return errors.Join(s.ceph("df", "--format", "json"), s.ceph("osd", "pool", "get-quota", "volumes"), s.rbd("ls", "volumes"))
				}),
				"cinder": cinder("stats", 1),
			}),
	}
	all[len(all)-1].close = site.close
	return all
}

// cloned needs a volume with a clone.
func (s *rbdSite) cloned(first, _ int) error {
	if err := s.source(name(first)); err != nil {
		return err
	}
	_, err := s.ours.Clone(context.Background(), storage.VolumeSpec{ID: id(first) + "-first"}, id(first))
	return err
}

// cloneOurs makes clone i of a volume.
func (s *rbdSite) cloneOurs(i, source int) error {
	_, err := s.ours.Clone(context.Background(), storage.VolumeSpec{ID: id(i) + "-clone"}, id(source))
	return err
}

// patient needs the same, and monitors that are as Ceph has them by default.
func patient(needs way) way {
	return func(s *rbdSite, first, n int) error {
		return errors.Join(s.monitors(true), needs(s, first, n))
	}
}

// monitors sets how long they collect changes: the least time between two decisions, and how long
// one waits in any case. By default Ceph has 1 and 0.05 seconds.
func (s *rbdSite) monitors(patient bool) error {
	if s.patient == patient {
		return nil
	}
	settings := map[string]string{"paxos_propose_interval": "0.05", "paxos_min_wait": "0.01"} // as cephtest sets it
	if patient {
		settings = map[string]string{"paxos_propose_interval": "1", "paxos_min_wait": "0.05"}
	}
	for option, seconds := range settings {
		if _, err := s.cluster.Ceph(context.Background(), "tell", "mon.a", "config", "set", option, seconds); err != nil {
			return err
		}
	}
	s.patient = patient
	return nil
}

// keep makes sure that there are n volumes that stay.
func keep(n int) way {
	return func(s *rbdSite, _, _ int) error {
		for ; s.kept < n; s.kept++ {
			if err := s.create(fmt.Sprint("volume-kept", s.kept)); err != nil {
				return err
			}
		}
		return nil
	}
}

// sweep removes what a round left: clones, and then what they stood on.
func (s *rbdSite) sweep() error {
	for pass := 0; ; pass++ {
		names, err := ceph.GetImageNames(s.io)
		if err != nil {
			return err
		}
		var left []error
		for _, name := range names {
			if !strings.HasPrefix(name, "volume-kept") {
				left = append(left, s.remove(name))
			}
		}
		if err := errors.Join(left...); err == nil || pass == 2 {
			return err
		}
	}
}

func (s *rbdSite) remove(name string) error {
	image, err := ceph.OpenImage(s.io, name, ceph.NoSnapshot)
	if err != nil {
		return err
	}
	snapshots, err := image.GetSnapshotNames()
	for _, snapshot := range snapshots {
		_ = image.GetSnapshot(snapshot.Name).Unprotect() // where it is not protected it fails
		err = errors.Join(err, image.GetSnapshot(snapshot.Name).Remove())
	}
	if err = errors.Join(err, image.Close()); err != nil {
		return err
	}
	return ceph.RemoveImage(s.io, name)
}

// The commands of a script, as the same user.

func (s *rbdSite) rbd(args ...string) error {
	_, err := s.cluster.RBD(context.Background(), append([]string{"--id", "cinder"}, args...)...)
	return err
}

func (s *rbdSite) ceph(args ...string) error {
	_, err := s.cluster.Ceph(context.Background(), append([]string{"--id", "cinder"}, args...)...)
	return err
}
