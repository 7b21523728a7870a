package eqlxsim

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A terminal is what a shell's commands have set. That settings hold for one shell only is
// assumed [A]; it is the strictest guess.
type terminal struct {
	columns                             int
	confirm, paging, events, formatting bool
	exact                               bool // sizes in MB
}

// run executes one line and returns what it prints. It runs under the group's lock.
func (g *Group) run(t *terminal, line string) ([]string, error) {
	g.terminal = *t
	words, ok := fields(line)
	if !ok {
		return nil, g.fail(errBadCommand)
	}
	if len(words) == 0 {
		return nil, nil
	}
	w := func(i int) string { // case-insensitive keywords
		if i < len(words) {
			return strings.ToLower(words[i])
		}
		return ""
	}
	switch {
	case w(0) == "stty" && w(1) == "columns" && len(words) == 3:
		n, err := strconv.Atoi(words[2])
		if err != nil || n < 1 || n > 255 {
			return nil, g.fail(errBadCommand)
		}
		t.columns = n
		return nil, nil
	case w(0) == "stty" && w(1) == "hardwrap" && len(words) == 3:
		t.columns = 255
		return nil, nil
	case w(0) == "cli-settings" && len(words) == 3 && (w(2) == "on" || w(2) == "off"):
		on := w(2) == "on"
		switch w(1) {
		case "confirmation":
			t.confirm = on
		case "paging":
			t.paging = on
		case "events":
			t.events = on
		case "formatoutput":
			t.formatting = on
		case "reprintbadinput": // [W]
			if g.config.Quirks.Prefill || g.config.Quirks.LatePrefill {
				return nil, g.fail(errBadCommand)
			}
		case "displayinmb": // [W]
			if g.config.Quirks.RoughSizes {
				return nil, g.fail(errBadCommand)
			}
			t.exact = on
		default:
			return nil, g.fail(errBadCommand)
		}
		return nil, nil
	case w(0) == "grpparams" && w(1) == "show" && len(words) == 2:
		// The line that Cinder's driver parses [T]; the others are assumed [A].
		return []string{
			title("Group Parameters"),
			"Name: " + g.config.Name,
			"Group-Ipaddress: " + g.config.IPAddress,
		}, nil
	case w(0) == "pool" && w(1) == "select" && w(3) == "show" && len(words) == 4:
		return g.showPool(words[2])
	case w(0) == "volume":
		return g.runVolume(words, w)
	}
	return nil, g.fail(errBadCommand)
}

func title(text string) string {
	side := strings.Repeat("_", 31) // [D]
	return side + " " + text + " " + side
}

func (g *Group) pool(name string) (Pool, error) {
	for _, p := range g.config.Pools {
		if p.Name == name {
			return p, nil
		}
	}
	return Pool{}, g.fail(errNoPool, name)
}

// used returns what the pool has given away and what its volumes say they have, in MB. A thin
// volume takes a tenth of its size at first [A]; snapshots take their reserve, nothing here [A].
func (g *Group) used(pool string) (taken, reported int64, volumes int) {
	for _, v := range g.volumes {
		if v.pool == pool {
			taken += reserve(v.sizeMB, v.thin)
			reported += v.sizeMB
			volumes++
		}
	}
	return taken, reported, volumes
}

func reserve(mb int64, thin bool) int64 {
	if thin {
		return (mb + 9) / 10
	}
	return mb
}

// take checks that a volume of a pool can grow from one size to another. That no volume may
// be bigger than its pool, thin or not, is assumed [A].
func (g *Group) take(pool string, thin bool, from, to int64) error {
	p, err := g.pool(pool)
	if err != nil {
		return err
	}
	taken, _, _ := g.used(pool)
	if capacity := p.CapacityGB << 10; to > capacity || taken-reserve(from, thin)+reserve(to, thin) > capacity {
		return g.fail(errNoSpace, pool)
	}
	return nil
}

func (g *Group) showPool(name string) ([]string, error) {
	p, err := g.pool(name)
	if err != nil {
		return nil, err
	}
	taken, reported, volumes := g.used(name)
	lines := []string{ // the lines and their order [T]
		"TotalCapacity: " + g.size(p.CapacityGB<<10),
		"FreeSpace: " + g.size(p.CapacityGB<<10-taken),
		"VolumeReportedSpace: " + g.size(reported),
		"TotalVolumes: " + strconv.Itoa(volumes),
	}
	// The list of volumes follows and is what took so long in big groups [M LP#1661154].
	return append(lines, g.volumeTable(func(v *volume) bool { return v.pool == name })...), nil
}

var sizeArgument = regexp.MustCompile(`^([0-9]{1,12})(M|MB|G|GB)?$`)

// megabytes reads a size: "1G" [T], "1024MB" [W], "1024" is MB [W].
func megabytes(text string) (int64, bool) {
	m := sizeArgument.FindStringSubmatch(strings.ToUpper(text))
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || n < 1 {
		return 0, false
	}
	if strings.HasPrefix(m[2], "G") {
		n <<= 10
	}
	return n, true
}

// options reads "key value" pairs and lone flags.
func options(words []string, keys, flags []string) (map[string]string, bool) {
	found := map[string]string{}
	for i := 0; i < len(words); i++ {
		key := strings.ToLower(words[i])
		_, twice := found[key]
		switch {
		case twice:
			return nil, false
		case slices.Contains(flags, key):
			found[key] = key
		case slices.Contains(keys, key) && i+1 < len(words):
			i++
			found[key] = words[i]
		default:
			return nil, false
		}
	}
	return found, true
}
