package redfishsim_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// hand is a clock that is moved by hand.
type hand struct{ now time.Time }

func (h *hand) Now() time.Time                       { return h.now }
func (h *hand) After(time.Duration) <-chan time.Time { return nil }

// Whatever is done to a machine of any personality: its revision grows with each change and only
// then, no disk is in two places, wipes never become fewer, jobs end, a state that is stored and
// loaded at any point is the same, and so is what becomes of it.
func TestMachineModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := &hand{time.Unix(1_700_000_000, 0)}
		spec := redfishsim.Spec{Name: "n1", Disks: redfishsim.Disks("n1", 6), NICs: []redfishsim.NIC{{Name: "a", MAC: "52:54:00:00:00:01"}},
			Personality: rapid.SampledFrom(redfishsim.Personalities()).Draw(t, "personality")}
		changes := uint64(0)
		opts := &redfishsim.Options{Clock: clock, OnChange: func(s redfishsim.State) {
			if changes++; s.Revision != changes {
				t.Fatalf("revision %d at change %d", s.Revision, changes)
			}
		}}
		m, err := redfishsim.NewMachine(spec, opts)
		if err != nil {
			t.Fatal(err)
		}
		b, err := redfishsim.NewBMC(redfishsim.Config{Machine: m, Username: "u", Password: "p"})
		if err != nil {
			t.Fatal(err)
		}
		serials := disksOfMachine(m)
		serial := rapid.SampledFrom(serials)
		before := m.State()
		actions := map[string]func(*rapid.T){
			"time": func(t *rapid.T) {
				clock.now = clock.now.Add(time.Duration(rapid.IntRange(1, 400).Draw(t, "s")) * time.Second)
			},
			"reset": func(t *rapid.T) { _ = m.Reset(rapid.SampledFrom(redfishsim.ResetTypes()).Draw(t, "type")) },
			"create": func(t *rapid.T) {
				c := rapid.SampledFrom(m.Spec().Controllers).Draw(t, "controller")
				disks := rapid.SliceOfNDistinct(serial, 1, 6, rapid.ID[string]).Draw(t, "disks")
				var spares []string
				if len(disks) > 2 && rapid.Bool().Draw(t, "spare") {
					disks, spares = disks[1:], disks[:1]
				}
				v := redfishsim.Volume{Controller: c.ID, RAIDLevel: rapid.SampledFrom(hardware.RAIDLevels()).Draw(t, "level"), Disks: disks, Spares: spares}
				if rapid.Bool().Draw(t, "by the BMC") {
					_, _, _ = redfishsim.RequestVolume(m, v)
				} else {
					_, _ = m.CreateVolume(v)
				}
			},
			"delete": func(t *rapid.T) {
				if vs := m.State().Volumes; len(vs) > 0 {
					v := rapid.SampledFrom(vs).Draw(t, "volume")
					if rapid.Bool().Draw(t, "by the BMC") {
						_, _ = redfishsim.RequestDelete(m, v.ID)
					} else {
						_ = m.DeleteVolume(v.ID)
					}
				}
			},
			"bios": func(t *rapid.T) {
				values := map[string]any{}
				for _, a := range m.Spec().Attributes {
					if len(a.Values) > 0 && rapid.Bool().Draw(t, a.Name) {
						values[a.Name] = rapid.SampledFrom(a.Values).Draw(t, "value")
					}
				}
				_ = m.SetBIOS(values)
				if rapid.Bool().Draw(t, "commit") {
					_, _ = m.CommitBIOS()
				}
			},
			"deletejob": func(t *rapid.T) {
				if all := m.State().Jobs; len(all) > 0 {
					_ = m.DeleteJob(rapid.SampledFrom(all).Draw(t, "job").ID)
				}
			},
			"fail":    func(t *rapid.T) { _ = m.FailDrive(serial.Draw(t, "disk")) },
			"replace": func(t *rapid.T) { _ = m.ReplaceDrive(serial.Draw(t, "disk"), "new") },
			"write":   func(t *rapid.T) { _ = m.Write(m.BootDisk(), rapid.StringN(1, 3, 3).Draw(t, "contents")) },
			"stick": func(t *rapid.T) {
				if err := b.SetKnobs(redfishsim.Knobs{StuckJobs: rapid.Bool().Draw(t, "stuck")}); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				s := m.State()
				if s.Revision != changes || s.Revision < before.Revision {
					t.Fatalf("revision %d after %d changes, before %d", s.Revision, changes, before.Revision)
				}
				if diff := cmp.Diff(withoutRevision(before), withoutRevision(s)); diff != "" && s.Revision == before.Revision {
					t.Fatalf("changed without a revision: %s", diff)
				}
				checkDisks(t, s, before)
				if next := m.NextDeadline(); !next.IsZero() && !next.After(clock.now) && s.Power != redfishsim.PowerOn {
					t.Fatalf("due at %s, and it is %s", next, clock.now)
				}
				restored(t, spec, clock, s)
				before = s
			},
		}
		t.Repeat(actions)

		if err := b.SetKnobs(redfishsim.Knobs{}); err != nil {
			t.Fatal(err)
		}
		_ = m.Reset(redfishsim.ResetForceOff)
		clock.now = clock.now.Add(time.Hour)
		_ = m.Reset(redfishsim.ResetOn)
		clock.now = clock.now.Add(time.Hour)
		for _, j := range m.State().Jobs {
			if j.Active() {
				t.Fatalf("job %+v has not ended", j)
			}
		}
	})
}

func withoutRevision(s redfishsim.State) redfishsim.State { s.Revision = 0; return s }

func checkDisks(t *rapid.T, s, before redfishsim.State) {
	member := map[string]bool{}
	for _, v := range s.Volumes {
		for _, d := range slices.Concat(v.Disks, v.Spares) {
			if member[d] {
				t.Fatalf("%s is in two places", d)
			}
			member[d] = true
		}
		sizes := make([]int64, len(v.Disks))
		for i := range sizes {
			sizes[i] = 1 << 50
		}
		if _, err := v.RAIDLevel.Usable(sizes); err != nil || v.SizeBytes <= 0 {
			t.Fatalf("%s of %d disks with %d bytes", v.RAIDLevel, len(v.Disks), v.SizeBytes)
		}
	}
	for serial, d := range s.Disks {
		if d.Wipes < before.Disks[serial].Wipes {
			t.Fatalf("%s was wiped %d times, then %d", serial, before.Disks[serial].Wipes, d.Wipes)
		}
		if d.Failed && d.Contents != "" {
			t.Fatalf("%s has failed and holds %q", serial, d.Contents)
		}
	}
}

// restored checks that a state which is stored and loaded is the same.
func restored(t *rapid.T, spec redfishsim.Spec, clock redfishsim.Clock, s redfishsim.State) {
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var stored redfishsim.State
	if err := json.Unmarshal(data, &stored); err != nil {
		t.Fatal(err)
	}
	back, err := redfishsim.NewMachine(spec, &redfishsim.Options{Clock: clock, State: &stored})
	if err != nil {
		t.Fatal(err)
	}
	got := back.State()
	again, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if got.Revision == s.Revision && string(again) != string(data) { // else a job that was stuck went on
		t.Fatalf("stored %s, loaded %s", data, again)
	}
}
