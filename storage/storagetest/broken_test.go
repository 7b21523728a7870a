package storagetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/memory"
)

// broken is a memory driver with some methods replaced.
type broken struct {
	*memory.Driver
	check        func(context.Context) error
	create       func(context.Context, storage.VolumeSpec) (*storage.Volume, error)
	get          func(context.Context, string) (*storage.Volume, error)
	delete       func(context.Context, string) error
	connect      func(context.Context, string, storage.Connector) (*storage.Connection, error)
	disconnect   func(context.Context, string, storage.Connector) error
	stats        func(context.Context) (*storage.Stats, error)
	list         func(context.Context, string, int) ([]storage.Volume, error)
	extend       func(context.Context, string, int64) (*storage.Volume, error)
	snapshot     func(context.Context, string, string) (*storage.Snapshot, error)
	unsnapshot   func(context.Context, string, string) error
	fromSnapshot func(context.Context, storage.VolumeSpec, string, string) (*storage.Volume, error)
	snapshots    func(context.Context, string, string, int) ([]storage.Snapshot, error)
	clone        func(context.Context, storage.VolumeSpec, string) (*storage.Volume, error)
	revert       func(context.Context, string, string) error
	manageable   func(context.Context, string, int) ([]storage.Manageable, error)
	unmanage     func(context.Context, string) (string, error)
	imports      func(context.Context, storage.VolumeSpec, io.Reader, int64, func(int64, int64)) (*storage.Volume, error)
	exports      func(context.Context, string, io.Writer, func(int64, int64)) error
	fromImage    func(context.Context, storage.VolumeSpec, string) (*storage.Volume, error)
	purge        func(context.Context) (int, error)
	setQoS       func(context.Context, string, storage.QoS) error
}

// or returns the replacement if there is one.
func or[F any](replacement, own F, replaced bool) F {
	if replaced {
		return replacement
	}
	return own
}

func (b *broken) Check(ctx context.Context) error {
	return or(b.check, b.Driver.Check, b.check != nil)(ctx)
}

func (b *broken) Create(ctx context.Context, v storage.VolumeSpec) (*storage.Volume, error) {
	return or(b.create, b.Driver.Create, b.create != nil)(ctx, v)
}

func (b *broken) Get(ctx context.Context, id string) (*storage.Volume, error) {
	return or(b.get, b.Driver.Get, b.get != nil)(ctx, id)
}

func (b *broken) Delete(ctx context.Context, id string) error {
	return or(b.delete, b.Driver.Delete, b.delete != nil)(ctx, id)
}

func (b *broken) Connect(ctx context.Context, id string, c storage.Connector) (*storage.Connection, error) {
	return or(b.connect, b.Driver.Connect, b.connect != nil)(ctx, id, c)
}

func (b *broken) Disconnect(ctx context.Context, id string, c storage.Connector) error {
	return or(b.disconnect, b.Driver.Disconnect, b.disconnect != nil)(ctx, id, c)
}

func (b *broken) Stats(ctx context.Context) (*storage.Stats, error) {
	return or(b.stats, b.Driver.Stats, b.stats != nil)(ctx)
}

func (b *broken) List(ctx context.Context, after string, limit int) ([]storage.Volume, error) {
	return or(b.list, b.Driver.List, b.list != nil)(ctx, after, limit)
}

func (b *broken) Extend(ctx context.Context, id string, size int64) (*storage.Volume, error) {
	return or(b.extend, b.Driver.Extend, b.extend != nil)(ctx, id, size)
}

func (b *broken) CreateSnapshot(ctx context.Context, volume, id string) (*storage.Snapshot, error) {
	return or(b.snapshot, b.Driver.CreateSnapshot, b.snapshot != nil)(ctx, volume, id)
}

func (b *broken) DeleteSnapshot(ctx context.Context, volume, id string) error {
	return or(b.unsnapshot, b.Driver.DeleteSnapshot, b.unsnapshot != nil)(ctx, volume, id)
}

func (b *broken) CreateFromSnapshot(ctx context.Context, v storage.VolumeSpec, volume, id string) (*storage.Volume, error) {
	return or(b.fromSnapshot, b.Driver.CreateFromSnapshot, b.fromSnapshot != nil)(ctx, v, volume, id)
}

func (b *broken) ListSnapshots(ctx context.Context, volume, after string, limit int) ([]storage.Snapshot, error) {
	return or(b.snapshots, b.Driver.ListSnapshots, b.snapshots != nil)(ctx, volume, after, limit)
}

func (b *broken) Clone(ctx context.Context, v storage.VolumeSpec, source string) (*storage.Volume, error) {
	return or(b.clone, b.Driver.Clone, b.clone != nil)(ctx, v, source)
}

func (b *broken) Revert(ctx context.Context, volume, id string) error {
	return or(b.revert, b.Driver.Revert, b.revert != nil)(ctx, volume, id)
}

func (b *broken) Manageable(ctx context.Context, after string, limit int) ([]storage.Manageable, error) {
	return or(b.manageable, b.Driver.Manageable, b.manageable != nil)(ctx, after, limit)
}

func (b *broken) Unmanage(ctx context.Context, id string) (string, error) {
	return or(b.unmanage, b.Driver.Unmanage, b.unmanage != nil)(ctx, id)
}

func (b *broken) Import(ctx context.Context, v storage.VolumeSpec, r io.Reader, size int64, progress func(int64, int64)) (*storage.Volume, error) {
	return or(b.imports, b.Driver.Import, b.imports != nil)(ctx, v, r, size, progress)
}

func (b *broken) Export(ctx context.Context, id string, w io.Writer, progress func(int64, int64)) error {
	return or(b.exports, b.Driver.Export, b.exports != nil)(ctx, id, w, progress)
}

func (b *broken) CreateFromImage(ctx context.Context, v storage.VolumeSpec, location string) (*storage.Volume, error) {
	return or(b.fromImage, b.Driver.CreateFromImage, b.fromImage != nil)(ctx, v, location)
}

func (b *broken) PurgeTrash(ctx context.Context) (int, error) {
	return or(b.purge, b.Driver.PurgeTrash, b.purge != nil)(ctx)
}

func (b *broken) SetQoS(ctx context.Context, id string, q storage.QoS) error {
	return or(b.setQoS, b.Driver.SetQoS, b.setQoS != nil)(ctx, id, q)
}

var errLost = fmt.Errorf("read answer: %w", storage.ErrUnknownOutcome)

// breaks has each rule with the ways to break it.
func breaks() map[string]map[string]func(b *broken, h *Harness) {
	all := map[string]map[string]func(b *broken, h *Harness){}
	for _, some := range []map[string]map[string]func(b *broken, h *Harness){breaksOfVolumes, breaksOfSnapshots, breaksOfImages, breaksOfFaults} {
		maps.Copy(all, some)
	}
	return all
}

func testHarness(t *testing.T) (*broken, Harness) {
	config := memory.Config{CapacityBytes: 1 << 40}
	d, err := memory.New(config)
	require.NoError(t, err)
	b := &broken{Driver: d}
	return b, Harness{
		Driver: b, CapacityBytes: config.CapacityBytes, Write: d.WriteAt, Read: d.ReadAt,
		Image: func(t *testing.T, data []byte) string {
			size := int64(len(data))
			_, err := d.Import(t.Context(), storage.VolumeSpec{ID: "image", SizeBytes: size}, bytes.NewReader(data), size, nil)
			require.NoError(t, err)
			name, err := d.Unmanage(t.Context(), "image")
			require.NoError(t, err)
			return "memory://" + name
		},
		LoseRequest: func(op string) { d.Inject(memory.Fault{Op: op, Before: errLost}) },
		LoseReply:   func(op string) { d.Inject(memory.Fault{Op: op, After: errLost}) },
	}
}

const breakVariable = "STORAGETEST_BREAK"

// TestBroken runs one rule over a driver that breaks it, for TestRulesFindWhatBreaksThem.
func TestBroken(t *testing.T) {
	name, way, asked := strings.Cut(os.Getenv(breakVariable), "/")
	if !asked {
		t.Skip("it fails on purpose")
	}
	if name == "model" {
		RunModel(t, func(t *testing.T) Harness {
			b, h := testHarness(t)
			breaksOfModel[way](b, &h)
			return h
		})
	}
	if name == "suite" {
		Run(t, func(t *testing.T) Harness {
			b, h := testHarness(t)
			breaks()[way]["undeclared"](b, &h)
			return h
		})
	}
	for _, rule := range rules() {
		if rule.name == name {
			b, h := testHarness(t)
			breaks()[name][way](b, &h)
			rule.run(t, h)
		}
	}
}

func TestRulesFindWhatBreaksThem(t *testing.T) {
	for _, rule := range rules() {
		t.Run(rule.name, func(t *testing.T) {
			_, h := testHarness(t)
			rule.run(t, h) // it holds where nothing is broken, so that what fails is the break
			require.NotEmpty(t, breaks()[rule.name], "a rule that nothing breaks")
			t.Parallel()
			for way := range breaks()[rule.name] {
				mustFail(t, rule.name+"/"+way)
			}
		})
	}
	for way := range breaksOfModel {
		t.Run("model/"+way, func(t *testing.T) {
			t.Parallel()
			mustFail(t, "model/"+way)
		})
	}
}

// Who writes a driver meets this first.
func TestUndeclaredIsToldInWords(t *testing.T) {
	out := mustFail(t, "suite/what is unsupported is declared")
	require.Contains(t, out, "the driver is no storage.Lister: make it one, or name it in Harness.Unsupported")
	require.NotContains(t, out, "panic")
}

// mustFail runs TestBroken in a process of its own, as a test cannot fail inside another, and
// returns what it printed.
func mustFail(t *testing.T, broken string) string {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestBroken$", "-test.timeout=300s", "-rapid.nofailfile", "-rapid.checks=1000")
	command.Env = append(os.Environ(), breakVariable+"="+broken)
	out, err := command.CombinedOutput()
	require.Error(t, err, "%s: not found", broken)
	require.Regexp(t, regexp.MustCompile(`(?m)^--- FAIL: TestBroken`), string(out), broken)
	return string(out)
}
