package eqlx_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx"
	"github.com/crowbarkit/crowbarkit/storage/eqlx/eqlxsim"
)

func Example() {
	// A group to talk to; a real one has these from its administrator.
	group, err := eqlxsim.New(eqlxsim.Config{Name: "rack1", Password: "secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { _ = group.Serve(ctx, listener) })
	defer serving.Wait()
	defer stop()

	driver, err := eqlx.New(eqlx.Config{
		Address: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port, Password: "secret",
		Group: "rack1", HostKey: ssh.FingerprintSHA256(group.HostKey()),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer driver.Close() //nolint:errcheck // nothing can fail

	volume, err := driver.Create(ctx, storage.VolumeSpec{ID: "db_1", SizeBytes: 1_500_000_000})
	fmt.Println(volume.Name, volume.SizeBytes>>30, "GiB", err)
	node := storage.Connector{Host: "node1", Initiator: "iqn.1993-08.org.debian:01:a0b1"}
	connection, err := driver.Connect(ctx, "db_1", node)
	fmt.Println(connection.ISCSI.TargetPortal, err)
	fmt.Println(driver.Delete(ctx, "db_1"))
	fmt.Println(driver.Disconnect(ctx, "db_1", node), driver.Delete(ctx, "db_1"))
	// Output:
	// volume-db:5f1 2 GiB <nil>
	// 192.0.2.10:3260 <nil>
	// volume "db_1": storage: busy: in the way: connection iqn.1993-08.org.debian:01:a0b1
	// <nil> <nil>
}

// Options are read as Crowbar and Cinder write them.
func ExampleParseConfig() {
	_, err := eqlx.ParseConfig([]byte(`{"san_ip": "192.168.124.11", "san_password": "12345", "eqlx_cli_timeout": "30", "san_is_local": true}`))
	fmt.Println(strings.Count(err.Error(), "storage: invalid"))
	c, err := eqlx.ParseConfig([]byte(`{"san_ip": "192.168.124.11", "san_password": "12345", "eqlx_cli_timeout": 30, "eqlx_pool": "fast"}`))
	fmt.Println(c.Timeout, c.Pool, err)
	// Output:
	// 2
	// 30s fast <nil>
}
