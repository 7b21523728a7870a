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

func (w *world) create() {
	id, size := w.pick("volume", modelVolumes()), rapid.SampledFrom(modelSizes()).Draw(w.t, "size")
	v, err := w.Driver.Create(w.ctx, storage.VolumeSpec{ID: id, SizeBytes: size})
	if w.volumes[id] != nil {
		w.is(err, storage.ErrExists, "create %s", id)
		return
	}
	w.is(err, nil, "create %s", id)
	w.add(id, v, size, modelState{})
}

// dependents are what must be in the way of deleting a volume.
func (m *modelVolume) dependents() int { return len(m.snapshots) + len(m.connected) }

// kept tells whether another volume may keep this one or its snapshots.
func (w *world) kept(id string) bool {
	for _, m := range w.volumes {
		if m.parents[id] {
			return true
		}
	}
	return false
}

func (w *world) delete() {
	id := w.pickVolume("volume")
	err := w.Driver.Delete(w.ctx, id)
	m := w.volumes[id]
	switch {
	case m == nil:
		w.is(err, storage.ErrNotFound, "delete %s", id)
	case m.dependents() > 0:
		w.is(err, storage.ErrBusy, "delete %s with %d dependents", id, m.dependents())
		var busy *storage.BusyError
		if !errors.As(err, &busy) || len(busy.Dependents) < m.dependents() {
			w.t.Fatalf("delete %s: %v, expected %d dependents", id, err, m.dependents())
		}
	case w.kept(id) && errors.Is(err, storage.ErrBusy):
	default:
		w.is(err, nil, "delete %s", id)
		// What was copied from it hangs on what it was copied from.
		for _, other := range w.volumes {
			if other.parents[id] {
				delete(other.parents, id)
				maps.Copy(other.parents, m.parents)
			}
		}
		delete(w.volumes, id)
	}
}

func (w *world) absent() {
	_, err := w.Driver.Get(w.ctx, "never")
	w.is(err, storage.ErrNotFound, "get never")
}

func (w *world) connect() {
	id, host := w.pickVolume("volume"), w.pick("host", []string{"node1", "node2"})
	c, err := w.Driver.Connect(w.ctx, id, w.connectors[host])
	if w.volumes[id] == nil {
		w.is(err, storage.ErrNotFound, "connect %s", id)
		return
	}
	w.is(err, nil, "connect %s", id)
	if c == nil {
		w.t.Fatalf("connect %s: no connection", id)
	}
	w.volumes[id].connected[host] = true
}

func (w *world) disconnect() {
	id, host := w.pickVolume("volume"), w.pick("host", []string{"node1", "node2"})
	err := w.Driver.(storage.Disconnector).Disconnect(w.ctx, id, w.connectors[host])
	if w.volumes[id] == nil {
		w.is(err, storage.ErrNotFound, "disconnect %s", id)
		return
	}
	w.is(err, nil, "disconnect %s", id)
	delete(w.volumes[id].connected, host)
}

func (w *world) extend() {
	id, size := w.pickVolume("volume"), rapid.SampledFrom(modelSizes()).Draw(w.t, "size")
	v, err := w.Driver.(storage.Extender).Extend(w.ctx, id, size)
	m := w.volumes[id]
	switch {
	case m == nil:
		w.is(err, storage.ErrNotFound, "extend %s", id)
	case w.rounded(size) < m.size:
		w.is(err, storage.ErrInvalid, "extend %s of %d to %d", id, m.size, size)
	default:
		w.is(err, nil, "extend %s to %d", id, size)
		if m.size = w.rounded(size); v.SizeBytes != m.size {
			w.t.Fatalf("extend %s: %d bytes, expected %d", id, v.SizeBytes, m.size)
		}
	}
}

func (w *world) createSnapshot() {
	id, snapshot := w.pickVolume("volume"), w.pick("snapshot", modelSnapshots())
	s, err := w.Driver.(storage.Snapshotter).CreateSnapshot(w.ctx, id, snapshot)
	m := w.volumes[id]
	if m == nil {
		w.is(err, storage.ErrNotFound, "snapshot of %s", id)
		return
	}
	if _, there := m.snapshots[snapshot]; there {
		w.is(err, storage.ErrExists, "snapshot %s@%s", id, snapshot)
		return
	}
	w.is(err, nil, "snapshot %s@%s", id, snapshot)
	m.snapshots[snapshot] = m.modelState
	if diff := cmp.Diff(&storage.Snapshot{ID: snapshot, VolumeID: id, SizeBytes: m.size}, s); diff != "" {
		w.t.Fatalf("snapshot %s@%s: %s", id, snapshot, diff)
	}
}

// state returns a snapshot's state; false: there is none.
func (w *world) state(id, snapshot string) (modelState, bool) {
	m := w.volumes[id]
	if m == nil {
		return modelState{}, false
	}
	state, there := m.snapshots[snapshot]
	return state, there
}

func (w *world) deleteSnapshot() {
	id, snapshot := w.pickSnapshot()
	err := w.Driver.(storage.Snapshotter).DeleteSnapshot(w.ctx, id, snapshot)
	if _, there := w.state(id, snapshot); !there {
		w.is(err, storage.ErrNotFound, "delete snapshot %s@%s", id, snapshot)
		return
	}
	if w.kept(id) && errors.Is(err, storage.ErrBusy) {
		return
	}
	w.is(err, nil, "delete snapshot %s@%s", id, snapshot)
	delete(w.volumes[id].snapshots, snapshot)
}

func (w *world) createFromSnapshot() {
	source, snapshot := w.pickSnapshot()
	id := w.pick("volume", modelVolumes())
	size := rapid.SampledFrom(append([]int64{0}, modelSizes()...)).Draw(w.t, "size")
	v, err := w.Driver.(storage.Snapshotter).CreateFromSnapshot(w.ctx, storage.VolumeSpec{ID: id, SizeBytes: size}, source, snapshot)
	state, there := w.state(source, snapshot)
	if !there {
		if w.volumes[id] == nil || !errors.Is(err, storage.ErrExists) {
			w.is(err, storage.ErrNotFound, "from absent snapshot %s@%s", source, snapshot)
		}
		return
	}
	if w.either(err, w.wantCopy(id, size, state), w.volumes[id] != nil, "%s of %d bytes from %s@%s", id, size, source, snapshot) {
		w.add(id, v, size, state, source)
	}
}

func (w *world) clone() {
	source, id := w.pickVolume("source"), w.pick("volume", modelVolumes())
	if source == id {
		return
	}
	size := rapid.SampledFrom(append([]int64{0}, modelSizes()...)).Draw(w.t, "size")
	v, err := w.Driver.(storage.Cloner).Clone(w.ctx, storage.VolumeSpec{ID: id, SizeBytes: size}, source)
	if w.volumes[source] == nil {
		if w.volumes[id] == nil || !errors.Is(err, storage.ErrExists) {
			w.is(err, storage.ErrNotFound, "clone of absent %s", source)
		}
		return
	}
	state := w.volumes[source].modelState
	if w.either(err, w.wantCopy(id, size, state), w.volumes[id] != nil, "clone %s of %d bytes from %s", id, size, source) {
		w.add(id, v, size, state, source)
	}
}

func (w *world) revert() {
	id, snapshot := w.pickSnapshot()
	err := w.Driver.(storage.Reverter).Revert(w.ctx, id, snapshot)
	state, there := w.state(id, snapshot)
	switch {
	case !there:
		w.is(err, storage.ErrNotFound, "revert to absent %s@%s", id, snapshot)
	case len(w.volumes[id].connected) > 0:
		w.is(err, storage.ErrBusy, "revert connected %s@%s", id, snapshot)
	default:
		w.is(err, nil, "revert %s@%s", id, snapshot)
		w.volumes[id].data = state.data
	}
}

// adopt gives a volume up and takes it over, under another ID where one is free.
func (w *world) adopt() {
	id, to := w.pickVolume("volume"), w.pick("to", modelVolumes())
	m := w.volumes[id]
	if m == nil {
		_, err := w.Driver.(storage.Adopter).Unmanage(w.ctx, id)
		w.is(err, storage.ErrNotFound, "unmanage absent %s", id)
		return
	}
	if m.dependents() > 0 || w.kept(id) || len(m.parents) > 0 {
		return // what a back end does with these is its own
	}
	name, err := w.Driver.(storage.Adopter).Unmanage(w.ctx, id)
	w.is(err, nil, "unmanage %s", id)
	delete(w.volumes, id)
	v, err := w.Driver.(storage.Adopter).Manage(w.ctx, to, name)
	if w.volumes[to] != nil {
		w.is(err, storage.ErrExists, "manage %s as %s", name, to)
		to = id
		v, err = w.Driver.(storage.Adopter).Manage(w.ctx, to, name)
	}
	w.is(err, nil, "manage %s as %s", name, to)
	if v.ID != to || v.SizeBytes != m.size {
		w.t.Fatalf("manage %s: %+v, expected %s with %d bytes", name, v, to, m.size)
	}
	m.qos = storage.QoS{} // not what this is about
	if d, ok := w.Driver.(storage.Limiter); ok {
		w.is(d.SetQoS(w.ctx, to, m.qos), nil, "set qos of %s", to)
	}
	w.volumes[to] = m
}

func (w *world) setQoS() {
	id, limit := w.pickVolume("volume"), rapid.Int64Range(0, 3).Draw(w.t, "limit")
	q := storage.QoS{TotalIOPS: limit * 100, ReadBytes: limit % 2 << 20}
	err := w.Driver.(storage.Limiter).SetQoS(w.ctx, id, q)
	if w.volumes[id] == nil {
		w.is(err, storage.ErrNotFound, "set qos of absent %s", id)
		return
	}
	w.is(err, nil, "set qos of %s", id)
	w.volumes[id].qos = q
}

func (w *world) write() {
	id, place := w.pickVolume("volume"), rapid.IntRange(0, 1).Draw(w.t, "place")
	m := w.volumes[id]
	if m == nil || m.size < smallBytes {
		return
	}
	value := rapid.Byte().Draw(w.t, "value")
	w.is(w.Write(w.ctx, id, []byte{value}, modelPlace(place)), nil, "write to %s", id)
	m.data[place] = value
}

func modelPlace(place int) int64 { return int64(place) * (smallBytes - 1) }

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
