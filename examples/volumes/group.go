package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/crypto/ssh"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx/eqlxsim"
)

// onSimulatedGroup runs do with a group that is simulated behind real SSH. Yours has an address
// already, and its configuration is in a file for storage.ParseConfig.
func onSimulatedGroup(do func(context.Context, storage.Config, io.Writer) error, out io.Writer) error {
	group, err := eqlxsim.New(eqlxsim.Config{Name: "rack1"})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	config, err := storage.ParseConfig(fmt.Appendf(nil, `{"volumes": [
		{"backend_driver": "memory", "backend_name": "fast", "memory": {"capacity_bytes": 107374182400}},
		{"backend_driver": "eqlx", "backend_name": "eqlx1", "eqlx": {
			"san_ip": "127.0.0.1", "san_ssh_port": %d, "san_password": %q, "san_host_key": %q, "eqlx_group_name": %q}}
	]}`, listener.Addr().(*net.TCPAddr).Port, group.Password(), ssh.FingerprintSHA256(group.HostKey()), group.Name()))
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- group.Serve(ctx, listener) }()
	err = do(ctx, config, out)
	stop()
	return errors.Join(err, <-served)
}
