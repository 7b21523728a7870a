package redfishsim

import "slices"

func (v *view) findStorage(seg []string) object {
	if len(seg) == 0 {
		return v.collection("Storage", "Storage Collection", v.path.storage, ids(v.spec.Controllers, func(c Controller) string { return c.ID }))
	}
	c, ok := v.spec.controller(seg[0])
	if !ok {
		return nil
	}
	path := v.path.storage + "/" + c.ID
	switch {
	case len(seg) == 1:
		return v.storage(c, path)
	case seg[1] == "Drives" && len(seg) == 3 && !v.p.chassisDrives:
		return v.findDrive(c, seg[2])
	case seg[1] == "Controllers" && v.p.controllerCollection:
		if len(seg) == 2 {
			return v.collection("StorageController", "Storage Controller Collection", path+"/Controllers", []string{"0"})
		}
		if len(seg) == 3 && seg[2] == "0" {
			o := v.controller(c)
			o["@odata.type"], o["Id"] = "#StorageController.v1_7_0.StorageController", "0"
			return o
		}
	case seg[1] == "Volumes" && v.configurable(c) && len(seg) == 2:
		return v.volumes(c, path+"/Volumes")
	case seg[1] == "Volumes" && v.configurable(c) && len(seg) == 3 && v.showsVolumes():
		for _, volume := range v.m.state.Volumes {
			if volume.Controller == c.ID && volume.ID == seg[2] {
				return v.volume(volume)
			}
		}
	}
	return nil
}

func (v *view) configurable(c Controller) bool { return v.p.raid && len(c.RAIDLevels) > 0 }

// showsVolumes is false where volumes are known only after POST has found the devices.
func (v *view) showsVolumes() bool {
	_, discovered := v.m.inPOST()
	return !v.p.needsPOST || discovered
}

// drivePath is where the disk of an index in the spec is.
func (b *BMC) drivePath(i int) string {
	d := &b.machine.spec.Disks[i]
	if b.p.chassisDrives {
		return "/Chassis/" + d.Controller + "/Drives/" + b.machine.driveIDs[i]
	}
	return b.path.storage + "/" + d.Controller + "/Drives/" + b.machine.driveIDs[i]
}

// driveLinks leads to the disks that match.
func (v *view) driveLinks(match func(d *Disk) bool) []any {
	out := []any{}
	for i := range v.spec.Disks {
		if match(&v.spec.Disks[i]) {
			out = append(out, v.link(v.b.drivePath(i)))
		}
	}
	return out
}

// memberLinks leads to disks in the order of their serials.
func (v *view) memberLinks(serials []string) []any {
	out := make([]any, 0, len(serials))
	for _, s := range serials {
		if i := slices.IndexFunc(v.spec.Disks, func(d Disk) bool { return d.Serial == s }); i >= 0 {
			out = append(out, v.link(v.b.drivePath(i)))
		}
	}
	return out
}

func (v *view) storage(c Controller, path string) object {
	drives := v.driveLinks(func(d *Disk) bool { return d.Controller == c.ID })
	o := object{"@odata.type": "#Storage.v1_15_1.Storage", "Id": c.ID, "Name": c.Model, "Status": healthy(),
		"Drives@odata.count": len(drives), "Drives": drives}
	if v.configurable(c) {
		o["Volumes"] = v.link(path + "/Volumes")
	}
	if v.p.controllerArray {
		old := v.controller(c)
		old["@odata.id"], old["MemberId"] = root+path+"#/StorageControllers/0", "0"
		o["StorageControllers"] = []any{old}
	}
	if v.p.controllerCollection {
		o["Controllers"] = v.link(path + "/Controllers")
	}
	return o
}

func (v *view) controller(c Controller) object {
	o := object{"Name": c.Model, "Model": c.Model, "Manufacturer": v.spec.Manufacturer, "FirmwareVersion": c.Firmware, "Status": healthy()}
	if v.configurable(c) {
		o["SupportedRAIDTypes"] = c.RAIDLevels
	}
	return o
}

func (v *view) findDrive(c Controller, id string) object {
	for i := range v.spec.Disks {
		if v.spec.Disks[i].Controller == c.ID && v.m.driveIDs[i] == id {
			return v.drive(i)
		}
	}
	return nil
}

func (v *view) drive(i int) object {
	d := &v.spec.Disks[i]
	now := v.m.state.Disks[d.Serial]
	serial, wwn, hotspare, status := d.Serial, d.WWN, "None", healthy()
	if now.Serial != "" {
		serial, wwn = now.Serial, "5000C500"+wwnPart(now.Serial)+"FF"
	}
	if now.Failed {
		status = object{"State": "UnavailableOffline", "Health": "Critical"}
	}
	volumes := []any{}
	if v.p.raid && v.showsVolumes() {
		for _, volume := range v.m.state.Volumes {
			spare := slices.Contains(volume.Spares, d.Serial)
			if spare {
				hotspare = "Dedicated"
			}
			if spare || slices.Contains(volume.Disks, d.Serial) {
				volumes = append(volumes, v.link(v.path.storage+"/"+d.Controller+"/Volumes/"+volume.ID))
			}
		}
	}
	o := object{"@odata.type": "#Drive.v1_18_0.Drive", "Id": v.m.driveIDs[i], "Name": "Disk " + serial, "SerialNumber": serial,
		"Manufacturer": v.spec.Manufacturer, "Model": d.Model, "Revision": d.Firmware, "CapacityBytes": d.SizeBytes, "MediaType": d.Media, "Protocol": d.Protocol,
		"BlockSizeBytes": 512, "FailurePredicted": false, "HotspareType": hotspare, "Status": status, "Links": object{"Volumes": volumes}}
	if wwn != "" {
		o["Identifiers"] = []any{object{"DurableName": wwn, "DurableNameFormat": "NAA"}}
	}
	return o
}

func (v *view) volumes(c Controller, path string) object {
	var found []string
	if v.showsVolumes() {
		for _, volume := range v.m.state.Volumes {
			if volume.Controller == c.ID {
				found = append(found, volume.ID)
			}
		}
	}
	o := v.collection("Volume", "Volume Collection", path, found)
	if v.p.applyTime {
		o["@Redfish.OperationApplyTimeSupport"] = object{"@odata.type": "#Settings.v1_3_5.OperationApplyTimeSupport", "SupportedValues": []string{applyTime(c)}}
	}
	return o
}

// applyTime is the one that a controller knows.
func applyTime(c Controller) string {
	if c.OnReset {
		return "OnReset"
	}
	return "Immediate"
}

func (v *view) volume(s Volume) object {
	health, operations := v.m.health(s), []any{}
	state := map[string]string{"OK": "Enabled", "Warning": "Enabled", "Critical": "UnavailableOffline"}[health]
	for i := range v.m.state.Jobs {
		if j := &v.m.state.Jobs[i]; j.Active() && j.Rebuilt == s.ID {
			operations = append(operations, object{"OperationName": "Rebuilding", "PercentageComplete": j.percent(v.now), "Operation": "Rebuild"})
		}
	}
	drives, spares := v.memberLinks(s.Disks), v.memberLinks(s.Spares)
	o := object{"@odata.type": "#Volume.v1_9_0.Volume", "Id": s.ID, "Name": s.Name, "RAIDType": s.RAIDLevel, "CapacityBytes": s.SizeBytes,
		"BlockSizeBytes": 512, "StripSizeBytes": s.StripBytes, "Status": object{"State": state, "Health": health}, "Operations": operations,
		"Links": object{"Drives@odata.count": len(drives), "Drives": drives, "DedicatedSpareDrives@odata.count": len(spares), "DedicatedSpareDrives": spares}}
	if v.p.volumeUsage {
		o["VolumeUsage"] = map[bool]string{true: "SystemData", false: "Data"}[s.Bootable]
	}
	return o
}
