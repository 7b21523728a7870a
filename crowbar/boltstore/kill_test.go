package boltstore_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/boltstore"
)

// writerEnv makes the test binary a process that writes to the store at this path.
const writerEnv = "BOLTSTORE_TEST_WRITER"

// writeUntilKilled writes from several goroutines and prints "revision key" for each write
// that was acknowledged.
func writeUntilKilled(path string) {
	s, err := boltstore.Open(path, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for i := range 8 {
		go func() {
			for n := 0; ; n++ {
				// Two keys in one transaction: half of it must never be seen.
				key := fmt.Sprintf("%d/%06d", i, n)
				revision, err := s.Txn(context.Background(), []crowbar.Condition{{Key: "a/" + key}, {Key: "b/" + key}}, []crowbar.Op{
					{Key: "a/" + key, Value: []byte(strings.Repeat(key, 50))},
					{Key: "b/" + key, Value: []byte(key)},
				})
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Fprintf(os.Stdout, "%d %s\n", revision, key)
			}
		}()
	}
	select {}
}

func TestKilledProcessLosesNothingAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	lastRevision := int64(0)
	acknowledged := map[string]int64{}
	for round := range 3 {
		// Each life writes other keys, after what the last left behind.
		s, err := boltstore.Open(path, nil)
		require.NoError(t, err, "round %d", round)
		listing, err := s.List(t.Context(), "")
		require.NoError(t, err)
		require.GreaterOrEqual(t, listing.Revision, lastRevision)
		found := map[string]int64{}
		for _, r := range listing.Records {
			found[r.Key] = r.Revision
			require.LessOrEqual(t, r.Revision, listing.Revision)
		}
		for key, revision := range acknowledged {
			require.Equal(t, revision, found["a/"+key], "acknowledged %s", key)
			require.Equal(t, revision, found["b/"+key], "acknowledged %s", key)
		}
		for key, revision := range found {
			if half, ok := strings.CutPrefix(key, "a/"); ok {
				require.Equal(t, revision, found["b/"+half], "half a transaction")
			}
		}
		require.Equal(t, len(found)%2, 0)
		var clean []crowbar.Op
		for _, r := range listing.Records {
			if clean = append(clean, crowbar.Op{Key: r.Key}); len(clean) == crowbar.MaxTxnOps {
				_, err := s.Txn(t.Context(), nil, clean)
				require.NoError(t, err)
				clean = clean[:0]
			}
		}
		lastRevision, err = s.Txn(t.Context(), nil, append(clean, crowbar.Op{Key: "end"}))
		require.NoError(t, err)
		require.NoError(t, s.Close())
		clear(acknowledged)

		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), writerEnv+"="+path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var key string
			var revision int64
			if _, err := fmt.Sscanf(lines.Text(), "%d %s", &revision, &key); err != nil || len(key) != 8 {
				continue // a line that was cut short by the kill
			}
			require.Greater(t, revision, lastRevision)
			acknowledged[key] = revision
			if len(acknowledged) == 300+100*round {
				require.NoError(t, cmd.Process.Kill())
			}
		}
		require.Error(t, cmd.Wait(), "killed")
		require.Greater(t, len(acknowledged), 299)
		for _, revision := range acknowledged {
			lastRevision = max(lastRevision, revision)
		}
	}
}
