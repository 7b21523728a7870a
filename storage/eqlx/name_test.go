package eqlx

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/storage"
)

func TestTemplate(t *testing.T) {
	d, err := newTemplate("volume-<id>")
	require.NoError(t, err)
	for id, want := range map[string]string{
		"74cf9c04-4543-47ae-a937-a9b7c6c921e7": "volume-74cf9c04-4543-47ae-a937-a9b7c6c921e7", // as Cinder
		"a":                                    "volume-a",
		"A.b":                                  "volume-:41.b",
		"a.b":                                  "volume-a.b",
		"a_b":                                  "volume-a:5fb",
		"a.":                                   "volume-a:2e",
		"a-":                                   "volume-a:2d",
		strings.Repeat("z", 56):                "volume-" + strings.Repeat("z", 56),
		strings.Repeat("z", 57):                "volume-:xb65bjp6cduob3htf6b0v9n2tk6e9fhg5",
	} {
		got := d.name(id)
		if strings.HasPrefix(want, "volume-:x") {
			require.Len(t, got, len("volume-")+34)
			continue
		}
		require.Equal(t, want, got)
	}
	for _, name := range []string{"volume-", "volume", "other", "volume-:41.b:", "volume-:4", "volume-:61", "volume-:xx", "volume-a:5Fb", "volume-A", "volume-a b", "volume--a"} {
		_, ours, _ := d.id(name)
		require.False(t, ours, name)
	}
	for _, bad := range []string{"", "volume", "<id>", "-<id>", "Volume-<id>", "volume-<id>-", "a<id>b<id>", "v <id>", "v\r<id>", strings.Repeat("v", 29) + "<id>"} {
		_, err := newTemplate(bad)
		require.Error(t, err, bad)
	}
}

func ids() *rapid.Generator[string] {
	return rapid.OneOf(rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,62}`), rapid.StringMatching(`[aA0][aA0._-]{0,4}`))
}

// Names are legal, differ where IDs differ even if the group ignores case, and tell the ID
// again, or hide it behind a hash that a description tells.
func TestTemplateIsOneToOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"volume-<id>", "v<id>", "os.<id>-prod", "a-:<id>"[:2] + "<id>"}).Draw(t, "template")
		d, err := newTemplate(text)
		require.NoError(t, err)
		a, b := ids().Draw(t, "a"), ids().Draw(t, "b")
		name := d.name(a)
		require.NoError(t, storage.CheckID(a))
		require.NoError(t, checkWord(name))
		require.LessOrEqual(t, len(name), maxName)
		require.Regexp(t, `^[a-z0-9]([a-z0-9.:-]*[a-z0-9])?$`, name)
		if a != b {
			require.NotEqual(t, name, d.name(b))
		}
		id, ours, hidden := d.id(name)
		require.True(t, ours)
		require.Equal(t, hidden, d.hides(a))
		if hidden {
			got, ok := d.describedID(name, "OpenStack Managed "+describeID(a))
			require.True(t, ok)
			require.Equal(t, a, got)
			if a != b {
				_, ok = d.describedID(name, describeID(b))
				require.False(t, ok)
			}
		} else {
			require.Equal(t, a, id)
		}
	})
}

func FuzzTemplate(f *testing.F) {
	f.Add("volume-a:5fb", "id=x")
	f.Add("volume-:x00000000000000000000000000000000", "id=x")
	d, err := newTemplate("volume-<id>")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, name, description string) {
		if id, ours, hidden := d.id(name); ours && !hidden {
			require.NoError(t, storage.CheckID(id))
			require.Equal(t, name, d.name(id))
		}
		if id, ok := d.describedID(name, description); ok {
			require.Equal(t, name, d.name(id))
		}
	})
}

// Whatever a value is, a command stays one command of the words that were meant.
func TestCommand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z ;"'>\r\n-]{0,8}`)).Draw(t, "value")
		line, err := command(volume(value, lit("access show"))...)
		if err != nil {
			require.ErrorIs(t, err, storage.ErrInvalid)
			return
		}
		words := strings.Split(line, " ")
		require.Equal(t, []string{"volume", "select", value, "access", "show"}, words)
		require.NotContains(t, line, "\r")
	})
	for _, bad := range []string{"", "a b", "a\rvolume delete b", "a\n", "g-0> ", `a"b`, "a'b", "-all", "a;b", "a>b", "ü", "a\x00", strings.Repeat("a", 256)} {
		_, err := command(arg(bad))
		require.ErrorIs(t, err, storage.ErrInvalid, bad)
	}
	_, err := command(arg(strings.Repeat("a", 255)), arg(strings.Repeat("a", 255)), arg(strings.Repeat("a", 255)), arg(strings.Repeat("a", 255)), arg("a"))
	require.ErrorIs(t, err, storage.ErrInvalid)
}
