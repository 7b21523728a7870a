package sim

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
	"github.com/crowbarkit/crowbarkit/pxe"
)

// storageUpTo is how many of the first n machines are storage machines: three of eight, spread
// evenly, so that a machine is what it is in a site of any size.
func storageUpTo(n int) int { return (3*n + 4) / 8 }

// identity is what the factory printed on machine i of a seed.
type identity struct {
	mac      pxe.MAC // of the first port; the second has the next one
	serial   string
	uuid     string
	password string // of the BMC, as on the tag that is pulled out of the front
	storage  bool
}

func identify(seed uint64, i int) identity {
	// MAC addresses come in a row, as a rack that was bought together has them: no two are
	// equal, and names sort like the machines.
	base := rand.New(rand.NewPCG(seed, 0)).Uint32N(1 << 23)
	number := (base + 2*uint32(i)) & 0xffffff
	own := rand.New(rand.NewPCG(seed, uint64(i)+1))
	var uuid [16]byte
	binary.BigEndian.PutUint64(uuid[:8], own.Uint64())
	binary.BigEndian.PutUint64(uuid[8:], own.Uint64())
	uuid[6], uuid[8] = uuid[6]&0x0f|0x40, uuid[8]&0x3f|0x80 // RFC 9562, version 4
	return identity{
		mac:      pxe.MAC{0x52, 0x54, 0x00, byte(number >> 16), byte(number >> 8), byte(number)},
		serial:   fmt.Sprintf("CK%06X", number),
		uuid:     fmt.Sprintf("%x-%x-%x-%x-%x", uuid[:4], uuid[4:6], uuid[6:8], uuid[8:10], uuid[10:]),
		password: fmt.Sprintf("ck-%012x", own.Uint64()>>16),
		storage:  storageUpTo(i+1) > storageUpTo(i),
	}
}

// spec is the machine behind an identity.
func (id identity) spec(times redfishsim.Times) redfishsim.Spec {
	second := id.mac
	second[5]++ // the first is even, so nothing is carried
	s := redfishsim.Spec{
		Name: id.serial, Manufacturer: "CrowbarKit", Serial: id.serial, UUID: id.uuid,
		Model: "Compute 4", CPUModel: "Simulated(R) Gold @ 2.60GHz", CPUs: 2, Cores: 16, MemoryBytes: 256 << 30,
		NICs: []redfishsim.NIC{
			{Name: "eth0", MAC: id.mac.String(), SpeedMbps: 10_000},
			{Name: "eth1", MAC: second.String(), SpeedMbps: 10_000},
		},
		Controllers: []redfishsim.Controller{redfishsim.DefaultController()},
		Times:       times,
	}
	disks, size, model := 4, int64(1_200_243_695_616), "CK1200MM"
	if id.storage {
		s.Model, s.CPUModel, s.CPUs, s.Cores, s.MemoryBytes = "Storage 12", "Simulated(R) Bronze @ 1.90GHz", 1, 8, 64<<30
		s.BIOS = map[string]any{"ProcVirtualization": "Enabled"} // which storage has no use for
		disks, size, model = 12, 4_000_787_030_016, "CK4000NM"
	}
	for slot := range disks {
		s.Disks = append(s.Disks, redfishsim.Disk{
			Serial: fmt.Sprintf("%s-D%02d", id.serial, slot), WWN: fmt.Sprintf("5000C500%s%02X", id.serial[2:], slot),
			Model: model, SizeBytes: size, Media: "HDD", Protocol: "SAS",
		})
	}
	return s
}

// facts are what the agent finds on the machine. It looks through the RAID controller at the
// physical disks, as they are what can be planned with.
func facts(spec redfishsim.Spec, storage bool, bmcURL string) *barclamp.Facts {
	f := &barclamp.Facts{
		Manufacturer: spec.Manufacturer, Product: spec.Model, Serial: spec.Serial, UUID: spec.UUID, Firmware: "uefi",
		CPU:         barclamp.CPU{Model: spec.CPUModel, Sockets: spec.CPUs, Cores: spec.CPUs * spec.Cores, Flags: strings.Fields("fpu sse2 aes lm nx")},
		MemoryBytes: spec.MemoryBytes,
	}
	if !storage {
		f.CPU.Flags = append(f.CPU.Flags, "vmx")
	}
	for slot, d := range spec.Disks {
		f.Disks = append(f.Disks, barclamp.Disk{
			Name: "sd" + string(rune('a'+slot)), Serial: d.Serial, WWN: d.WWN, SizeBytes: d.SizeBytes, Rotational: d.Media == "HDD",
		})
	}
	for i, n := range spec.NICs {
		f.NICs = append(f.NICs, barclamp.NIC{Name: n.Name, MAC: n.MAC, SpeedMbps: int(n.SpeedMbps), Link: i == 0})
	}
	if bmcURL != "" {
		f.BMC = &barclamp.BMC{URL: bmcURL}
	}
	return f
}
