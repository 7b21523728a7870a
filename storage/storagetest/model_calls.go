package storagetest

import (
	"errors"
	"maps"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/storage"
)

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
