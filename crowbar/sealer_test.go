package crowbar_test

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/proposal/proposaltest"
)

func newKey(t testing.TB) *crowbar.AgeSealer {
	t.Helper()
	key, err := crowbar.NewKeyFile(filepath.Join(t.TempDir(), "secret.key"))
	require.NoError(t, err)
	return key
}

func TestAgeSealer(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "secret.key")
	made, err := crowbar.NewKeyFile(path)
	require.NoError(t, err)
	opened, err := crowbar.OpenKeyFile(path)
	require.NoError(t, err)
	require.Equal(t, made.Recipient(), opened.Recipient())
	require.True(t, strings.HasPrefix(made.Recipient(), "age1"))

	sealed, err := made.Seal(t.Context(), []byte("a secret"))
	require.NoError(t, err)
	require.NotContains(t, string(sealed), "secret")
	other, err := made.Seal(t.Context(), []byte("a secret"))
	require.NoError(t, err)
	require.NotEqual(t, sealed, other, "equal secrets do not show as equal")
	plain, err := opened.Open(t.Context(), sealed)
	require.NoError(t, err)
	require.Equal(t, "a secret", string(plain))

	_, err = newKey(t).Open(t.Context(), sealed)
	require.ErrorIs(t, err, crowbar.ErrOtherKey)
	for at := range sealed {
		changed := []byte(string(sealed))
		changed[at] ^= 1
		_, err := made.Open(t.Context(), changed)
		require.Error(t, err, "byte %d was changed", at)
		require.NotContains(t, err.Error(), "a secret")
	}
	for _, cut := range [][]byte{nil, sealed[:len(sealed)-1], []byte("a secret")} {
		_, err := made.Open(t.Context(), cut)
		require.Error(t, err)
		require.NotErrorIs(t, err, crowbar.ErrOtherKey, "it is damaged")
	}
}

func TestKeyFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "secret.key")
	_, err := crowbar.OpenKeyFile(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	key, err := crowbar.NewKeyFile(path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())

	text, err := os.ReadFile(path)
	require.NoError(t, err)
	_, err = crowbar.NewKeyFile(path)
	require.ErrorIs(t, err, fs.ErrExist, "a key is never replaced")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(text), string(after))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1, "nothing else is left behind")

	at := strings.Index(string(text), "AGE-SECRET-KEY-1")
	require.NotEqual(t, -1, at)
	secret := strings.TrimSpace(string(text)[at:])
	for _, shown := range []string{fmt.Sprint(key), fmt.Sprintf("%+v %#v %s %q", key, key, key, key), slog.AnyValue(key).String(), fmt.Sprintf("%+v", crowbar.Config{Sealer: key})} {
		require.NotContains(t, shown, secret)
	}

	for mode := range map[fs.FileMode]bool{0o640: true, 0o604: true, 0o620: true, 0o666: true} {
		require.NoError(t, os.Chmod(path, mode))
		_, err = crowbar.OpenKeyFile(path)
		require.ErrorIs(t, err, crowbar.ErrKeyFile, "mode %o", mode)
		require.ErrorContains(t, err, "chmod 600 "+path)
	}
	for name, text := range map[string]string{
		"empty":    "",
		"no key":   "# public key: age1\n",
		"cut":      secret[:len(secret)-1],
		"garbage":  "\x00\xff",
		"two keys": secret + "\n" + secret,
		"huge":     strings.Repeat("#\n", 1<<20) + secret,
	} {
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err = crowbar.OpenKeyFile(path)
		require.ErrorIs(t, err, crowbar.ErrKeyFile, name)
		require.NotContains(t, err.Error(), secret[:20], name)
	}
	_, err = crowbar.OpenKeyFile(dir)
	require.ErrorIs(t, err, crowbar.ErrKeyFile)
	_, err = crowbar.NewKeyFile(filepath.Join(dir, "none", "secret.key"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// TestOneKeyForAStore: a store that was given a key is opened with that one only.
func TestOneKeyForAStore(t *testing.T) {
	store := crowbar.NewMemoryStore()
	with := func(config crowbar.Config) error {
		config.Store, config.Registry = store, &barclamp.Registry{}
		_, err := crowbar.New(t.Context(), config)
		return err
	}
	require.NoError(t, with(crowbar.Config{}), "a store from before there were keys")
	_, err := open(t, store, nil).Proposals().Append(t.Context(), ceph, 0, revisionOf(proposaltest.Doc(t, "ceph", 1), ""))
	require.NoError(t, err)
	require.NoError(t, open(t, store, nil).Pause(t.Context(), "tester", "lunch"))
	right, wrong := newKey(t), newKey(t)
	require.NoError(t, with(crowbar.Config{Sealer: right}))
	settings, err := crowbar.ReadSettings(t.Context(), store)
	require.NoError(t, err)
	require.Equal(t, crowbar.Settings{Paused: "lunch", Recipient: right.Recipient()}, *settings)
	before := len(listing(t, store, ""))

	err = with(crowbar.Config{Sealer: wrong})
	require.ErrorIs(t, err, crowbar.ErrOtherKey)
	require.ErrorContains(t, err, right.Recipient())
	require.ErrorContains(t, err, wrong.Recipient())
	err = with(crowbar.Config{})
	require.ErrorIs(t, err, crowbar.ErrOtherKey)
	require.ErrorContains(t, err, "no key was given")
	require.Len(t, listing(t, store, ""), before)

	e := open(t, store, right)
	require.NoError(t, e.Pause(t.Context(), "tester", "why"))
	settings, err = crowbar.ReadSettings(t.Context(), store)
	require.NoError(t, err)
	require.Equal(t, right.Recipient(), settings.Recipient, "other settings leave it alone")
	_, err = e.Proposals().Get(t.Context(), ceph, 1)
	require.NoError(t, err, "what was saved before is still read")
}
