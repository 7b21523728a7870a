package server_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/server"
)

// TestSecretKey: a data directory is given one key when it is new, and never another one.
func TestSecretKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	key := filepath.Join(dir, "secret.key")
	start := func(config server.Config) error {
		config.Listen = "127.0.0.1:0"
		if config.DataDir == "" {
			config.DataDir = dir
		}
		s, err := server.Open(t.Context(), config)
		if err != nil {
			return err
		}
		return s.Close()
	}
	require.NoError(t, start(server.Config{}))
	made, err := crowbar.OpenKeyFile(key)
	require.NoError(t, err)
	require.NoError(t, start(server.Config{}))
	again, err := crowbar.OpenKeyFile(key)
	require.NoError(t, err)
	require.Equal(t, made.Recipient(), again.Recipient())

	require.NoError(t, os.Chmod(key, 0o644))
	err = start(server.Config{})
	require.ErrorIs(t, err, crowbar.ErrKeyFile)
	require.ErrorContains(t, err, "chmod 600 "+key)
	require.NoError(t, os.Chmod(key, 0o600))

	elsewhere := filepath.Join(t.TempDir(), "crowbar.key")
	require.NoError(t, os.Rename(key, elsewhere))
	err = start(server.Config{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.EqualError(t, err, "the key file "+key+" is missing, and the secrets in data directory "+dir+" are sealed for "+made.Recipient()+"; restore the file from a backup, or say where it is: --secret-key-file FILE")
	require.NoFileExists(t, key, "no new key hides that the old one is missing")
	require.NoError(t, start(server.Config{SecretKeyFile: elsewhere}))
	require.NoFileExists(t, key)

	other := filepath.Join(t.TempDir(), "other.key")
	require.NoError(t, start(server.Config{DataDir: filepath.Join(t.TempDir(), "other"), SecretKeyFile: other}))
	require.FileExists(t, other)
	err = start(server.Config{SecretKeyFile: other})
	require.ErrorIs(t, err, crowbar.ErrOtherKey)
	require.ErrorContains(t, err, made.Recipient())

	err = start(server.Config{DataDir: t.TempDir(), SecretKeyFile: filepath.Join(t.TempDir(), "none", "key")})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "cannot be made")
}
