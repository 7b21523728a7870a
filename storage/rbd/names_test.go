package rbd

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/storage"
)

func TestNamesAreOneToOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		affix := rapid.StringMatching(`[A-Za-z0-9._-]{1,8}`)
		tmpl := template{affix.Draw(t, "prefix"), rapid.StringMatching(`([A-Za-z0-9._-]{1,8}|\.deleted|\.clone_snap)?`).Draw(t, "suffix")}
		ids := rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,20}(\.deleted|\.clone_snap)?`)
		a, b := ids.Draw(t, "a"), ids.Draw(t, "b")
		got, ok := tmpl.id(tmpl.name(a))
		require.True(t, ok, tmpl.name(a))
		require.Equal(t, a, got)
		require.Equal(t, a == b, tmpl.name(a) == tmpl.name(b))
		require.False(t, silent(tmpl.name(a)), "no volume looks like what Cinder leaves")
		require.False(t, cloneSnap(tmpl.name(a)))
		_, ok = tmpl.id(tmpl.name(a) + unmanagedSuffix)
		require.False(t, ok, "what is given up is no volume")
		_, ok = tmpl.id(tmpl.name(a) + deletedSuffix)
		require.False(t, ok)
		if name := tmpl.name(a); !strings.HasSuffix(name, escape) {
			_, ok = tmpl.id(name + escape)
			require.False(t, ok, "one name for each ID")
		}
	})
}

func TestSnapshotsOfOthers(t *testing.T) {
	for name, want := range map[string]bool{
		"backup.8f1c2f0e-11.snap.1423.5": true, "backup.x.snap.": false, "backup.x.snap.abc": false, "backup.snap.1": false, "snapshot-1": false, "": false,
	} {
		require.Equal(t, want, backupSnap(name), name)
	}
}

func TestLocations(t *testing.T) {
	l, err := ParseLocation("rbd://f%2Dsid/images/an%20image/snap")
	require.NoError(t, err)
	require.Equal(t, Location{"f-sid", "images", "an image", "snap"}, l)
	again, err := ParseLocation(l.String())
	require.NoError(t, err)
	require.Equal(t, l, again)
	for _, bad := range []string{"", "rbd://", "rbd://a/b/c", "rbd://a/b/c/d/e", "rbd://a//c/d", "file:///a/b/c/d", "rbd://a/b/%zz/d", "rbd://a/b%2Fc/d/e", "rbd://a/b/c@d/e", "rbd://a/b/c%00/e"} {
		_, err := ParseLocation(bad)
		require.ErrorIs(t, err, storage.ErrInvalid, bad)
	}
}

func FuzzLocation(f *testing.F) {
	f.Add("rbd://fsid/images/an%20image/snap")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLocation(s)
		if err != nil {
			require.ErrorIs(t, err, storage.ErrInvalid)
			return
		}
		again, err := ParseLocation(l.String())
		require.NoError(t, err)
		require.Equal(t, l, again)
	})
}
