package eqlxsim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// snapshotNow makes a snapshot with the name that the group gives: VOLUME-DATE-TIME.N [A].
func (g *Group) snapshotNow(v *volume) *snapshot {
	g.serial++
	name := fmt.Sprintf("%s-%s.%d", v.name, g.clock.Now().UTC().Format("2006-01-02-15:04:05"), g.serial)
	s := &snapshot{name: name, sizeMB: v.sizeMB, iqn: g.iqn(name)}
	v.snapshots = append(v.snapshots, s)
	return s
}

func (g *Group) findSnapshot(v *volume, name string) (int, error) {
	i := slices.IndexFunc(v.snapshots, func(s *snapshot) bool { return strings.EqualFold(s.name, name) })
	if i < 0 {
		return 0, g.fail(errNoSnapshot, name)
	}
	return i, nil
}

// runSnapshot executes "volume select NAME snapshot …".
func (g *Group) runSnapshot(v *volume, words []string, w func(int) string) ([]string, error) {
	switch {
	case w(0) == "create-now":
		with, known := options(words[1:], []string{"description"}, nil) // [W]
		if !known || g.config.Quirks.NoSnapshotDescription && len(words) > 1 {
			return nil, g.fail(errBadCommand)
		}
		s := g.snapshotNow(v)
		s.description = with["description"]
		return g.say("Snapshot creation succeeded.", "Snapshot name is "+s.name), nil // first [W], second [T]
	case w(0) == "show" && len(words) == 1:
		var rows [][]string
		for _, s := range v.snapshots {
			rows = append(rows, []string{s.name, "read-write", status(s.online), strconv.Itoa(s.connections)})
		}
		return table([]column{ // the columns [W]
			{"Name", 15, g.config.Quirks.NameColumns}, {"Permission", 10, 0}, {"Status", 7, 0}, {"Connections", 11, 0},
		}, 2, rows), nil
	case w(0) == "rename" && len(words) == 3:
		i, err := g.findSnapshot(v, words[1])
		if err != nil {
			return nil, err
		}
		if !volumeName.MatchString(words[2]) {
			return nil, g.fail(errBadName, words[2])
		}
		if _, err := g.findSnapshot(v, words[2]); err == nil {
			return nil, g.fail(errSnapshotThere, words[2])
		}
		v.snapshots[i].name = words[2]
		return nil, nil
	case w(0) == "delete" && len(words) == 2:
		i, err := g.findSnapshot(v, words[1])
		if err != nil {
			return nil, err
		}
		if v.snapshots[i].online {
			return nil, g.fail(errSnapshotUp)
		}
		v.snapshots = slices.Delete(v.snapshots, i, i+1)
		return g.say("Snapshot deletion succeeded."), nil // [W]
	case w(0) == "select" && len(words) >= 3:
		i, err := g.findSnapshot(v, words[1])
		if err != nil {
			return nil, err
		}
		s := v.snapshots[i]
		switch {
		case w(2) == "clone" && len(words) >= 4:
			return g.clone(v, s.sizeMB, words[3], words[4:])
		case w(2) == "show" && len(words) == 3:
			return []string{ // that there is an iSCSI name and a status [W], the rest [A]
				title("Snapshot Information"),
				"Name: " + s.name,
				"Size: " + g.size(s.sizeMB),
				"iSCSI Name: " + s.iqn,
				"Description: " + s.description,
				"Status: " + status(s.online),
				"Connections: " + strconv.Itoa(s.connections),
			}, nil
		case (w(2) == "online" || w(2) == "offline") && len(words) == 3: // [W]
			s.online = w(2) == "online"
			return nil, nil
		}
	}
	return nil, g.fail(errBadCommand)
}
