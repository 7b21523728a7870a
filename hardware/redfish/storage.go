package redfish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/hardware"
)

func (n *conn) readStorage(ctx context.Context, v *view) {
	v.snap.Storage, v.controllers = nil, map[string]*links{}
	link := v.system.Get("Storage")
	if !link.Exists() {
		n.readSimpleStorage(ctx, v)
		return
	}
	// With two levels the drives come along with their controllers; with one they come only when
	// the controllers are asked one by one, which iLO does not offer.
	members, gaps := n.collectStorage(ctx, link)
	if len(members) == 0 && len(gaps) > 0 && errors.Is(gaps[0].err, hardware.ErrUnsupported) {
		v.gaps(gaps)
		n.readSimpleStorage(ctx, v)
		return
	}
	v.gaps(gaps)
	for _, g := range gaps {
		v.snap.Storage = append(v.snap.Storage, hardware.Controller{ID: last(g.path), Partial: true})
	}
	for _, d := range members {
		n.readController(ctx, v, d)
	}
	v.checkIdentities()
}

// checkIdentities keeps hands off controllers whose disks bear the names of other disks elsewhere:
// to allow the loss of one would not say which.
func (v *view) checkIdentities() {
	uris := map[string]string{}
	for i, c := range v.snap.Storage {
		for identity, uri := range v.linksOf(c) {
			other, taken := uris[identity]
			if uris[identity] = uri; taken && other != uri {
				v.unreadable(uri, errors.New("another disk is also called "+identity))
				for j, d := range v.snap.Storage {
					if slices.ContainsFunc(d.Drives, func(d hardware.Drive) bool { return d.Identity() == identity }) {
						v.snap.Storage[j].Partial = true
					}
				}
				v.snap.Storage[i].Partial = true
			}
		}
	}
}

func (v *view) linksOf(c hardware.Controller) map[string]string {
	if l := v.controllers[c.ID]; l != nil {
		return l.drives
	}
	return nil
}

func (n *conn) collectStorage(ctx context.Context, link gjson.Result) (out []doc, gaps []gap) {
	if n.expand.levels >= 2 || !n.expand.resources {
		return n.collect(ctx, id(link), 2)
	}
	list, err := n.resource(ctx, link, doc{})
	if err != nil {
		return nil, []gap{{id(link), err}}
	}
	for _, m := range list.Get("Members").Array() {
		d := inline(m)
		if !expanded(m) {
			if d, err = n.getExpanded(ctx, id(m), &n.expand.resources, 1); err != nil {
				gaps = append(gaps, gap{id(m), err})
				continue
			}
		}
		out = append(out, d)
	}
	if next := list.Get(`Members\@odata\.nextLink`); next.Exists() {
		more, missing := n.collect(ctx, next.String(), 1)
		out, gaps = append(out, more...), append(gaps, missing...)
	}
	return out, gaps
}

// readSimpleStorage lists the disks of older BMCs. They have names and sizes, nothing that would
// identify them, and cannot be configured.
func (n *conn) readSimpleStorage(ctx context.Context, v *view) {
	uri := linkTo(v.system.Result, "SimpleStorage")
	if uri == "" {
		return
	}
	members, _ := n.members(ctx, v, uri)
	for _, m := range members {
		c := hardware.Controller{ID: text(m, "Id"), Model: text(m, "Name"), Health: text(m, "Status.Health")}
		for _, d := range m.Get("Devices").Array() {
			if d.Get("Status.State").String() == "Absent" {
				continue
			}
			c.Drives = append(c.Drives, hardware.Drive{ID: d.Get("Name").String(), Model: d.Get("Model").String(),
				SizeBytes: d.Get("CapacityBytes").Int(), Health: d.Get("Status.Health").String()})
		}
		v.snap.Storage = append(v.snap.Storage, c)
	}
}

func (n *conn) readController(ctx context.Context, v *view, d doc) {
	c := hardware.Controller{ID: text(d, "Id"), Model: text(d, "Name"), Health: text(d, "Status.Health")}
	if c.Health == "" {
		c.Health = text(d, "Status.HealthRollup")
	}
	if _, taken := v.controllers[c.ID]; taken || c.ID == "" {
		c.ID = canonical(id(d.Result)) // operations go by it
	}
	l := &links{volumesURI: linkTo(d.Result, "Volumes"), drives: map[string]string{}, identities: map[string]string{}, volumes: map[string]string{}}
	v.controllers[c.ID] = l
	c.Configurable = l.volumesURI != ""
	n.readMember(ctx, v, d, &c)

	drives, gaps := n.follow(ctx, d.Get("Drives").Array())
	if count := d.Get(`Drives\@odata\.count`).Int(); !d.Get("Drives").IsArray() && count > 0 {
		gaps = append(gaps, gap{id(d.Result), fmt.Errorf("it counts %d drives and lists none", count)})
	}
	v.gaps(gaps)
	c.Partial = len(gaps) > 0
	for _, r := range drives {
		if text(r, "Status.State") == "Absent" {
			continue // an empty bay
		}
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
		c.Volumes, all = n.readVolumes(ctx, v, l, d.Get("Volumes"))
		c.Partial = c.Partial || !all
		if n.quirks.VolumesAfterPOST && (n.inPOST(v) || v.snap.System.Power == hardware.StateOff) {
			v.unreadable(l.volumesURI, errors.New("this BMC shows volumes only when the machine is on and its POST has finished"))
			c.Partial = true
		}
	}
	if r, ok := n.vendor.(ControllerReader); ok {
		r.ReadController(d.Result, &c)
	}
	v.snap.Storage = append(v.snap.Storage, c)
}

// readMember reads what is said of the controller itself: inline up to Storage v1.12, in a
// collection since. The latter is asked only where volumes can be made.
func (n *conn) readMember(ctx context.Context, v *view, d doc, c *hardware.Controller) {
	m := inline(d.Get("StorageControllers.0"))
	if link := d.Get("Controllers"); !m.Exists() && link.Exists() && c.Configurable {
		members, _ := n.members(ctx, v, id(link))
		if len(members) == 0 {
			return
		}
		m = members[0]
	}
	if model := text(m, "Model"); model != "" {
		c.Model = model
	}
	c.Firmware = text(m, "FirmwareVersion")
	for _, level := range m.Get("SupportedRAIDTypes").Array() {
		if l := hardware.RAIDLevel(level.String()); l.Valid() && l != hardware.JBOD {
			c.RAIDLevels = append(c.RAIDLevels, l)
		}
	}
}

func readDrive(d doc) hardware.Drive {
	drive := hardware.Drive{ID: text(d, "Id"), Serial: text(d, "SerialNumber"), Model: text(d, "Model"), SizeBytes: d.Get("CapacityBytes").Int(),
		Media: text(d, "MediaType"), Protocol: text(d, "Protocol"), Health: text(d, "Status.Health")}
	if text(d, "FailurePredicted") == "true" && drive.Health == "OK" {
		drive.Health = "Warning"
	}
	for _, i := range d.Get("Identifiers").Array() {
		if f := i.Get("DurableNameFormat").String(); f == "NAA" || f == "EUI" || f == "NGUID" {
			drive.WWN = i.Get("DurableName").String()
		}
	}
	return drive
}

// readVolumes lists the volumes of a controller and remembers their links. collection may have
// come expanded with the controller, its members only as links: none of them need no request.
func (n *conn) readVolumes(ctx context.Context, v *view, l *links, collection gjson.Result) (out []hardware.Volume, complete bool) {
	clear(l.volumes)
	if list := collection.Get("Members"); list.Exists() && len(list.Array()) == 0 {
		return nil, true
	}
	members, complete := n.members(ctx, v, l.volumesURI)
	for _, m := range members {
		level := raidLevel(m)
		if level == hardware.JBOD {
			continue // a disk passed through, shown as a volume
		}
		volume := hardware.Volume{ID: text(m, "Id"), Name: volumeName(m), RAIDLevel: level, SizeBytes: m.Get("CapacityBytes").Int(),
			Bootable: text(m, "VolumeUsage") == "SystemData", Health: text(m, "Status.Health"), Drives: []string{}}
		identify := func(path string) (names []string) {
			for _, d := range m.Get(path).Array() {
				identity, known := l.identities[canonical(id(d))]
				if !known {
					v.unreadable(id(m.Result), errors.New("it has a member drive "+id(d)+" that the controller does not list"))
					complete = false
					continue
				}
				names = append(names, identity)
			}
			return names
		}
		volume.Drives = append(volume.Drives, identify("Links.Drives")...)
		volume.Spares = identify("Links.DedicatedSpareDrives")
		if len(volume.Spares) > 0 {
			// Some services list the spares among the drives too.
			volume.Drives = slices.DeleteFunc(volume.Drives, func(d string) bool { return slices.Contains(volume.Spares, d) })
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

// volumeName prefers what the operator gave: Volume v1.6 has DisplayName for that.
func volumeName(m doc) string {
	if name := text(m, "DisplayName"); name != "" {
		return name
	}
	return text(m, "Name")
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
func canonical(uri string) string { return strings.TrimSuffix(local(uri), "/") }

func last(uri string) string {
	uri = canonical(uri)
	return uri[strings.LastIndex(uri, "/")+1:]
}

// find returns the volume of a level on exactly the given drives.
func find(volumes []hardware.Volume, want hardware.Volume) (hardware.Volume, bool) {
	i := slices.IndexFunc(volumes, func(have hardware.Volume) bool {
		return have.RAIDLevel == want.RAIDLevel && sameSet(have.Drives, want.Drives)
	})
	if i < 0 {
		return hardware.Volume{}, false
	}
	return volumes[i], true
}

// onto returns a volume that has one of the drives, as member or spare.
func onto(volumes []hardware.Volume, drives []string) (hardware.Volume, bool) {
	i := slices.IndexFunc(volumes, func(have hardware.Volume) bool {
		return slices.ContainsFunc(slices.Concat(have.Drives, have.Spares), func(d string) bool { return slices.Contains(drives, d) })
	})
	if i < 0 {
		return hardware.Volume{}, false
	}
	return volumes[i], true
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// volumeBody is what creates a volume (Volume v1.4 and later).
func (n *conn) volumeBody(v hardware.Volume, l *links, c hardware.Controller) map[string]any {
	drives := func(identities []string) (out []any) {
		for _, identity := range identities {
			out = append(out, map[string]any{"@odata.id": l.drives[identity]})
		}
		return out
	}
	to := map[string]any{"Drives": drives(v.Drives)}
	if len(v.Spares) > 0 {
		to["DedicatedSpareDrives"] = drives(v.Spares)
	}
	body := map[string]any{"Name": v.Name, "RAIDType": string(v.RAIDLevel), "Links": to}
	if v.SizeBytes > 0 && !c.WholeDisksOnly {
		body["CapacityBytes"] = v.SizeBytes // none means all
	}
	if v.Bootable && !n.quirks.NoVolumeUsage {
		body["VolumeUsage"] = "SystemData"
	}
	if c.OnReset {
		body["@Redfish.OperationApplyTime"] = "OnReset"
	}
	return body
}

// volumes reads a controller's volumes without leaving marks in the view.
func (a *applier) volumes(ctx context.Context, l *links) ([]hardware.Volume, error) {
	scratch := &view{snap: &hardware.Snapshot{}}
	volumes, complete := a.readVolumes(ctx, scratch, l, gjson.Result{})
	if !complete {
		reason := scratch.snap.Unreadable[0]
		return nil, &requestError{kind: hardware.ErrUnreachable, cause: ctx.Err(), text: fmt.Sprintf("redfish: %s: %s", a.target.Node, reason.Reason)}
	}
	return volumes, nil
}
