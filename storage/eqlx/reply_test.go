package eqlx

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The fixtures marked [T] are those of Cinder's test_ps.py, cut into lines as there.

func TestScan(t *testing.T) {
	for name, test := range map[string]struct {
		received, rest  string // rest: the reply before the prompt
		done, prefilled bool
	}{
		"prompt alone [T]":            {received: "group-0> ", done: true},
		"reply and prompt":            {received: "Size: 1GB\r\ngroup-0> ", rest: "Size: 1GB\r\n", done: true},
		"LF only":                     {received: "Size: 1GB\ngroup-0> ", rest: "Size: 1GB\n", done: true},
		"nothing":                     {},
		"half a prompt":               {received: "Size: 1GB\r\ngroup-0>"},
		"no line end":                 {received: "Size: 1GB"},
		"prompt within a line":        {received: "Description: group-0> "},
		"prompt within a line, more":  {received: "Description: group-0> x\r\n"},
		"a line begins with it":       {received: "group-0> x\r\nSize"},
		"another prompt":              {received: "Size: 1GB\r\neql> "},
		"echo behind the prompt":      {received: "group-0> volume show"},
		"prefilled after error [M]":   {received: "% Error - Bad\r\ngroup-0> volume bad", rest: "% Error - Bad\r\n", done: true, prefilled: true},
		"an error, and the last line": {received: "% Error - Bad\r\nx group-0> "},
	} {
		t.Run(name, func(t *testing.T) {
			end, done, prefilled := scan([]byte(test.received), "group-0> ")
			require.Equal(t, test.done, done)
			require.Equal(t, test.prefilled, prefilled)
			require.Equal(t, test.rest, test.received[:end])
		})
	}
}

// However a reply is cut into packets, it ends at its last prompt and nowhere before.
func TestScanPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.StringMatching(`[ -~]{0,20}`)
		lines := rapid.SliceOfN(line, 0, 5).Draw(t, "lines")
		for i, l := range lines {
			if strings.HasPrefix(l, "g-0> ") || strings.HasPrefix(l, "% Error") || strings.HasPrefix(l, "Error:") {
				lines[i] = "." + l
			}
		}
		text := strings.Join(append(lines, "g-0> "), "\r\n")
		for n := range len(text) {
			_, done, _ := scan([]byte(text[:n]), "g-0> ")
			require.False(t, done, "after %q", text[:n])
		}
		end, done, prefilled := scan([]byte(text), "g-0> ")
		require.True(t, done)
		require.False(t, prefilled)
		require.Equal(t, len(lines), strings.Count(text[:end], "\r\n"))
	})
}

func TestReply(t *testing.T) {
	const line = "volume select volume-1 show"
	for name, text := range map[string]string{
		"no echo":           "Size: 1GB\r\nx",
		"echo":              line + "\r\nSize: 1GB\r\nx",
		"echo after prompt": "g-0> " + line + "\r\nSize: 1GB\r\nx",
		"broken echo":       "volume select vol\r\nume-1 show\r\nSize: 1GB\r\nx",
		"broken at a space": "volume select\r\nvolume-1 show\r\nSize: 1GB\r\nx",
		"empty line first":  "\r\n" + line + "\r\nSize: 1GB\r\nx",
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, []string{"Size: 1GB", "x"}, mustReply(text, "g-0> ", line))
		})
	}
	require.Empty(t, mustReply(line+"\r\n", "g-0> ", line))
	require.Empty(t, mustReply("", "g-0> ", line))
	// What only begins like the command is a reply.
	require.Equal(t, []string{"volume", "other"}, mustReply("volume\r\nother", "g-0> ", line))
}

func TestFailed(t *testing.T) {
	for name, test := range map[string]struct {
		lines []string
		want  string
	}{
		"Error [T]":            {[]string{"Error: test run"}, "test run"},
		"% Error [T]":          {[]string{"% Error"}, "error"},
		"does not exist [T]":   {[]string{"% Error ..... does not exist.\n"}, "..... does not exist."},
		"NoError [T]":          {[]string{"NoError: test run"}, ""},
		"with a dash":          {[]string{"volume delete x", "% Error - Volume x does not exist."}, "Volume x does not exist."},
		"over two lines":       {[]string{"% Error - Volume x does", "not exist."}, "Volume x does not exist."},
		"within a line":        {[]string{"Description: % Error"}, ""},
		"nothing":              {nil, ""},
		"indented is no error": {[]string{" Error: x"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, strings.TrimSpace(failed(test.lines)))
		})
	}
	require.Less(t, len(failed(slices.Repeat([]string{"% Error - and so on and on"}, 1000))), 600, "of a list that follows the beginning is enough")
}

func TestParseCreate(t *testing.T) {
	// [T]: the dot is not part of the name.
	iqn, ok := parseTarget([]string{"iSCSI target name is iqn.2003-10.com.equallogic:GROUP:123:NAME."})
	require.True(t, ok)
	require.Equal(t, "iqn.2003-10.com.equallogic:GROUP:123:NAME", iqn)
	for _, lines := range [][]string{nil, {"Volume creation succeeded."}, {"iSCSI target name is "}, {"iSCSI target name is ."}} {
		_, ok := parseTarget(lines)
		require.False(t, ok, "%q", lines)
	}
	// [T]: no dot here.
	name, ok := parseSnapshotName([]string{"Snapshot name is volume-1-2012-09-05-10:11:12.1"})
	require.True(t, ok)
	require.Equal(t, "volume-1-2012-09-05-10:11:12.1", name)
	for _, lines := range [][]string{nil, {"Snapshot name is "}, {"Snapshot name is a b"}, {"Snapshot name is a\rvolume delete b"}} {
		_, ok := parseSnapshotName(lines)
		require.False(t, ok, "%q", lines)
	}
}

func TestParsePool(t *testing.T) {
	p, missing := parsePool([]string{"TotalCapacity: 111GB", "FreeSpace: 11GB", "VolumeReportedSpace: 80GB", "TotalVolumes: 100"}) // [T]
	require.Empty(t, missing)
	require.Equal(t, poolInfo{total: 111 << 30, free: 11 << 30, reported: 80 << 30, volumes: 100}, p)
	p, missing = parsePool([]string{"TotalCapacity: 111GB", "FreeSpace: 11GB"}) // [T] of 2013
	require.Empty(t, missing)
	require.Equal(t, poolInfo{total: 111 << 30, free: 11 << 30, reported: 100 << 30}, p)
	for want, lines := range map[string][]string{
		"TotalCapacity":       {"FreeSpace: 11GB"},
		"FreeSpace":           {"TotalCapacity: 111GB", "FreeSpace: much"},
		"VolumeReportedSpace": {"TotalCapacity: 111GB", "FreeSpace: 1GB", "VolumeReportedSpace: -1GB"},
		"TotalVolumes":        {"TotalCapacity: 111GB", "FreeSpace: 1GB", "TotalVolumes: -1"},
	} {
		_, missing := parsePool(lines)
		require.Equal(t, want, missing)
	}
}

func TestParseAddress(t *testing.T) {
	address, ok := parseAddress([]string{"Group-Ipaddress: 10.1.2.3"}) // [T]
	require.True(t, ok)
	require.Equal(t, "10.1.2.3", address)
	_, ok = parseAddress([]string{"Group-Ipaddress: "})
	require.False(t, ok)
}

func TestParseSize(t *testing.T) {
	// [T]: what Cinder's driver makes of sizes, in GB.
	for text, want := range map[string]int64{"123.0GB": 123, "123.5GB": 124, "123.0TB": 125952, "1024.0MB": 1, "1536.0MB": 2, "5GB": 5, "1.01GB": 2} {
		n, err := parseSize(text)
		require.NoError(t, err, text)
		require.Equal(t, want, roundUp(n)>>30, text)
	}
	for text, want := range map[string]int64{"0MB": 0, "1KB": 1024, "1.5KB": 1536, "1PB": 1 << 50, "7.02TB": 7718571626988} {
		n, err := parseSize(text)
		require.NoError(t, err, text)
		require.Equal(t, want, n, text)
	}
	for _, text := range []string{"", "GB", "1", "-1GB", "1EB", "1,5GB", "1GBs", "1e3GB", "NaNGB", "999999999999999PB", " 1GB"} {
		_, err := parseSize(text)
		require.Error(t, err, text)
	}
}

func TestParseShow(t *testing.T) {
	v := parseShow([]string{"Size: 5GB", "iSCSI Name: iqn.2001-05.com.equallogic:0-8a0906-1-volume-1", "Description: "}) // [T]
	require.Equal(t, info{size: 5 << 30, iqn: "iqn.2001-05.com.equallogic:0-8a0906-1-volume-1", connections: -1, snapshots: -1}, v)

	// What a real group printed in 2014 [D], with the letters O that the guide has for zeroes.
	printed := `_______________________________ Volume Information ________________________________
Name: volume-74cf9c04-4543-47ae-a937-a9b7c6c921e7
Size: 1GB
VolReserve: 1.01GB
VolReservelnUse: 0MB
ReplReservelnUse: 0MB
iSCSI Alias: volume-74cf9c04-4543-47ae-a937-a9b7c6c921e7
iSCSI Name: iqn.2001-05.com.equallogic:0-8a0906-19f91850c-067000000b4532cl-volume-74cf9c04-4543-47ae-a937-a9b7c6c921e7
ActualMembers: 1
Snap-Warn: 10%
Snap-Depletion: delete-oldest
Description:
Snap-Reserve: 100%
Snap-Reserve-Avail: 100% (1.01GB)
Permission: read-write
DesiredStatus: online
Status: online
Connections: 1
Snapshots: O
Bind:
Type: not-replicated
ReplicationReserveSpace: 0MB`
	v = parseShow(strings.Split(printed, "\n"))
	require.Equal(t, info{
		name: "volume-74cf9c04-4543-47ae-a937-a9b7c6c921e7", size: 1 << 30, connections: 1, snapshots: -1,
		iqn: "iqn.2001-05.com.equallogic:0-8a0906-19f91850c-067000000b4532cl-volume-74cf9c04-4543-47ae-a937-a9b7c6c921e7",
	}, v)

	// A narrow terminal breaks the target's name [W], and a description cannot pretend.
	v = parseShow([]string{"Size: 1GB", "iSCSI Name: iqn.2001-05.com.equal", "logic:0-8a0906-1-v", "ActualMembers: 1",
		"Description: x", "Size: 9GB", "Status: offline", "Connections: 0", "Snapshots: 2"})
	require.Equal(t, info{size: 1 << 30, iqn: "iqn.2001-05.com.equallogic:0-8a0906-1-v", description: "x", offline: true, snapshots: 2}, v)
	require.Equal(t, "iqn.x:v", parseShow([]string{"iSCSI Name: iqn.x:v", "Bind:", "Type: not-replicated"}).iqn, "a key without a value is no rest")
	require.Equal(t, info{connections: -1, snapshots: -1}, parseShow(nil))
}

func TestParseAccess(t *testing.T) {
	table := func(rows ...string) []string {
		return append([]string{
			"ID  Initiator       Ipaddress     AuthMethod UserName   Apply-To",
			"--- --------------- ------------- ---------- ---------- --------",
		}, rows...)
	}
	const iqn = "iqn.1993-08.org.debian:01:a0b1c2d3e4f5"
	for name, test := range map[string]struct {
		lines []string
		want  []accessRecord
	}{
		"empty [T]":  {},
		"header":     {lines: table()},
		"broken [T]": {table("1   iqn.1993-08.org.debian:01:a0b *.*.*.*       none        both", "       1c2d3e4f5"), []accessRecord{{"1", iqn, "*.*.*.*", "none", "", "both"}}},
		"two broken [T]": {
			table("1   iqn.1993-08.org.debian:01:222 *.*.*.*       none        both", "       7dab76162",
				"2   iqn.1993-08.org.debian:01:a0b *.*.*.*       none        both", "       1c2d3e4f5"),
			[]accessRecord{{"1", "iqn.1993-08.org.debian:01:2227dab76162", "*.*.*.*", "none", "", "both"}, {"2", iqn, "*.*.*.*", "none", "", "both"}},
		},
		"whole, then broken": {
			table("1   iqn.2012-07.x:a *.*.*.*       none                  both",
				"12  iqn.1993-08.org.debian:01:a0b *.*.*.*       chap       chapadmin  both", "       1c2d3e4f5"),
			[]accessRecord{{"1", "iqn.2012-07.x:a", "*.*.*.*", "none", "", "both"}, {"12", iqn, "*.*.*.*", "chap", "chapadmin", "both"}},
		},
		"echo first": {append([]string{"volume select v access show"}, table("1   iqn.2012-07.x:a *.*.*.* none both")...), []accessRecord{{"1", "iqn.2012-07.x:a", "*.*.*.*", "none", "", "both"}}},
		"by address": {table("1                   192.0.2.*     none                  both", "2   *               *.*.*.*       chap       u          both"),
			[]accessRecord{{"1", "", "192.0.2.*", "none", "", "both"}, {"2", "", "*.*.*.*", "chap", "u", "both"}}},
		"broken twice": {table("1   iqn.2012 *.*.*.* none both", "       -07.com.", "       example:a", "", "       no part of it"), []accessRecord{{"1", "iqn.2012-07.com.example:a", "*.*.*.*", "none", "", "both"}}},
		"two cells broken": {table(
			"1   iqn.1993-08.org *.*.*.*       chap       chapadmin- both    ", "    .debian:01:a0b1               ",
			"2   iqn.1993-08.org *.*.*.*       CHAP       chapadmin- volume", "    .debian:01:a0b2                    production",
			"3   iqn.2012-07.x:a 192.0.2.7     chap       chapadmin- snapshot", "                                       production"),
			[]accessRecord{{"1", "iqn.1993-08.org.debian:01:a0b1", "*.*.*.*", "chap", "chapadmin-", "both"},
				{"2", "iqn.1993-08.org.debian:01:a0b2", "*.*.*.*", "chap", "chapadmin-production", "volume"},
				{"3", "iqn.2012-07.x:a", "192.0.2.7", "chap", "chapadmin-production", "snapshot"}}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, parseAccess(test.lines))
		})
	}
}

func TestParseTables(t *testing.T) {
	require.Equal(t, []row{{name: "volume-1", size: 1 << 30, connections: 0}, {name: "volume-74cf9c04-4543-47ae-a937-a9b7c6c921e7", size: 5 << 29, connections: 2}, {name: "v", size: 1 << 40}},
		rowsOf(parseVolumes([]string{
			"Name            Size       Snapshots Status  Permission Connections TP",
			"--------------- ---------- --------- ------- ---------- ----------- --",
			"volume-1        1GB        0         online  read-write 0           Y",
			"volume-74cf9c04 2.5GB      3         online  read-write 2           N",
			"  -4543-47ae-a9 ",
			"  37-a9b7c6c921e7 ",
			"v               1TB        0         offline (member down) read-write 0           Y",
		})))
	require.Equal(t, []row{{name: "snapshot-1"}, {name: "volume-1-2012-09-05-10:11:12.1", connections: 1}},
		rowsOf(parseSnapshots([]string{
			"Name            Permission Status  Connections",
			"--------------- ---------- ------- -----------",
			"snapshot-1      read-write offline 0",
			"volume-1-2012-0 read-only  online  1",
			"  9-05-10:11:12.1 ",
		})))
	require.Empty(t, rowsOf(parseVolumes([]string{"  stray", "Volume x is online"})))
	full := "volume-verylong-10GB       0         online  read-write 0           Y"
	rows, strange := parseVolumes([]string{"volume-a        10GB       0         online  read-write 0           Y", full})
	require.Len(t, rows, 1)
	require.Equal(t, []string{full}, strange)
}

func FuzzScan(f *testing.F) {
	f.Add([]byte("volume show\r\n% Error\r\ngroup-0> volume show"))
	f.Add([]byte("group-0> "))
	f.Fuzz(func(t *testing.T, received []byte) {
		end, done, prefilled := scan(received, "group-0> ")
		require.False(t, prefilled && !done)
		if !done {
			return
		}
		require.True(t, bytes.HasPrefix(received[end:], []byte("group-0> ")))
		require.False(t, bytes.ContainsAny(received[end:], "\r\n"))
		require.True(t, end == 0 || received[end-1] == '\n' || received[end-1] == '\r')
		for _, line := range mustReply(string(received[:end]), "group-0> ", "volume show") {
			require.False(t, strings.ContainsAny(line, "\r\n"))
		}
	})
}

// FuzzReplies feeds every parser: none may panic, and what it returns must be usable.
func FuzzReplies(f *testing.F) {
	f.Add("ID  Initiator\n1   iqn.1993-08.org.debian:01:a0b *.*.*.* none both\n       1c2d\n")
	f.Add("Size: 1.01GB\niSCSI Name: iqn.x\ny\nSnapshots: 1\n")
	f.Add("TotalCapacity: 7.02TB\nFreeSpace: 1GB\nTotalVolumes: 3\n")
	f.Add("volume-1        1GB        0         online  read-write 0           Y\n  -x\n")
	f.Add("snapshot-1      read-write offline 0\n")
	f.Add("iSCSI target name is iqn.x.\nSnapshot name is a\nGroup-Ipaddress: 1.2.3.4\n% Error - no\n")
	f.Fuzz(func(t *testing.T, text string) {
		lines := splitLines([]byte(text))
		if v := parseShow(lines); v.size < 0 || v.connections < -1 || v.snapshots < -1 {
			t.Fatalf("%+v", v)
		}
		if p, missing := parsePool(lines); missing == "" && (p.total < 0 || p.volumes < 0) {
			t.Fatalf("%+v", p)
		}
		for _, r := range parseAccess(lines) {
			require.NoError(t, checkWord(r.id))
		}
		for _, r := range append(rowsOf(parseVolumes(lines)), rowsOf(parseSnapshots(lines))...) {
			require.False(t, r.size < 0 || r.connections < 0 || strings.ContainsAny(r.name, " \t\r\n") || r.name == "", "%+v", r)
		}
		if name, ok := parseSnapshotName(lines); ok {
			require.NoError(t, checkWord(name))
		}
		if iqn, ok := parseTarget(lines); ok {
			require.NotEmpty(t, iqn)
		}
		if address, ok := parseAddress(lines); ok {
			require.NotEmpty(t, address)
		}
		if message := failed(lines); message != "" {
			require.NotEmpty(t, commandError("x", message).Error())
		}
	})
}

// mustReply is reply without its second value.
func mustReply(text, prompt, command string) []string {
	lines, _ := reply([]byte(text), prompt, command, false)
	return lines
}

func rowsOf(rows []row, _ []string) []row { return rows }
