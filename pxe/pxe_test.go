package pxe_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/pxe"
)

var testMAC = pxe.MAC{0x52, 0x54, 0x00, 0x77, 0x00, 0x0a}

func TestParseMAC(t *testing.T) {
	for _, good := range []string{"52:54:00:77:00:0a", "52-54-00-77-00-0A", "52540077000a"} {
		mac, err := pxe.ParseMAC(good)
		require.NoError(t, err, good)
		require.Equal(t, testMAC, mac)
		require.Equal(t, "52:54:00:77:00:0a", mac.String())
	}
	for _, bad := range []string{
		"", "52:54:00:77:00", "52:54:00:77:00:0g", "52:54-00:77:00:0a", "5254:00:77:00:0a:", "52.54.00.77.00.0a",
		"52:54:00:77:00:0a:0b", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "52:54:00:77:00:0a\n",
		"::::::::::::::::", "525252525252525252", strings.Repeat("a", 1<<16),
	} {
		_, err := pxe.ParseMAC(bad)
		require.ErrorIs(t, err, pxe.ErrMAC, bad)
		require.Less(t, len(err.Error()), 200)
	}
}

func TestMACAsText(t *testing.T) {
	raw, err := json.Marshal(map[pxe.MAC]pxe.MAC{testMAC: testMAC})
	require.NoError(t, err)
	require.JSONEq(t, `{"52:54:00:77:00:0a":"52:54:00:77:00:0a"}`, string(raw))
	var back map[pxe.MAC]pxe.MAC
	require.NoError(t, json.Unmarshal(raw, &back))
	require.Equal(t, testMAC, back[testMAC])
	require.Error(t, json.Unmarshal([]byte(`{"x":"y"}`), &back))
}

func TestScript(t *testing.T) {
	for name, c := range map[string]struct {
		decision pxe.Decision
		want     string
	}{
		"zero":      {pxe.Decision{}, "#!ipxe\nexit 1\n"},
		"local":     {pxe.Decision{Reason: "in use; $x\n&& boot"}, "#!ipxe\necho crowbar: in use? ?x??? boot\nexit 1\n"},
		"sanboot":   {pxe.Decision{Local: pxe.LocalSanboot}, "#!ipxe\nsanboot --no-describe --drive 0x80 || exit 1\n"},
		"not found": {pxe.Decision{Local: pxe.LocalNotFound}, "#!ipxe\nexit 1\n"},
		"kernel":    {pxe.Decision{Action: pxe.ActionBoot, Kernel: "vmlinuz"}, "#!ipxe\nkernel vmlinuz\nboot\n"},
		"everything": {pxe.Decision{
			Action: pxe.ActionBoot, Reason: "discovery", Kernel: "http://10.77.0.1:8080/vmlinuz",
			Initrds: []pxe.Initrd{{URL: "/initrd"}, {Name: "token", URL: "/token?mac=${net0/mac}"}, {URL: "/third"}},
			Args:    []string{"quiet", "inv.mac=${net0/mac}", "console=ttyS0,115200"},
		}, "#!ipxe\necho crowbar: discovery\n" +
			"kernel http://10.77.0.1:8080/vmlinuz initrd=initrd initrd=token initrd=initrd3 quiet inv.mac=${net0/mac} console=ttyS0,115200\n" +
			"initrd --name initrd /initrd\ninitrd --name token /token?mac=${net0/mac}\ninitrd --name initrd3 /third\nboot\n"},
		"raw": {pxe.Decision{Action: pxe.ActionScript, Script: "#!ipxe\nshell\n"}, "#!ipxe\nshell\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := pxe.Script(&c.decision)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestScriptRefuses(t *testing.T) {
	boot := func(change func(*pxe.Decision)) pxe.Decision {
		d := pxe.Decision{Action: pxe.ActionBoot, Kernel: "/vmlinuz"}
		change(&d)
		return d
	}
	arg := func(s string) pxe.Decision { return boot(func(d *pxe.Decision) { d.Args = []string{"quiet", s} }) }
	kernel := func(s string) pxe.Decision { return boot(func(d *pxe.Decision) { d.Kernel = s }) }
	for name, c := range map[string]struct {
		decision pxe.Decision
		says     string
	}{
		"newline":         {arg("a\nexit 0"), "/args/1"},
		"carriage return": {arg("a\r"), "/args/1"},
		"escape":          {arg("a\x1b[0m"), "/args/1"},
		"space":           {arg("a b"), "/args/1"},
		"bad UTF-8":       {arg("a\xff"), "/args/1"},
		"empty":           {arg(""), "/args/1"},
		"or":              {arg("||"), "/args/1"},
		"and":             {arg("&&"), "/args/1"},
		"semicolon":       {arg(";"), "/args/1"},
		"comment":         {arg("#x"), "/args/1"},
		"initrd":          {arg("initrd=evil"), "/args/1"},
		"no kernel":       {kernel(""), "/kernel"},
		"kernel option":   {kernel("--name"), "/kernel"},
		"kernel space":    {kernel("/a b"), "/kernel"},
		"kernel scheme":   {kernel("file:///etc/passwd"), "/kernel"},
		"kernel host":     {kernel("http:///x"), "/kernel"},
		"initrd name":     {boot(func(d *pxe.Decision) { d.Initrds = []pxe.Initrd{{Name: "a b", URL: "/x"}} }), "/initrds/0/name"},
		"initrd twice": {boot(func(d *pxe.Decision) {
			d.Initrds = []pxe.Initrd{{URL: "/x"}, {Name: "initrd", URL: "/y"}}
		}), "/initrds/1/name"},
		"initrd URL": {boot(func(d *pxe.Decision) { d.Initrds = []pxe.Initrd{{URL: "/x\n"}} }), "/initrds/0/url"},
		"raw":        {pxe.Decision{Action: pxe.ActionScript, Script: "boot\n"}, "#!ipxe"},
		"local":      {pxe.Decision{Local: "maybe"}, "maybe"},
		"ignore":     {pxe.Decision{Action: pxe.ActionIgnore}, "ignore"},
		"action":     {pxe.Decision{Action: 17}, "Action(17)"},
	} {
		t.Run(name, func(t *testing.T) {
			script, err := pxe.Script(&c.decision)
			require.ErrorIs(t, err, pxe.ErrDecision)
			require.ErrorContains(t, err, c.says)
			require.Empty(t, script)
		})
	}
	both := pxe.Decision{Action: pxe.ActionBoot, Kernel: "", Args: []string{"a b"}}
	_, err := pxe.Script(&both)
	require.ErrorContains(t, err, "/kernel")
	require.ErrorContains(t, err, "/args/0", "all problems at once")
}

func TestParseScript(t *testing.T) {
	want := &pxe.Decision{
		Action: pxe.ActionBoot, Kernel: "http://s/vmlinuz", Args: []string{"quiet", "ip=10.0.0.1", "x="},
		Initrds: []pxe.Initrd{{Name: "initrd", URL: "http://s/initrd"}, {URL: "/b"}},
	}
	got, err := pxe.ParseScript("#!ipxe\r\n# a comment\n\necho hello ; boot\n"+
		"kernel http://s/vmlinuz initrd=initrd   quiet ip=${net0/ip} x=${unknown} || exit 1\r\n"+
		"initrd --name initrd http://s/initrd\ninitrd /b\nboot\nnever reached\n",
		map[string]string{"net0/ip": "10.0.0.1"})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(want, got))
	value, found := got.Arg("ip")
	require.True(t, found)
	require.Equal(t, "10.0.0.1", value)
	_, found = got.Arg("absent")
	require.False(t, found)

	for name, bad := range map[string]string{
		"empty":         "",
		"no header":     "boot\n",
		"html":          "<html>404</html>",
		"exit":          "#!ipxe\nexit\n",
		"exit 0":        "#!ipxe\nexit 0\n",
		"exit 00":       "#!ipxe\nexit 00\n",
		"exit text":     "#!ipxe\nexit one\n",
		"end":           "#!ipxe\nkernel /x\n",
		"nothing":       "#!ipxe\n",
		"boot nothing":  "#!ipxe\nboot\n",
		"kernel":        "#!ipxe\nkernel\nboot\n",
		"kernel option": "#!ipxe\nkernel --name x /x\nboot\n",
		"initrd":        "#!ipxe\nkernel /x\ninitrd --name\nboot\n",
		"unknown":       "#!ipxe\nchain http://elsewhere/\n",
	} {
		_, err := pxe.ParseScript(bad, nil)
		require.ErrorIs(t, err, pxe.ErrScript, name)
	}
}

// What Script writes, ParseScript reads back.
func FuzzScriptRoundTrip(f *testing.F) {
	f.Add("/vmlinuz", "initrd", "/initrd", "inv.mac=${net0/mac}")
	f.Add("http://[fe80::1]:80/k", "", "a", "--")
	f.Add("x", "b", "c\\", "\u00a0")
	f.Fuzz(func(t *testing.T, kernel, name, initrd, arg string) {
		d := &pxe.Decision{Action: pxe.ActionBoot, Kernel: kernel, Initrds: []pxe.Initrd{{Name: name, URL: initrd}}, Args: []string{arg}}
		script, err := pxe.Script(d)
		if err != nil {
			return
		}
		if name == "" {
			d.Initrds[0].Name = "initrd"
		}
		got, err := pxe.ParseScript(script, nil)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(d, got))
	})
}

func FuzzParseScript(f *testing.F) {
	f.Add("#!ipxe\nkernel /k a=${net0/mac} || exit 1\ninitrd --name i /i\nboot\n")
	f.Add("#!ipxe\nexit 1\n")
	f.Add("#!ipxe\nsanboot --drive 0x80\n")
	f.Fuzz(func(t *testing.T, script string) {
		d, err := pxe.ParseScript(script, map[string]string{"net0/mac": "52:54:00:77:00:0a"})
		if err != nil {
			require.ErrorIs(t, err, pxe.ErrScript)
			return
		}
		require.True(t, d.Action == pxe.ActionLocal || d.Kernel != "")
	})
}

func FuzzParseMAC(f *testing.F) {
	for _, seed := range []string{"52:54:00:77:00:0a", "52-54-00-77-00-0A", "52540077000a", "x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		mac, err := pxe.ParseMAC(s)
		if err != nil {
			require.ErrorIs(t, err, pxe.ErrMAC)
			return
		}
		again, err := pxe.ParseMAC(mac.String())
		require.NoError(t, err)
		require.Equal(t, mac, again)
	})
}
