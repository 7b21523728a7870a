package redfish

import (
	"context"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// bootSource maps our names to Redfish's BootSource.
func bootSource(t hardware.BootTarget) string {
	switch t {
	case hardware.BootNone:
		return "None"
	case hardware.BootPXE:
		return "Pxe"
	case hardware.BootHTTP:
		return "UefiHttp"
	case hardware.BootDisk:
		return "Hdd"
	case hardware.BootCD:
		return "Cd"
	case hardware.BootUSB:
		return "Usb"
	}
	return ""
}

func bootTarget(source string) hardware.BootTarget {
	for _, t := range hardware.BootTargets() {
		if bootSource(t) == source {
			return t
		}
	}
	if source == "CD/DVD" { // Supermicro X10, as captured
		return hardware.BootCD
	}
	return hardware.BootTarget(strings.ToLower(source))
}

// setBoot takes over the override and the boot order.
func (n *conn) setBoot(v *view, d doc) {
	boot := d.Get("Boot")
	b := &v.snap.Boot
	b.Enabled, b.Mode = boot.Get("BootSourceOverrideEnabled").String(), boot.Get("BootSourceOverrideMode").String()
	b.Target = bootTarget(boot.Get("BootSourceOverrideTarget").String())
	b.Targets, b.Order = nil, nil
	for _, t := range boot.Get(`BootSourceOverrideTarget\@Redfish\.AllowableValues`).Array() {
		if target := bootTarget(t.String()); target.Valid() && !slices.Contains(b.Targets, target) {
			b.Targets = append(b.Targets, target)
		}
	}
	for _, reference := range boot.Get("BootOrder").Array() {
		b.Order = append(b.Order, reference.String())
	}
	b.OrderOnReset = n.quirks.BootOrderOnReset || systemSettings(d) != ""
}

// readBootOptions names what is in the boot order, and the order that pends.
func (n *conn) readBootOptions(ctx context.Context, v *view) {
	b := &v.snap.Boot
	b.Options = nil
	if link := v.system.Get("Boot.BootOptions"); link.Exists() && len(b.Order) > 0 {
		members, _ := n.members(ctx, v, id(link))
		for _, m := range members {
			o := hardware.BootOption{Reference: text(m, "BootOptionReference"), Name: text(m, "DisplayName"), Target: optionTarget(m.Result)}
			if o.Name == "" {
				o.Name = text(m, "Name")
			}
			enabled := m.Get("BootOptionEnabled")
			o.Disabled = enabled.Exists() && !enabled.Bool()
			b.Options = append(b.Options, o)
		}
	}
	n.readPendingBoot(ctx, v)
}

// readPendingBoot reads the settings object of the system, where there is one: it takes a new
// boot order, and shows the one that waits for a reset.
func (n *conn) readPendingBoot(ctx context.Context, v *view) {
	v.bootSettings, v.snap.Boot.PendingOrder = doc{}, nil
	uri := systemSettings(v.system)
	if uri == "" {
		return
	}
	settings, err := n.get(ctx, uri)
	if err != nil {
		v.unreadable(uri, err)
		return
	}
	v.bootSettings = settings
	var order []string
	for _, reference := range settings.Get("Boot.BootOrder").Array() {
		order = append(order, reference.String())
	}
	if len(order) > 0 && !slices.Equal(order, v.snap.Boot.Order) {
		v.snap.Boot.PendingOrder = order
	}
}

// systemSettings is where changes of the system wait for a reset, empty where they do not.
func systemSettings(system doc) string {
	return id(system.Get(`\@Redfish\.Settings.SettingsObject`))
}

// optionTarget is the kind of a boot option: its alias, else what its UEFI device path (UEFI
// 2.10, chapter 10) or its name gives away.
func optionTarget(o gjson.Result) hardware.BootTarget {
	if alias := bootTarget(o.Get("Alias").String()); alias.Valid() && alias != hardware.BootNone {
		return alias
	}
	path := o.Get("UefiDevicePath").String()
	switch {
	case strings.Contains(path, "/Uri("):
		return hardware.BootHTTP
	case strings.Contains(path, "/MAC("), strings.Contains(path, "/IPv4("), strings.Contains(path, "/IPv6("):
		return hardware.BootPXE
	case strings.Contains(path, "/CDROM("):
		return hardware.BootCD
	case strings.Contains(path, "Usb"), strings.Contains(path, "USB("):
		return hardware.BootUSB
	case strings.HasPrefix(path, "HD("), strings.Contains(path, "/Sata("), strings.Contains(path, "/Scsi("), strings.Contains(path, "/NVMe("),
		strings.Contains(path, "/SAS("), strings.Contains(path, "/SasEx("):
		return hardware.BootDisk
	}
	name := strings.ToLower(o.Get("BootOptionReference").String() + " " + o.Get("DisplayName").String())
	for _, k := range []struct {
		word   string
		target hardware.BootTarget
	}{{"http", hardware.BootHTTP}, {"pxe", hardware.BootPXE}, {"nic.", hardware.BootPXE}, {"harddisk", hardware.BootDisk}, {"hard drive", hardware.BootDisk},
		{"hard disk", hardware.BootDisk}, {"raid.", hardware.BootDisk}, {"optical", hardware.BootCD}, {"cd/dvd", hardware.BootCD}, {"usb", hardware.BootUSB}} {
		if strings.Contains(name, k.word) {
			return k.target
		}
	}
	return ""
}

func (n *conn) readSecureBoot(ctx context.Context, v *view) {
	link := v.system.Get("SecureBoot")
	if !link.Exists() {
		return
	}
	d, err := n.resource(ctx, link, doc{})
	if err != nil {
		v.unreadable(id(link), err)
		return
	}
	v.secureBoot = d
	v.snap.SecureBoot = &hardware.SecureBoot{Enabled: d.Get("SecureBootEnable").Bool(),
		Current: text(d, "SecureBootCurrentBoot") == "Enabled", Mode: text(d, "SecureBootMode")}
}
