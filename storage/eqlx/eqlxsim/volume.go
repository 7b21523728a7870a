package eqlxsim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// create adds a volume without looking at the space.
func (g *Group) create(name string, sizeMB int64, pool string) (*volume, error) {
	if !volumeName.MatchString(name) {
		return nil, g.fail(errBadName, name)
	}
	if g.volumes[strings.ToLower(name)] != nil {
		return nil, g.fail(errVolumeExists, name)
	}
	if _, err := g.pool(pool); err != nil {
		return nil, err
	}
	g.serial++
	v := &volume{name: name, pool: pool, sizeMB: sizeMB, iqn: g.iqn(name)}
	g.volumes[strings.ToLower(name)] = v
	return v, nil
}

// iqn makes a target name in the form that real groups print [D]. Renaming does not change it [A].
func (g *Group) iqn(name string) string {
	g.serial++
	return fmt.Sprintf("iqn.2001-05.com.equallogic:0-8a0906-%09x-%016x-%s", 0x19f900000+g.serial, 0x067000000b450000+g.serial, strings.ToLower(name))
}

// runVolume executes "volume …".
func (g *Group) runVolume(words []string, w func(int) string) ([]string, error) {
	switch {
	case w(1) == "create" && len(words) >= 4:
		return g.createVolume(words[2], words[3], words[4:])
	case w(1) == "show" && len(words) == 2:
		return g.volumeTable(func(*volume) bool { return true }), nil
	case w(1) == "show" && len(words) == 3: // [W]
		v, err := g.find(words[2])
		if err != nil {
			return nil, err
		}
		return g.showVolume(v), nil
	case w(1) == "delete" && len(words) == 3:
		v, err := g.find(words[2])
		if err != nil {
			return nil, err
		}
		if !v.offline {
			return nil, g.fail(errOnline)
		}
		// Its snapshots go with it [A]; a driver must not let that happen by accident.
		delete(g.volumes, strings.ToLower(v.name))
		return g.say("Volume deletion succeeded."), nil // [W]
	case w(1) == "rename" && len(words) == 4:
		v, err := g.find(words[2])
		if err != nil {
			return nil, err
		}
		if !volumeName.MatchString(words[3]) {
			return nil, g.fail(errBadName, words[3])
		}
		if there := g.volumes[strings.ToLower(words[3])]; there != nil && there != v {
			return nil, g.fail(errVolumeExists, words[3])
		}
		delete(g.volumes, strings.ToLower(v.name))
		v.name = words[3]
		g.volumes[strings.ToLower(v.name)] = v
		return nil, nil
	case w(1) == "select" && len(words) >= 4:
		v, err := g.find(words[2])
		if err != nil {
			return nil, err
		}
		return g.runSelected(v, words[3:], func(i int) string { return w(i + 3) })
	}
	return nil, g.fail(errBadCommand)
}

func (g *Group) find(name string) (*volume, error) {
	if v := g.volumes[strings.ToLower(name)]; v != nil {
		return v, nil
	}
	return nil, g.fail(errNoVolume, name)
}

// say prints a success line where the group does.
func (g *Group) say(lines ...string) []string {
	if g.config.Quirks.Terse {
		return lines[1:]
	}
	return lines
}

// target prints what Cinder's driver reads [T]: with a dot that is not part of the name.
func target(v *volume) string { return "iSCSI target name is " + v.iqn + "." }

func (g *Group) createVolume(name, sizeText string, rest []string) ([]string, error) {
	mb, ok := megabytes(sizeText)
	with, known := options(rest, []string{"pool", "description"}, []string{"thin-provision"})
	if !ok || !known {
		return nil, g.fail(errBadCommand)
	}
	pool := with["pool"]
	if pool == "" {
		pool = g.config.Pools[0].Name
	}
	thin := with["thin-provision"] != ""
	if g.volumes[strings.ToLower(name)] == nil {
		if err := g.take(pool, thin, 0, mb); err != nil {
			return nil, err
		}
	}
	v, err := g.create(name, mb, pool)
	if err != nil {
		return nil, err
	}
	v.thin, v.description = thin, with["description"]
	return g.say("Volume creation succeeded.", target(v)), nil // the first line [W], the second [T]
}

// runSelected executes "volume select NAME …".
func (g *Group) runSelected(v *volume, words []string, w func(int) string) ([]string, error) {
	switch {
	case w(0) == "show" && len(words) == 1:
		return g.showVolume(v), nil
	case w(0) == "offline" && len(words) == 1:
		// With confirmation off a group cuts connections without a question [A].
		g.kicked += v.connections
		v.offline, v.connections = true, 0
		return nil, nil
	case w(0) == "online" && len(words) == 1: // [W]
		v.offline = false
		return nil, nil
	case w(0) == "multihost-access" && (w(1) == "enable" || w(1) == "disable") && len(words) == 2:
		v.multihost = w(1) == "enable"
		return nil, nil
	case w(0) == "description" && len(words) == 2:
		v.description = words[1]
		return nil, nil
	case w(0) == "size" && len(words) >= 2:
		return g.resize(v, words[1], words[2:])
	case w(0) == "clone" && len(words) >= 2:
		return g.clone(v, v.sizeMB, words[1], words[2:])
	case w(0) == "access":
		return g.runAccess(v, words[1:], func(i int) string { return w(i + 1) })
	case w(0) == "snapshot":
		return g.runSnapshot(v, words[1:], func(i int) string { return w(i + 1) })
	}
	return nil, g.fail(errBadCommand)
}

func (g *Group) resize(v *volume, sizeText string, rest []string) ([]string, error) {
	mb, ok := megabytes(sizeText)
	with, known := options(rest, nil, []string{"no-snap"})
	if !ok || !known {
		return nil, g.fail(errBadCommand)
	}
	if mb < v.sizeMB {
		return nil, g.fail(errShrink)
	}
	if err := g.take(v.pool, v.thin, v.sizeMB, mb); err != nil {
		return nil, err
	}
	if with["no-snap"] == "" {
		g.snapshotNow(v) // [M LP#1720454]: each extend left a snapshot behind
	}
	v.sizeMB = mb
	return nil, nil
}

func (g *Group) clone(of *volume, sizeMB int64, name string, rest []string) ([]string, error) {
	with, known := options(rest, []string{"description"}, nil) // [W]
	if !known {
		return nil, g.fail(errBadCommand)
	}
	if g.volumes[strings.ToLower(name)] == nil {
		if err := g.take(of.pool, of.thin, 0, sizeMB); err != nil {
			return nil, err
		}
	}
	v, err := g.create(name, sizeMB, of.pool)
	if err != nil {
		return nil, err
	}
	v.thin, v.description = of.thin, with["description"]
	return g.say("Volume creation succeeded.", target(v)), nil
}

// showVolume prints what a real group printed in 2014 [D], Description before Status, or what
// Cinder's fixtures have [T].
func (g *Group) showVolume(v *volume) []string {
	if g.config.Quirks.ShortShow {
		return []string{"Size: " + g.size(v.sizeMB), "iSCSI Name: " + v.iqn, "Description: " + v.description}
	}
	return []string{
		title("Volume Information"),
		"Name: " + v.name,
		"Size: " + g.size(v.sizeMB),
		"VolReserve: " + g.size(reserve(v.sizeMB, v.thin)),
		"VolReserveInUse: 0MB",
		"ReplReserveInUse: 0MB",
		"iSCSI Alias: " + v.name,
		"iSCSI Name: " + v.iqn,
		"ActualMembers: 1",
		"Snap-Warn: 10%",
		"Snap-Depletion: delete-oldest",
		"Description: " + v.description,
		"Snap-Reserve: 100%",
		"Snap-Reserve-Avail: 100% (" + g.size(v.sizeMB) + ")",
		"Permission: read-write",
		"DesiredStatus: " + status(!v.offline),
		"Status: " + status(!v.offline),
		"Connections: " + strconv.Itoa(v.connections),
		"Snapshots: " + strconv.Itoa(len(v.snapshots)),
		"Bind: ",
		"Type: not-replicated",
		"ReplicationReserveSpace: 0MB",
		"Pool: " + v.pool, // [W]
	}
}

func status(online bool) string {
	if online {
		return "online"
	}
	return "offline"
}

// volumeTable prints the columns that the Proxmox and Flocker drivers read [W]: name, size,
// snapshots, status, permission, connections, thin; a long name goes on indented by two.
func (g *Group) volumeTable(which func(*volume) bool) []string {
	var rows [][]string
	for _, key := range slices.Sorted(maps.Keys(g.volumes)) {
		v := g.volumes[key]
		if !which(v) {
			continue
		}
		thin := "N"
		if v.thin {
			thin = "Y"
		}
		rows = append(rows, []string{v.name, g.size(v.sizeMB), strconv.Itoa(len(v.snapshots)), status(!v.offline), "read-write", strconv.Itoa(v.connections), thin})
	}
	return table([]column{
		{"Name", 15, g.config.Quirks.NameColumns}, {"Size", 10, 0}, {"Snapshots", 9, 0}, {"Status", 7, 0},
		{"Permission", 10, 0}, {"Connections", 11, 0}, {"TP", 2, 0},
	}, 2, rows)
}

// runAccess executes "volume select NAME access …".
func (g *Group) runAccess(v *volume, words []string, w func(int) string) ([]string, error) {
	switch {
	case w(0) == "show" && len(words) == 1:
		if len(v.access) == 0 {
			return nil, nil // an empty reply is no record [T]
		}
		var rows [][]string
		for _, a := range v.access {
			method := "none"
			if a.chapUser != "" {
				method = "chap"
			}
			user := a.chapUser
			if n := g.config.Quirks.CutUsers; n > 0 && len(user) > n {
				user = user[:n]
			}
			rows = append(rows, []string{strconv.Itoa(a.id), a.initiator, cmp.Or(a.address, "*.*.*.*"), method, user, cmp.Or(a.applyTo, "both")})
		}
		return table([]column{ // titles, dashes and the indent of 7 [T]
			{"ID", 3, 0}, {"Initiator", 15, g.config.Quirks.InitiatorColumns}, {"Ipaddress", 13, 0},
			{"AuthMethod", 10, 0}, {"UserName", 10, g.config.Quirks.UserColumns}, {"Apply-To", 8, 0},
		}, 7, rows), nil
	case w(0) == "create" && len(words) > 1:
		with, known := options(words[1:], []string{"initiator", "authmethod", "username"}, nil)
		if !known || with["authmethod"] == "chap" && with["username"] == "" {
			return nil, g.fail(errBadCommand)
		}
		if user := with["username"]; user != "" && !slices.Contains(g.config.CHAPUsers, user) {
			return nil, g.fail(errNoCHAPUser, user)
		}
		if len(v.access) >= 16 { // [A]
			return nil, g.fail(errAccessFull)
		}
		v.nextAccess++
		v.access = append(v.access, access{id: v.nextAccess, initiator: with["initiator"], chapUser: with["username"]})
		return []string{"Access control record created with ID " + strconv.Itoa(v.nextAccess) + "."}, nil // [A]
	case w(0) == "delete" && len(words) == 2:
		i := slices.IndexFunc(v.access, func(a access) bool { return strconv.Itoa(a.id) == words[1] })
		if i < 0 {
			return nil, g.fail(errNoAccess, words[1])
		}
		v.access = slices.Delete(v.access, i, i+1)
		return g.say("Access control record deletion succeeded."), nil // [A]
	}
	return nil, g.fail(errBadCommand)
}
