package sim

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
	"github.com/crowbarkit/crowbarkit/pxe"
	"github.com/crowbarkit/crowbarkit/pxe/pxetest"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// Machine is one simulated machine.
type Machine struct {
	site     *Site
	identity identity
	file     string // "" keeps the machine in memory
	facts    *barclamp.Facts
	hardware *redfishsim.Machine
	bmc      *redfishsim.BMC // nil: it has none
	bmcHost  string
	log      *slog.Logger
	wake     chan struct{} // has room for one; tells run that the hardware has changed

	// mu is taken under the hardware's lock: nothing may use the hardware while it holds mu.
	mu       sync.Mutex
	record   record
	stop     context.CancelFunc // cuts off what runs
	override string             // of the last boot: Redfish Pxe, Hdd, Cd, or ""
	faults   map[string]int     // by role, how often it is to fail
}

func newMachine(s *Site, i int) (*Machine, error) {
	id := identify(s.config.Seed, i)
	m := &Machine{site: s, identity: id, wake: make(chan struct{}, 1), faults: map[string]int{},
		log:    s.log.With("machine", id.serial),
		record: record{Version: formatVersion, Serial: id.serial}}
	var known bool
	if s.config.Dir != "" {
		m.file = filepath.Join(s.config.Dir, fmt.Sprintf("machine-%04d.json", i))
		var err error
		if known, err = load(m.file, &m.record); err != nil {
			return nil, err
		}
		if m.record.Serial != id.serial || m.record.Version != formatVersion {
			return nil, fmt.Errorf("%w: %s is of machine %s in format %d, expected machine %s in format %d",
				ErrOtherSite, m.file, m.record.Serial, m.record.Version, id.serial, formatVersion)
		}
	}
	options := &redfishsim.Options{Clock: s.clock, OnChange: m.hardwareChanged, OnPower: m.powerChanged}
	if known {
		options.State = &m.record.Hardware
	} else {
		m.record.NoBMC = s.config.WithoutBMC != nil && s.config.WithoutBMC(i)
	}
	d := s.config.Durations
	spec := id.spec(redfishsim.Times{POST: d.POST, Off: d.Off, Shutdown: d.Shutdown})
	var err error
	if m.hardware, err = redfishsim.NewMachine(spec, options); err != nil {
		return nil, fmt.Errorf("sim: machine %s: %w", id.serial, err)
	}
	if !known {
		state := m.hardware.State()
		m.keep(func(r *record) { r.Hardware = state })
	}
	bmcURL := ""
	if !m.record.NoBMC {
		m.bmcHost = fmt.Sprintf("bmc-%d.sim", i+1)
		bmcURL = "http://" + m.bmcHost + "/redfish/v1"
		if m.bmc, err = redfishsim.NewBMC(redfishsim.Config{Machine: m.hardware, Username: bmcUser, Password: id.password, Logger: s.log}); err != nil {
			return nil, fmt.Errorf("sim: machine %s: %w", id.serial, err)
		}
	}
	m.facts = facts(m.hardware.Spec(), id.storage, bmcURL)
	return m, nil
}

// keep changes the record and replaces the file.
func (m *Machine) keep(change func(*record)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.record)
	if m.file == "" {
		return
	}
	if err := store(m.file, &m.record); err != nil {
		m.site.fail(err)
	}
}

// hardwareChanged keeps the hardware before the BMC answers the request that changed it.
func (m *Machine) hardwareChanged(s redfishsim.State) {
	m.keep(func(r *record) { r.Hardware = s })
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// powerChanged cuts off what runs on the machine.
func (m *Machine) powerChanged(e redfishsim.PowerEvent) {
	m.mu.Lock()
	stop := m.stop
	if e.Kind == redfishsim.Booted {
		m.override = e.Boot
	}
	m.mu.Unlock()
	if e.Kind != redfishsim.Booted && stop != nil {
		stop()
	}
}

// run moves the machine until ctx ends: through POST by its clock, then whatever it boots for
// as long as the power stays on.
func (m *Machine) run(ctx context.Context) {
	if s := m.hardware.State(); s.Power == redfishsim.PowerOff && s.LastReset.IsZero() {
		_ = m.hardware.Reset(redfishsim.ResetOn) // an off machine can always be turned on
	}
	for ctx.Err() == nil {
		s := m.hardware.State()
		if s.Power == redfishsim.PowerOn {
			m.boot(ctx, s.Boots)
			continue
		}
		var due <-chan time.Time
		if !s.Until.IsZero() {
			due = m.site.clock.After(s.Until.Sub(m.site.clock.Now()))
		}
		select {
		case <-ctx.Done():
		case <-m.wake:
		case <-due:
		}
	}
}

// boot runs what the machine boots, or goes on with what it had booted when the site was
// closed, until its power goes.
func (m *Machine) boot(ctx context.Context, boots int) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.mu.Lock()
	m.stop = cancel
	m.mu.Unlock()
	if s := m.hardware.State(); s.Power != redfishsim.PowerOn || s.Boots != boots {
		return // it went between the caller's look and now
	}
	r := m.running(boots)
	if r == nil {
		if r = m.firmware(ctx, boots); r == nil {
			return
		}
		if m.site.wait(ctx, m.site.config.Durations.Boot) != nil {
			return
		}
	}
	m.log.Info("running", "image", r.Image)
	switch r.Image {
	case imageDisk:
		m.follow(ctx, m.system)
	case string(lifecycle.ActionOSInstall):
		m.follow(ctx, m.installer)
	default:
		m.follow(ctx, m.image)
	}
	<-ctx.Done()
}

// running is what the machine booted after so many POSTs; nil: nothing yet.
func (m *Machine) running(boots int) *running {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.record.Running == nil || m.record.Running.Boots != boots {
		return nil
	}
	r := *m.record.Running
	return &r
}

// bootRetry is how long firmware that found nothing to boot waits until it goes through its
// boot order again, as servers do that nobody sits in front of.
const bootRetry = 30 * time.Second

// firmware goes through the boot order, network first, until something boots. It returns nil
// when ctx ends.
func (m *Machine) firmware(ctx context.Context, boots int) *running {
	m.mu.Lock()
	override := m.override
	m.override = ""
	m.mu.Unlock()
	pause := m.pauses()
	for ctx.Err() == nil {
		decision := &pxe.Decision{}
		if override != "Hdd" {
			var err error
			if decision, err = m.askToBoot(ctx); err != nil {
				if ctx.Err() == nil {
					m.log.Debug("network boot", "error", err)
				}
				_ = pause.wait(ctx)
				continue
			}
		}
		override = ""
		booted := running{Boots: boots}
		switch {
		case decision.Action == pxe.ActionBoot:
			t, err := newTicket(decision)
			if err != nil {
				m.log.Warn("network boot", "error", err)
				_ = pause.wait(ctx)
				continue
			}
			booted.Image, _ = decision.Arg("crowbar.state")
			booted.OS, _ = decision.Arg("crowbar.os")
			m.keep(func(r *record) { r.Ticket, r.Running = t, &booted })
		case m.bootable():
			booted.Image = imageDisk
			m.keep(func(r *record) { r.Running = &booted })
		default:
			m.log.Info("told to boot the disk, which holds no system")
			_ = m.site.wait(ctx, bootRetry)
			continue
		}
		return &booted
	}
	return nil
}

// askToBoot sends iPXE's question and follows the script.
func (m *Machine) askToBoot(ctx context.Context) (*pxe.Decision, error) {
	spec := m.hardware.Spec()
	f := pxetest.Firmware{
		URL: m.site.config.URL, Transport: m.site.config.Transport, MAC: m.identity.mac,
		UUID: spec.UUID, Arch: pxe.ArchX8664, Platform: pxe.FirmwareEFI,
		Manufacturer: spec.Manufacturer, Product: spec.Model, Serial: spec.Serial,
	}
	return f.Boot(ctx)
}

// newTicket reads a kernel's command line.
func newTicket(d *pxe.Decision) (t ticket, err error) {
	t.Node, _ = d.Arg("crowbar.hostname")
	t.Token, _ = d.Arg("crowbar.token")
	epoch, _ := d.Arg("crowbar.boot")
	if t.Boot, err = strconv.Atoi(epoch); err != nil || t.Node == "" || t.Token == "" {
		return t, fmt.Errorf("sim: the kernel's command line has no crowbar.hostname, crowbar.token or crowbar.boot")
	}
	return t, nil
}

// bootable says whether the boot disk holds a whole system.
func (m *Machine) bootable() bool {
	contents, err := m.hardware.Contents(m.hardware.BootDisk())
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.record.Installed
	return err == nil && i != nil && i.Complete && i.Contents == contents
}

// MAC is the address of the port that the machine boots from, with colons.
func (m *Machine) MAC() string { return m.identity.mac.String() }

// Serial is the serial number.
func (m *Machine) Serial() string { return m.identity.serial }

// BMC is the machine's BMC, with its request log and its knobs; nil if it has none.
func (m *Machine) BMC() *redfishsim.BMC { return m.bmc }

// Hardware is the machine itself, without what runs on it.
func (m *Machine) Hardware() *redfishsim.Machine { return m.hardware }

// RAID lists the levels of the machine's volumes as its controller has them, oldest first;
// empty where all disks are left to the operating system.
func (m *Machine) RAID() []hardware.RAIDLevel {
	levels := []hardware.RAIDLevel{}
	for _, v := range m.hardware.State().Volumes {
		levels = append(levels, v.RAIDLevel)
	}
	return levels
}

// BIOS returns the settings in force by the names of the machine's BIOS.
func (m *Machine) BIOS() map[string]any { return m.hardware.State().BIOS }

// DiskWipes says for each disk, by serial number, how often data on it was destroyed.
func (m *Machine) DiskWipes() map[string]int {
	wipes := map[string]int{}
	for serial, d := range m.hardware.State().Disks {
		wipes[serial] = d.Wipes
	}
	return wipes
}

// Node is the name that the machine was given at its last network boot; "" before.
func (m *Machine) Node() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.record.Ticket.Node
}

// Roles lists what the jig has applied to the installed system, in that order.
func (m *Machine) Roles() []Role {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.record.Installed == nil {
		return nil
	}
	return slices.Clone(m.record.Installed.Roles)
}

// Status says in a few words what the machine does: off, post, firmware, disk, or the image
// that it booted from the network.
func (m *Machine) Status() string {
	s := m.hardware.State()
	if s.Power != redfishsim.PowerOn {
		return string(s.Power)
	}
	if r := m.running(s.Boots); r != nil {
		return r.Image
	}
	return "firmware"
}
