package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/storage"
)

// RunModel makes sequences of calls, as rapid chooses them, and compares what the driver
// answers and has with a model of the contract. It uses one Harness, which it empties before
// each sequence.
func RunModel(t *testing.T, harness func(t *testing.T) Harness) {
	h := harness(t)
	w := &world{Harness: h, connectors: map[string]storage.Connector{}}
	for _, host := range []string{"node1", "node2"} {
		w.connectors[host] = storage.Connector{Host: host, Initiator: "iqn.2012-07.com.example:" + host}
	}
	passed, failing := 0, false
	rapid.Check(t, func(t *rapid.T) {
		if h.ModelChecks > 0 && passed >= h.ModelChecks && !failing {
			return
		}
		failing = true // so that rapid can shrink what fails
		w.t, w.ctx = t, context.Background()
		w.purge()
		t.Repeat(w.actions())
		failing = false
		passed++
	})
}

// The names of the model's world.
func modelVolumes() []string   { return []string{"a", "b", "c"} }
func modelSnapshots() []string { return []string{"s", "t"} }
func modelSizes() []int64      { return []int64{1, smallBytes, largeBytes} }

// A world is what the back end should have.
type world struct {
	Harness
	connectors map[string]storage.Connector

	t       *rapid.T
	ctx     context.Context
	volumes map[string]*modelVolume
}

type modelVolume struct {
	modelState
	snapshots map[string]modelState
	connected map[string]bool
	parents   map[string]bool // volumes that a back end may keep for this one's sake
	qos       storage.QoS
}

type modelState struct {
	size int64
	data [2]byte // what the first and the last byte of the smallest volume are
}

// purge removes what an earlier sequence left.
func (w *world) purge() {
	w.volumes = map[string]*modelVolume{}
	for range modelVolumes() { // a copy may keep its source
		for _, id := range modelVolumes() {
			if d, ok := w.Driver.(storage.Disconnector); ok {
				for _, c := range w.connectors {
					_ = d.Disconnect(w.ctx, id, c)
				}
			}
			if d, ok := w.Driver.(storage.Snapshotter); ok {
				for _, s := range modelSnapshots() {
					_ = d.DeleteSnapshot(w.ctx, id, s)
				}
			}
			_ = w.Driver.Delete(w.ctx, id)
		}
	}
	for _, id := range modelVolumes() {
		_, err := w.Driver.Get(w.ctx, id)
		w.is(err, storage.ErrNotFound, "emptying: get %s", id)
	}
}

// is fails unless err is the one expected; nil is one too.
func (w *world) is(err, want error, format string, args ...any) bool {
	w.t.Helper()
	if !errors.Is(err, want) {
		w.t.Fatalf("%s: %v, expected %v", fmt.Sprintf(format, args...), err, want)
	}
	return err == nil
}

func (w *world) pick(what string, of []string) string { return rapid.SampledFrom(of).Draw(w.t, what) }

// pickVolume picks any, and four times of five one that is there.
func (w *world) pickVolume(what string) string {
	there := slices.Sorted(maps.Keys(w.volumes))
	if len(there) == 0 || rapid.IntRange(0, 4).Draw(w.t, "absent") == 4 {
		there = modelVolumes()
	}
	return w.pick(what, there)
}

// pickSnapshot picks any, and four times of five one that is there.
func (w *world) pickSnapshot() (id, snapshot string) {
	var there []string
	for _, id := range modelVolumes() {
		if m := w.volumes[id]; m != nil {
			for _, snapshot := range slices.Sorted(maps.Keys(m.snapshots)) {
				there = append(there, id+"@"+snapshot)
			}
		}
	}
	if len(there) == 0 || rapid.IntRange(0, 4).Draw(w.t, "absent") == 4 {
		return w.pick("volume", modelVolumes()), w.pick("snapshot", modelSnapshots())
	}
	id, snapshot, _ = strings.Cut(w.pick("snapshot", there), "@")
	return id, snapshot
}

func (w *world) rounded(size int64) int64 {
	stats, err := w.Driver.Stats(w.ctx)
	w.is(err, nil, "stats")
	return stats.Round(size)
}

// readable tells whether data is compared.
func (w *world) readable() bool { return w.Write != nil && w.Read != nil }

// add expects a new volume as a copy of state; a size of 0 is the state's.
func (w *world) add(id string, v *storage.Volume, asked int64, state modelState, parents ...string) {
	want := state
	if asked != 0 {
		want.size = w.rounded(asked)
	}
	if v == nil || v.ID != id || v.SizeBytes != want.size {
		w.t.Fatalf("made %+v, expected %s with %d bytes", v, id, want.size)
	}
	m := &modelVolume{modelState: want, snapshots: map[string]modelState{}, connected: map[string]bool{}, parents: map[string]bool{}}
	for _, parent := range parents {
		m.parents[parent] = true
	}
	w.volumes[id] = m
}

// wantCopy is what copying a state must answer.
func (w *world) wantCopy(id string, asked int64, state modelState) error {
	switch {
	case w.volumes[id] != nil:
		return storage.ErrExists
	case asked != 0 && w.rounded(asked) < state.size:
		return storage.ErrInvalid
	}
	return nil
}

// either accepts both where an ID is taken and the size is wrong: no order is promised.
func (w *world) either(err, want error, taken bool, format string, args ...any) bool {
	if taken && errors.Is(err, storage.ErrInvalid) {
		return false
	}
	return w.is(err, want, format, args...)
}

func (w *world) actions() map[string]func(*rapid.T) {
	all := map[string]func(){"": w.compare, "create": w.create, "delete": w.delete, "absent": w.absent}
	if has(w.Harness, "Disconnector") {
		all["connect"], all["disconnect"] = w.connect, w.disconnect
	}
	if has(w.Harness, "Extender") {
		all["extend"] = w.extend
	}
	if has(w.Harness, "Snapshotter") {
		all["create snapshot"], all["delete snapshot"], all["create from snapshot"] = w.createSnapshot, w.deleteSnapshot, w.createFromSnapshot
	}
	if has(w.Harness, "Cloner") {
		all["clone"] = w.clone
	}
	if has(w.Harness, "Reverter") {
		all["revert"] = w.revert
	}
	if has(w.Harness, "Adopter") {
		all["unmanage and manage"] = w.adopt
	}
	if has(w.Harness, "Limiter") {
		all["set qos"] = w.setQoS
	}
	if w.readable() {
		all["write"] = w.write
	}
	actions := map[string]func(*rapid.T){}
	for name, action := range all {
		actions[name] = func(t *rapid.T) {
			w.t = t
			action()
		}
	}
	return actions
}

// compare asks for everything there should be, and what there should not.
func (w *world) compare() {
	provisioned := int64(0)
	var listed []string
	for _, id := range modelVolumes() {
		v, err := w.Driver.Get(w.ctx, id)
		m := w.volumes[id]
		if m == nil {
			w.is(err, storage.ErrNotFound, "get %s", id)
			continue
		}
		w.is(err, nil, "get %s", id)
		if v.ID != id || v.SizeBytes != m.size {
			w.t.Fatalf("got %+v, expected %s with %d bytes", v, id, m.size)
		}
		listed = append(listed, id)
		provisioned += m.size
		w.compareSnapshots(id, m)
		if d, ok := w.Driver.(storage.Limiter); ok {
			q, err := d.GetQoS(w.ctx, id)
			w.is(err, nil, "get qos of %s", id)
			if q != m.qos {
				w.t.Fatalf("qos of %s: %+v, expected %+v", id, q, m.qos)
			}
		}
		if w.readable() && m.size >= smallBytes {
			var got [2]byte
			for place := range got {
				w.is(w.Read(w.ctx, id, got[place:place+1], modelPlace(place)), nil, "read %s", id)
			}
			if !bytes.Equal(got[:], m.data[:]) {
				w.t.Fatalf("%s holds %v, expected %v", id, got, m.data)
			}
		}
	}
	stats, err := w.Driver.Stats(w.ctx)
	w.is(err, nil, "stats")
	if stats.Volumes != len(listed) || stats.ProvisionedBytes != provisioned {
		w.t.Fatalf("stats: %d volumes of %d bytes, expected %d of %d", stats.Volumes, stats.ProvisionedBytes, len(listed), provisioned)
	}
	if d, ok := w.Driver.(storage.Lister); ok {
		volumes, err := d.List(w.ctx, "", 100)
		w.is(err, nil, "list")
		var got []string
		for _, v := range volumes {
			got = append(got, v.ID)
		}
		if !slices.Equal(listed, got) {
			w.t.Fatalf("list: %v, expected %v", got, listed)
		}
	}
}

func (w *world) compareSnapshots(id string, m *modelVolume) {
	d, ok := w.Driver.(storage.Snapshotter)
	if !ok {
		return
	}
	if l, ok := w.Driver.(storage.SnapshotLister); ok {
		all, err := l.ListSnapshots(w.ctx, id, "", 100)
		w.is(err, nil, "list snapshots of %s", id)
		var got []string
		for _, s := range all {
			got = append(got, s.ID)
		}
		if want := slices.Sorted(maps.Keys(m.snapshots)); !slices.Equal(want, got) {
			w.t.Fatalf("list of the snapshots of %s: %v, expected %v", id, got, want)
		}
	}
	for _, snapshot := range modelSnapshots() {
		s, err := d.GetSnapshot(w.ctx, id, snapshot)
		state, there := m.snapshots[snapshot]
		if !there {
			w.is(err, storage.ErrNotFound, "get snapshot %s@%s", id, snapshot)
			continue
		}
		w.is(err, nil, "get snapshot %s@%s", id, snapshot)
		if diff := cmp.Diff(&storage.Snapshot{ID: snapshot, VolumeID: id, SizeBytes: state.size}, s); diff != "" {
			w.t.Fatalf("snapshot %s@%s: %s", id, snapshot, diff)
		}
	}
}
