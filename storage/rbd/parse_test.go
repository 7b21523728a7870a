package rbd

import (
	"errors"
	"fmt"
	"math"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
)

// As Ceph 16.2.15 answers, shortened.
const (
	monDump = `{"epoch":1,"mons":[{"rank":0,"name":"a","public_addrs":{"addrvec":[{"type":"v2","addr":"127.0.0.1:13300","nonce":0},{"type":"v1","addr":"127.0.0.1:13301","nonce":0}]},"addr":"127.0.0.1:13301/0","public_addr":"127.0.0.1:13301/0"}],"quorum":[0]}`
	df      = `{"stats":{"total_bytes":4294967296,"total_avail_bytes":4200000000},"pools":[{"name":"images","id":2,"stats":{"stored":7,"bytes_used":21,"max_avail":100}},{"name":"volumes","id":1,"stats":{"stored":1000,"objects":3,"bytes_used":3000,"percent_used":2.5e-07,"max_avail":4080218931}}]}`
)

func TestMonitors(t *testing.T) {
	for name, test := range map[string]struct {
		dump         string
		hosts, ports []string
	}{
		"v1 of one that has both": {monDump, []string{"127.0.0.1"}, []string{"13301"}},
		"IPv6 without brackets":   {`{"mons":[{"addr":"[2001:db8::1]:6789/0"},{"addr":"[2001:db8::2]:6789/0"}]}`, []string{"2001:db8::1", "2001:db8::2"}, []string{"6789", "6789"}},
		"v2 only":                 {`{"mons":[{"addr":"192.0.2.1:0/0","public_addrs":{"addrvec":[{"type":"v2","addr":"192.0.2.1:3300","nonce":0}]}}]}`, []string{"192.0.2.1"}, []string{"3300"}},
		"one without":             {`{"mons":[{"addr":"-"},{"addr":"192.0.2.2:6789/0"}]}`, []string{"192.0.2.2"}, []string{"6789"}},
	} {
		hosts, ports, err := monAddresses([]byte(test.dump))
		require.NoError(t, err, name)
		require.Equal(t, test.hosts, hosts, name)
		require.Equal(t, test.ports, ports, name)
	}
	for _, bad := range []string{``, `{}`, `{"mons":[{"addr":"nowhere"}]}`, `[]`} {
		_, _, err := monAddresses([]byte(bad))
		require.Error(t, err, bad)
	}
}

func TestCapacity(t *testing.T) {
	u, err := parseDF([]byte(df), "volumes")
	require.NoError(t, err)
	require.Equal(t, usage{used: 1000, available: 4080218931, cluster: 4294967296}, u)
	old, err := parseDF([]byte(`{"stats":{"total_bytes":10},"pools":[{"name":"v","stats":{"bytes_used":4,"max_avail":6}}]}`), "v")
	require.NoError(t, err)
	require.Equal(t, int64(4), old.used, "before Nautilus there was no stored")
	for name, raw := range map[string]string{"no pool yet": `{"stats":{"total_bytes":0},"pools":[]}`, "no capacity yet": `{"stats":{"total_bytes":0},"pools":[{"name":"volumes","stats":{}}]}`} {
		_, err := parseDF([]byte(raw), "volumes")
		require.ErrorIs(t, err, errNotReady, name)
	}
	for name, test := range map[string]struct {
		quota       int64
		static      bool
		total, free int64
	}{
		"used and free":          {0, false, 1000 + 4080218931, 4080218931},
		"the cluster":            {0, true, 4294967296, 4080218931},
		"a quota":                {5000, false, 5000, 4000},
		"a quota, static":        {5000, true, 5000, 4000},
		"a quota that is full":   {500, false, 500, 0},
		"a quota beyond what is": {1 << 50, false, 1 << 50, 4080218931},
	} {
		total, free := u.capacity(test.quota, test.static)
		require.Equal(t, test.total, total, name)
		require.Equal(t, test.free, free, name)
	}
	quota, err := parseQuota([]byte(`{"pool_name":"volumes","pool_id":1,"quota_max_objects":0,"quota_max_bytes":1048576,"current_num_bytes":5}`))
	require.NoError(t, err)
	require.Equal(t, int64(1<<20), quota)
	require.Equal(t, int64(math.MaxInt64), bytesOf(1e300))
	require.Zero(t, bytesOf(math.NaN()))
}

func FuzzMonAddresses(f *testing.F) {
	f.Add([]byte(monDump))
	f.Add([]byte(`{"mons":[{"addr":"[::1]:6789/0"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		hosts, ports, err := monAddresses(raw)
		if err == nil && (len(hosts) == 0 || len(hosts) != len(ports)) {
			t.Fatal(hosts, ports)
		}
	})
}

func FuzzDF(f *testing.F) {
	f.Add([]byte(df), []byte(`{"quota_max_bytes":5}`), true)
	f.Fuzz(func(t *testing.T, raw, rawQuota []byte, static bool) {
		u, err := parseDF(raw, "volumes")
		quota, _ := parseQuota(rawQuota)
		if err != nil {
			return
		}
		if total, free := u.capacity(quota, static); total < 0 || free < 0 || free > total {
			t.Fatal(total, free, u, quota)
		}
	})
}

// cephError is an error as go-ceph has them.
type cephError int

func (e cephError) Error() string  { return fmt.Sprintf("rbd: ret=%d", int(e)) }
func (e cephError) ErrorCode() int { return int(e) }

func TestCodesAreTyped(t *testing.T) {
	for code, want := range map[syscall.Errno]error{
		syscall.ENOENT: storage.ErrNotFound, syscall.EEXIST: storage.ErrExists, syscall.EBUSY: storage.ErrBusy,
		syscall.ENOTEMPTY: storage.ErrBusy, syscall.EROFS: storage.ErrBusy, syscall.ENOSPC: storage.ErrNoSpace,
		syscall.EDQUOT: storage.ErrNoSpace, syscall.EOPNOTSUPP: storage.ErrUnsupported,
		syscall.ETIMEDOUT: storage.ErrUnknownOutcome, syscall.ESHUTDOWN: storage.ErrUnknownOutcome, syscall.ENOTCONN: storage.ErrUnknownOutcome,
	} {
		err := fmt.Errorf("remove image: %w", cephError(-int(code)))
		got := typed(err, changes)
		require.ErrorIs(t, got, want)
		require.ErrorIs(t, got, err, "the cause stays")
		require.Equal(t, got, typed(got, changes), "typed once")
		if errors.Is(want, storage.ErrUnknownOutcome) {
			read := typed(err, reads)
			require.NotErrorIs(t, read, storage.ErrUnknownOutcome, "reading changes nothing")
			require.ErrorIs(t, read, errUnavailable)
			require.ErrorIs(t, read, storage.ErrUnavailable)
			require.NotErrorIs(t, got, storage.ErrUnavailable, "it may have changed something")
			require.NotErrorIs(t, typed(before(err), changes), storage.ErrUnknownOutcome, "nor does looking first")
		}
	}
	require.NoError(t, typed(nil, changes))
	for _, plain := range []error{errors.New("x"), cephError(-int(syscall.EIO)), cephError(0)} {
		require.Equal(t, plain, typed(plain, changes))
	}
	busy := fmt.Errorf("%w: %w", &storage.BusyError{Dependents: []string{"a"}}, cephError(-int(syscall.EBUSY)))
	require.Equal(t, busy, typed(busy, changes))
	require.True(t, is(errors.Join(errors.New("x"), cephError(-2)), syscall.ENOENT))
	require.False(t, is(nil, 0))
}

func TestKnowsCloneV2(t *testing.T) {
	for release, want := range map[string]bool{
		"": false, "jewel\n": false, "luminous": false, "mimic\n": true, "nautilus": true, "squid": true,
		"unknown": false, "no such command": false,
	} {
		require.Equal(t, want, knowsCloneV2(release), release)
	}
}
