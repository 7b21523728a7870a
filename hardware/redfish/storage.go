package redfish

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/hardware"
)

func (n *conn) readStorage(ctx context.Context, v *view) {
	uri := linkTo(v.system.Result, "Storage")
	if uri == "" {
		return
	}
	list, err := n.get(ctx, uri)
	if err != nil {
		v.unreadable(uri, err)
		return
	}
	for _, m := range list.Get("Members").Array() {
		// Expanded one by one: this brings the drives along, expanding the list would not.
		d, err := n.getExpanded(ctx, id(m))
		if err != nil {
			v.unreadable(id(m), err)
			v.snap.Storage = append(v.snap.Storage, hardware.Controller{ID: last(id(m)), Partial: true})
			continue
		}
		n.readController(ctx, v, d)
	}
}

func (n *conn) readController(ctx context.Context, v *view, d doc) {
	c := hardware.Controller{ID: text(d, "Id"), Model: text(d, "StorageControllers.0.Model")}
	if c.Model == "" {
		c.Model = text(d, "Name")
	}
	for _, level := range d.Get("StorageControllers.0.SupportedRAIDTypes").Array() {
		if l := hardware.RAIDLevel(level.String()); l.Valid() {
			c.RAIDLevels = append(c.RAIDLevels, l)
		}
	}
	l := &links{volumesURI: linkTo(d.Result, "Volumes"), drives: map[string]string{}, identities: map[string]string{}, volumes: map[string]string{}}
	v.controllers[c.ID] = l
	c.Configurable = l.volumesURI != ""

	drives, complete := n.follow(ctx, v, d.Get("Drives").Array())
	c.Partial = !complete
	for _, r := range drives {
		drive := readDrive(r)
		l.drives[drive.Identity()] = id(r.Result)
		l.identities[canonical(id(r.Result))] = drive.Identity()
		c.Drives = append(c.Drives, drive)
	}
	if len(l.drives) != len(c.Drives) {
		// Two disks of one identity (a BMC that gives neither serial nor WWN nor own IDs)
		// cannot be told apart, so nothing on them may be destroyed.
		c.Partial = true
	}
	if c.Configurable {
		var all bool
		c.Volumes, all = n.readVolumes(ctx, v, l)
		c.Partial = c.Partial || !all
	}
	v.snap.Storage = append(v.snap.Storage, c)
}

func readDrive(d doc) hardware.Drive {
	drive := hardware.Drive{ID: text(d, "Id"), Serial: text(d, "SerialNumber"), Model: text(d, "Model"), SizeBytes: d.Get("CapacityBytes").Int(),
		Media: text(d, "MediaType"), Protocol: text(d, "Protocol"), Health: text(d, "Status.Health")}
	for _, i := range d.Get("Identifiers").Array() {
		if f := i.Get("DurableNameFormat").String(); f == "NAA" || f == "EUI" || f == "NGUID" {
			drive.WWN = i.Get("DurableName").String()
		}
	}
	return drive
}

// readVolumes lists the volumes of a controller and remembers their links.
func (n *conn) readVolumes(ctx context.Context, v *view, l *links) (out []hardware.Volume, complete bool) {
	members, complete := n.members(ctx, v, l.volumesURI)
	clear(l.volumes)
	for _, m := range members {
		level := raidLevel(m)
		if level == hardware.JBOD {
			continue // a disk passed through, shown as a volume
		}
		volume := hardware.Volume{ID: text(m, "Id"), Name: text(m, "Name"), RAIDLevel: level, SizeBytes: m.Get("CapacityBytes").Int(),
			Bootable: text(m, "VolumeUsage") == "SystemData", Drives: []string{}}
		for _, d := range m.Get("Links.Drives").Array() {
			identity, known := l.identities[canonical(id(d))]
			if !known {
				v.unreadable(id(m.Result), errors.New("it has a member drive "+id(d)+" that the controller does not list"))
				complete = false
				continue
			}
			volume.Drives = append(volume.Drives, identity)
		}
		if len(volume.Drives) == 0 {
			v.unreadable(id(m.Result), errors.New("it does not say which drives it lies on"))
			complete = false
		}
		l.volumes[volume.ID] = id(m.Result)
		out = append(out, volume)
	}
	return out, complete
}

// raidLevel reads RAIDType, or what BMCs had before it. A volume that says nothing keeps an
// empty level: it matches no wish but is not taken for a raw disk.
func raidLevel(d doc) hardware.RAIDLevel {
	if t := text(d, "RAIDType"); t != "" && t != "None" {
		return hardware.RAIDLevel(t)
	}
	switch text(d, "VolumeType") {
	case "RawDevice":
		return hardware.JBOD
	case "NonRedundant":
		return hardware.RAID0
	case "Mirrored":
		return hardware.RAID1
	case "StripedWithParity":
		return hardware.RAID5
	case "SpannedMirrors":
		return hardware.RAID10
	case "SpannedStripesWithParity":
		return hardware.RAID50
	}
	return ""
}

// canonical makes links comparable: trailing slashes come and go.
func canonical(uri string) string { return strings.TrimSuffix(uri, "/") }

func last(uri string) string {
	uri = canonical(uri)
	return uri[strings.LastIndex(uri, "/")+1:]
}

func errorsIsUnsupported(err error) bool { return errors.Is(err, hardware.ErrUnsupported) }

// find returns the volume of a level on exactly the given drives.
func find(volumes []hardware.Volume, want hardware.Volume) (hardware.Volume, bool) {
	for _, have := range volumes {
		if have.RAIDLevel == want.RAIDLevel && sameSet(have.Drives, want.Drives) {
			return have, true
		}
	}
	return hardware.Volume{}, false
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// volumeBody is what creates a volume (Volume v1.4 and later).
func volumeBody(v hardware.Volume, l *links) map[string]any {
	var drives []any
	for _, identity := range v.Drives {
		drives = append(drives, map[string]any{"@odata.id": l.drives[identity]})
	}
	body := map[string]any{"Name": v.Name, "RAIDType": string(v.RAIDLevel), "Links": map[string]any{"Drives": drives}}
	if v.SizeBytes > 0 {
		body["CapacityBytes"] = v.SizeBytes // some controllers (Dell BOSS) refuse any, so none means all
	}
	if v.Bootable {
		body["VolumeUsage"] = "SystemData"
	}
	return body
}
