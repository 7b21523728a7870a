package eqlx

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// scan looks at what has arrived since a command was sent. done: the group waits for the next
// command; prefilled: with text behind its prompt. The reply is then everything before end.
//
// The prompt counts at the start of the last line only: a volume's description may contain it.
// With text behind it, it counts only after an error, where the group offers the bad command
// for correction; else it is the prompt that an echo is written behind.
func scan(received []byte, prompt string) (end int, done, prefilled bool) {
	end = bytes.LastIndexAny(received, "\r\n") + 1
	last := received[end:]
	if !bytes.HasPrefix(last, []byte(prompt)) {
		return 0, false, false
	}
	if len(last) == len(prompt) {
		return end, true, false
	}
	if failed(splitLines(received[:end])) != "" {
		return end, true, true
	}
	return 0, false, false
}

// splitLines cuts at CR, LF and CR LF, without an empty line at the end.
func splitLines(text []byte) []string {
	s := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(text))
	s = strings.TrimSuffix(s, "\n")
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// reply returns the lines of a reply without the echo of the command, if there is one: alone,
// behind the prompt, or broken over lines. It comes first; anywhere: or behind something else, which
// is then not of the reply.
func reply(text []byte, prompt, command string, anywhere bool) (lines []string, echoed bool) {
	lines = splitLines(text)
	for len(lines) > 0 && strings.TrimSpace(lines[0]) == "" {
		lines = lines[1:]
	}
	for i := range lines {
		if rest, ok := behindEcho(lines[i:], prompt, command); ok {
			return rest, true
		}
		if !anywhere {
			break
		}
	}
	return lines, false
}

// behindEcho returns what follows the echo that lines begin with.
func behindEcho(lines []string, prompt, command string) ([]string, bool) {
	rest := command
	for i, line := range lines {
		if i == 0 {
			line = strings.TrimPrefix(line, prompt)
		}
		if line == "" {
			break
		}
		var ok bool
		if rest, ok = strings.CutPrefix(rest, line); !ok {
			break
		}
		if rest = strings.TrimLeft(rest, " "); rest == "" {
			return lines[i+1:], true
		}
	}
	return nil, false
}

var showLine = regexp.MustCompile(`^volume select (?:\S+ snapshot select )?(\S+) show$`)

// answers reports whether lines can be the reply to a command: of a volume or snapshot that is
// shown, the name must be the one asked for, where it is told.
func answers(command string, lines []string) bool {
	m := showLine.FindStringSubmatch(command)
	name, told := after(lines, "Name:")
	return m == nil || !told || strings.EqualFold(name, m[1])
}

// failed returns what a line of error says, or "". "NoError: …" is no error.
func failed(lines []string) string {
	for i, line := range lines {
		for _, mark := range []string{"% Error", "Error:"} {
			text, ok := strings.CutPrefix(line, mark)
			if !ok {
				continue
			}
			// Long errors go on in the next lines.
			for _, more := range lines[i+1:] {
				if strings.TrimSpace(more) == "" || len(text) > 500 {
					break
				}
				text += " " + strings.TrimSpace(more)
			}
			if text = strings.Trim(text, " -"); text == "" {
				text = "error"
			}
			return text
		}
	}
	return ""
}

// A ReplyError is a reply that does not have what it must have.
type ReplyError struct {
	Command string
	Missing string // such as "iSCSI Name"
}

func (e *ReplyError) Error() string {
	return fmt.Sprintf("eqlx: the reply to %q has no %s", e.Command, e.Missing)
}

// after returns what follows prefix on the first line that begins with it.
func after(lines []string, prefix string) (string, bool) {
	for _, line := range lines {
		if value, ok := strings.CutPrefix(line, prefix); ok {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

// parseTarget reads "iSCSI target name is IQN." of create and clone; the dot is not part of it.
func parseTarget(lines []string) (string, bool) {
	value, ok := after(lines, "iSCSI target name is ")
	value = strings.TrimSuffix(value, ".")
	return value, ok && value != ""
}

// parseSnapshotName reads "Snapshot name is NAME" of create-now.
func parseSnapshotName(lines []string) (string, bool) {
	value, ok := after(lines, "Snapshot name is ")
	return value, ok && checkWord(value) == nil
}

// parseAddress reads "Group-Ipaddress: A.B.C.D" of grpparams.
func parseAddress(lines []string) (string, bool) {
	value, ok := after(lines, "Group-Ipaddress:")
	return value, ok && value != "" && !strings.ContainsAny(value, " \t")
}

var sizePattern = regexp.MustCompile(`^([0-9]{1,15}(?:\.[0-9]{1,15})?) ?(B|KB|MB|GB|TB|PB)$`)

// parseSize reads "1.01GB", a decimal of binary units, as bytes, rounded up.
func parseSize(text string) (int64, error) {
	m := sizePattern.FindStringSubmatch(text)
	if m == nil {
		return 0, errors.New("expected a size such as 1.5GB")
	}
	f, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, errors.New("expected a size such as 1.5GB")
	}
	shift := map[string]int{"B": 0, "KB": 10, "MB": 20, "GB": 30, "TB": 40, "PB": 50}[m[2]]
	if f = math.Ceil(math.Ldexp(f, shift)); f > 1<<62 {
		return 0, errors.New("expected less than 4 EiB")
	}
	return int64(f), nil
}

// slack is by how much a volume's size may differ from what was printed: half of its last digit, of
// which there are two at least, as zeroes are left out. What is smaller than a gigabyte makes no
// difference where sizes are whole gigabytes.
func slack(text string) int64 {
	m := sizePattern.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	_, decimals, _ := strings.Cut(m[1], ".")
	unit := map[string]float64{"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40, "PB": 1 << 50}[m[2]]
	n := int64(math.Ceil(unit / math.Pow10(max(2, len(decimals))) / 2))
	if n < gigabyte {
		return 0
	}
	return n
}

// roundUp returns the whole gigabytes, in bytes, that hold n bytes.
func roundUp(n int64) int64 { return (n + gigabyte - 1) / gigabyte * gigabyte }

const gigabyte = 1 << 30

// A poolInfo is what "pool select POOL show" tells.
type poolInfo struct {
	total, free, reported int64
	volumes               int
}

// parsePool reads the four lines; a list of volumes may follow. The fixtures of 2013 lack the
// last two; what volumes take is then all that is known.
func parsePool(lines []string) (poolInfo, string) {
	var p poolInfo
	for _, f := range []struct {
		name     string
		to       *int64
		required bool
	}{{"TotalCapacity", &p.total, true}, {"FreeSpace", &p.free, true}, {"VolumeReportedSpace", &p.reported, false}} {
		text, ok := after(lines, f.name+":")
		if !ok && !f.required {
			*f.to = p.total - p.free
			continue
		}
		n, err := parseSize(text)
		if err != nil {
			return poolInfo{}, f.name
		}
		*f.to = n
	}
	if text, ok := after(lines, "TotalVolumes:"); ok {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return poolInfo{}, "TotalVolumes"
		}
		p.volumes = int(n)
	}
	return p, ""
}

// An info is what "show" tells of a volume or snapshot. A count of -1 is not told.
type info struct {
	name                   string // "" = not told
	size                   int64  // bytes, 0 = not told
	slack                  int64  // it may be so much more or less
	iqn, description       string
	connections, snapshots int
	offline                bool
}

// parseShow reads "Key: value" lines, the first of each key.
func parseShow(lines []string) info {
	values := map[string]string{}
	for i, line := range lines {
		key, value, ok := strings.Cut(line, ":")
		if _, twice := values[key]; !ok || twice || key == "" || key[0] == ' ' {
			continue
		}
		value = strings.TrimSpace(value)
		if key == "iSCSI Name" {
			// A narrow terminal breaks the name; a rest is one word that is no "Key: value".
			for _, more := range lines[i+1:] {
				if more == "" || strings.ContainsAny(more, " \t") || strings.HasSuffix(more, ":") {
					break
				}
				value += more
			}
		}
		values[key] = value
	}
	v := info{iqn: values["iSCSI Name"], description: values["Description"], connections: count(values["Connections"]), snapshots: count(values["Snapshots"])}
	v.offline = strings.HasPrefix(values["Status"], "offline")
	v.name = values["Name"]
	if n, err := parseSize(values["Size"]); err == nil {
		v.size, v.slack = n, slack(values["Size"])
	}
	return v
}

func count(text string) int {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return -1
	}
	return int(n)
}

// An accessRecord is a row of "access show".
type accessRecord struct {
	id, initiator, address, method, username, applies string
}

var accessRow = regexp.MustCompile(`^([0-9]+)\s+(\S+)(.*)$`)

// parseAccess reads the access table by content, as the widths of its columns do not hold: a
// line that begins with a number opens a record, an indented one without goes on with its
// initiator. The user name is blank where the method is none.
func parseAccess(lines []string) []accessRecord {
	var records []accessRecord
	open, methodAt := false, 0
	for _, line := range lines {
		if m := accessRow.FindStringSubmatch(line); m != nil {
			r := accessRecord{id: m[1], initiator: m[2]}
			rest := strings.Fields(m[3])
			methodAt = len(line)
			for i, word := range rest {
				method := strings.ToLower(word)
				if method != "none" && method != "chap" {
					continue
				}
				r.method, methodAt = method, strings.Index(line, " "+word)
				if i > 0 {
					r.address = rest[i-1]
				}
				if n := len(rest); n > i+1 {
					r.applies = strings.ToLower(rest[n-1])
				}
				if method == "chap" && i+2 < len(rest) {
					r.username = rest[i+1]
				}
				break
			}
			// A record by address or account alone leaves the initiator blank.
			if !strings.Contains(r.initiator, ":") && !isTargetName(r.initiator) {
				if r.address == "" {
					r.address = r.initiator
				}
				r.initiator = ""
			}
			records, open = append(records, r), true
			continue
		}
		indented := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")
		words := strings.Fields(line)
		if !open || !indented || len(words) == 0 || len(words) > 2 {
			open = false
			continue
		}
		// The rest of the initiator stands left of the method, that of the user name right of it.
		r := &records[len(records)-1]
		if strings.Index(line, words[len(words)-1]) > methodAt {
			r.username += words[len(words)-1]
			words = words[:len(words)-1]
		} else if len(words) == 2 {
			r.username += words[1]
			words = words[:1]
		}
		if len(words) > 0 && r.initiator != "" {
			r.initiator += words[0]
		}
	}
	return records
}

func isTargetName(s string) bool {
	s = strings.ToLower(s)
	return strings.HasPrefix(s, "iqn.") || strings.HasPrefix(s, "eui.") || strings.HasPrefix(s, "naa.")
}

// A row of the table of volumes or of snapshots.
type row struct {
	name        string
	size        int64
	connections int
}

var (
	volumeRow   = regexp.MustCompile(`^(\S+)\s+([0-9.]+[KMGTP]?B)\s+([0-9]+)\s+(.*)$`)
	snapshotRow = regexp.MustCompile(`^(\S+)\s+(read-\S+)\s+(\S+)\s+([0-9]+)\s*$`)
)

// parseVolumes reads "volume show": name, size, snapshots, status, permission, connections, thin.
func parseVolumes(lines []string) (rows []row, strange []string) {
	return parseTable(lines, func(line string) (row, bool) {
		m := volumeRow.FindStringSubmatch(line)
		if m == nil {
			return row{}, false
		}
		size, err := parseSize(m[2])
		r := row{name: m[1], size: size}
		// The last number is the connections: a status may have several words.
		for _, word := range strings.Fields(m[4]) {
			if n := count(word); n >= 0 {
				r.connections = n
			}
		}
		return r, err == nil
	})
}

// parseSnapshots reads "snapshot show": name, permission, status, connections.
func parseSnapshots(lines []string) (rows []row, strange []string) {
	return parseTable(lines, func(line string) (row, bool) {
		m := snapshotRow.FindStringSubmatch(line)
		if m == nil {
			return row{}, false
		}
		return row{name: m[1], connections: count(m[4])}, true
	})
}

// parseTable reads rows, and indented lines of one word as the rest of the name before. strange are
// lines that could be a row and were not understood.
func parseTable(lines []string, parse func(string) (row, bool)) (rows []row, strange []string) {
	open := false
	for _, line := range lines {
		if r, ok := parse(line); ok {
			rows, open = append(rows, r), true
			continue
		}
		indented := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")
		words := strings.Fields(line)
		if open && indented && len(words) == 1 {
			rows[len(rows)-1].name += words[0]
			continue
		}
		header := len(words) > 0 && (words[0] == "Name" || strings.Trim(words[0], "-_") == "")
		if len(words) > 3 && !header {
			strange = append(strange, line)
		}
		open = false
	}
	return rows, strange
}
