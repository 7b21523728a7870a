package cli

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/storage"
)

// connectorFlags are the machine that attaches a volume.
func connectorFlags(c *cobra.Command, to *storage.Connector) {
	f := c.Flags()
	f.StringVar(&to.Host, "host", "", "name of the machine")
	f.StringVar(&to.Initiator, "initiator", "", "its iSCSI name, from /etc/iscsi/initiatorname.iscsi there")
	f.StringVar(&to.Address, "ip", "", "its IP address")
	f.BoolVar(&to.Multipath, "multipath", false, "it uses multipath")
}

// known refuses a machine without a name, or with an address that is none.
func known(volume string, c storage.Connector) error {
	if c.Host == "" && c.Initiator == "" {
		return fmt.Errorf("which machine is it about, for %s? Give --host or --initiator", volume)
	}
	if c.Address == "" {
		return nil
	}
	if _, err := netip.ParseAddr(c.Address); err != nil {
		return fmt.Errorf("--ip %q: expected an IP address", c.Address)
	}
	return nil
}

func (v *volumes) attachCommand() *cobra.Command {
	var to storage.Connector
	show := false
	c := &cobra.Command{
		Use: "attach VOLUME", Short: "let a machine reach a volume, and say where it is",
		Long: "Let a machine reach a volume and print the connection; what the machine does with it is its own\n" +
			"matter. With -o json --show-secrets it is the reply of Cinder's initialize_connection, which os-brick and\n" +
			"Nova take as it is. To repeat it changes nothing.",
		Example: "  crowbar volume attach db-1 --host node1 --initiator iqn.1993-08.org.debian:01:a0b1\n" +
			"  crowbar volume attach db-1 --initiator iqn.1993-08.org.debian:01:a0b1 -o json --show-secrets",
		Args: arguments("VOLUME"),
		RunE: v.askOne(func(ctx context.Context, b *storage.Backend, args []string) error {
			if err := known(args[0], to); err != nil {
				return err
			}
			connection, err := b.Connect(ctx, args[0], to)
			if err != nil {
				return err
			}
			if i := connection.ISCSI; i != nil && i.AuthPassword != "" && !show {
				hidden := *i
				if hidden.AuthPassword = ""; v.output == "json" {
					lines(v.Stderr, "without auth_password, which nobody can log in without; --show-secrets puts it in")
				} else {
					hidden.AuthPassword = secretHidden
				}
				connection = &storage.Connection{ISCSI: &hidden}
			}
			if v.output == "json" {
				return v.json(connection)
			}
			return v.connection(connection)
		}),
	}
	connectorFlags(c, &to)
	c.Flags().BoolVar(&show, "show-secrets", false, "print the CHAP secret, too")
	return c
}

// secretHidden stands where a secret is, for people: who reads JSON would take it for one.
const secretHidden = "(hidden; see --show-secrets)"

func (v *volumes) connection(c *storage.Connection) error {
	t := &table{}
	field := func(name, value string) {
		if value != "" {
			t.add(plain, name, value)
		}
	}
	switch {
	case c.ISCSI != nil:
		field("type", "iscsi")
		field("portal", c.ISCSI.TargetPortal)
		field("target", c.ISCSI.TargetIQN)
		field("lun", fmt.Sprint(c.ISCSI.TargetLUN))
		field("authentication", c.ISCSI.AuthMethod)
		field("username", c.ISCSI.AuthUsername)
		field("password", c.ISCSI.AuthPassword)
	case c.RBD != nil:
		monitors := []string{}
		for i, host := range c.RBD.Hosts {
			if i < len(c.RBD.Ports) {
				host = net.JoinHostPort(host, c.RBD.Ports[i])
			}
			monitors = append(monitors, host)
		}
		field("type", "rbd")
		field("image", c.RBD.Name)
		field("cluster", c.RBD.ClusterName)
		field("monitors", strings.Join(monitors, " "))
		field("username", c.RBD.AuthUsername)
		field("libvirt secret", c.RBD.SecretUUID)
	}
	return v.print(v.Stdout, t)
}

func (v *volumes) detachCommand() *cobra.Command {
	var from storage.Connector
	c := &cobra.Command{
		Use: "detach VOLUME", Short: "take back what attach gave",
		Long: "End a machine's access to a volume. It must have let go of the volume before: what it has not\n" +
			"written yet would be lost. Access that it has not got is no error.",
		Args: arguments("VOLUME"),
		RunE: v.askOne(func(ctx context.Context, b *storage.Backend, args []string) error {
			if err := known(args[0], from); err != nil {
				return err
			}
			if err := b.Disconnect(ctx, args[0], from); err != nil {
				return err
			}
			who := from.Initiator
			if who == "" {
				who = from.Host
			}
			return v.done(b, args[0], "detached", fmt.Sprintf("%s on %s is detached from %s", args[0], b.Name(), who))
		}),
	}
	connectorFlags(c, &from)
	return c
}
