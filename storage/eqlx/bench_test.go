package eqlx_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx"
	"github.com/crowbarkit/crowbarkit/storage/eqlx/eqlxsim"
)

// turns counts round trips at the wire: a read after a write.
type turns struct {
	net.Conn
	count *atomic.Int64
	wrote atomic.Bool
}

func (c *turns) Write(p []byte) (int, error) {
	c.wrote.Store(true)
	return c.Conn.Write(p)
}

func (c *turns) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.wrote.Swap(false) {
		c.count.Add(1)
	}
	return n, err
}

func counting(c *eqlx.Config) *atomic.Int64 {
	count := new(atomic.Int64)
	c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &turns{Conn: conn, count: count}, err
	}
	return count
}

// After set-up a command is one round trip.
func TestRoundTrips(t *testing.T) {
	group, address := serve(t, eqlxsim.Config{Quirks: eqlxsim.Quirks{NoEcho: true}})
	c := options(group, address)
	c.MaxSessions = 1
	count := counting(&c)
	d := open(t, c)
	require.NoError(t, d.Check(t.Context()))
	require.LessOrEqual(t, count.Load(), int64(20), "set-up")
	for name, test := range map[string]struct {
		do       func() error
		commands int64
	}{
		"stats": {func() error { _, err := d.Stats(t.Context()); return err }, 1},
		"get":   {func() error { _, err := d.Get(t.Context(), "v"); return err }, 1},
		"list":  {func() error { _, err := d.List(t.Context(), "", 10); return err }, 1},
	} {
		if name == "get" {
			create(t, d, "v", 1)
		}
		before := count.Load()
		const times = 20
		for range times {
			require.NoError(t, test.do(), name)
		}
		// The peers of SSH send an acknowledgement of received data now and then.
		require.InDelta(t, times*test.commands, count.Load()-before, 2, name)
	}
}

func benchmark(b *testing.B, clients int, do func(d *eqlx.Driver, n int64) error) {
	group, address := serve(b, eqlxsim.Config{Pools: []eqlxsim.Pool{{Name: "default", CapacityGB: 1 << 20}}, Quirks: eqlxsim.Quirks{NoEcho: true}})
	c := options(group, address)
	count := counting(&c)
	d := open(b, c)
	create(b, d, "v", 1)
	var all int64
	b.SetParallelism(max(1, clients/2)) // of 2 processors
	before, sentBefore := count.Load(), len(group.Commands())
	_ = sentBefore
	var n atomic.Int64
	b.ResetTimer()
	began := time.Now()
	run := func(next func() bool) {
		for next() {
			if err := do(d, n.Add(1)); err != nil {
				b.Error(err)
				return
			}
		}
	}
	if clients == 1 {
		run(b.Loop)
	} else {
		b.RunParallel(func(pb *testing.PB) { run(pb.Next) })
	}
	b.StopTimer()
	all = n.Load()
	b.ReportMetric(float64(all)/time.Since(began).Seconds(), "ops/s")
	if clients == 1 {
		lines, _ := sent(group, sentBefore)
		b.ReportMetric(float64(count.Load()-before)/float64(len(lines)), "roundtrips/command")
	}
}

func BenchmarkGet(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			benchmark(b, clients, func(d *eqlx.Driver, _ int64) error {
				_, err := d.Get(context.Background(), "v")
				return err
			})
		})
	}
}

// BenchmarkLife creates, connects, disconnects and deletes: 10 commands.
func BenchmarkLife(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			benchmark(b, clients, func(d *eqlx.Driver, n int64) error {
				ctx, id := context.Background(), fmt.Sprint("b", n)
				connector := storage.Connector{Host: "n", Initiator: "iqn.2012-07.x:n"}
				if _, err := d.Create(ctx, storage.VolumeSpec{ID: id, SizeBytes: 1 << 30}); err != nil {
					return err
				}
				if _, err := d.Connect(ctx, id, connector); err != nil {
					return err
				}
				if err := d.Disconnect(ctx, id, connector); err != nil {
					return err
				}
				return d.Delete(ctx, id)
			})
		})
	}
}
