package storage

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
)

// A Connector is who wants to reach a volume: the machine, as os-brick's
// get_connector_properties describes it to Cinder's initialize_connection. Keys of it that are
// not here (wwpns, nqn, …) are left out when it is read.
type Connector struct {
	Host          string `json:"host"`
	Address       string `json:"ip,omitempty"`
	Initiator     string `json:"initiator,omitempty"` // iSCSI qualified name
	Platform      string `json:"platform,omitempty"`  // such as "x86_64"
	OSType        string `json:"os_type,omitempty"`   // such as "linux"
	Multipath     bool   `json:"multipath"`
	DoLocalAttach bool   `json:"do_local_attach"` // wants a block device, not a librbd name
}

// A Connection tells a machine how to reach a volume: exactly one of its fields is set. Its
// JSON is the reply of Cinder's initialize_connection, so that Nova and os-brick take it as it
// is. It may hold a secret, which String, GoString and LogValue leave out.
type Connection struct {
	ISCSI *ISCSI // driver_volume_type "iscsi"
	RBD   *RBD   // driver_volume_type "rbd"
}

// ISCSI is the data of an iSCSI connection.
type ISCSI struct {
	TargetDiscovered bool   `json:"target_discovered"`
	TargetPortal     string `json:"target_portal"` // host:port
	TargetIQN        string `json:"target_iqn"`
	TargetLUN        int    `json:"target_lun"`
	VolumeID         string `json:"volume_id"`
	Encrypted        bool   `json:"encrypted"`
	Discard          bool   `json:"discard"`
	AuthMethod       string `json:"auth_method,omitempty"` // "CHAP"
	AuthUsername     string `json:"auth_username,omitempty"`
	AuthPassword     string `json:"auth_password,omitempty"`
}

// RBD is the data of a Ceph RBD connection. There is no field for a cephx key, on purpose:
// Cinder's "keyring" was leaked to users (OSSN-0085). The machine has the key as the libvirt
// secret SecretUUID, or in its own keyring.
type RBD struct {
	Name         string   `json:"name"`         // pool/image
	Hosts        []string `json:"hosts"`        // monitors, IPv6 addresses without brackets
	Ports        []string `json:"ports"`        // theirs, of protocol v1
	ClusterName  string   `json:"cluster_name"` // "ceph"
	AuthEnabled  bool     `json:"auth_enabled"`
	AuthUsername string   `json:"auth_username"` // without "client."; "" is null in the JSON
	SecretType   string   `json:"secret_type"`   // "ceph"
	SecretUUID   string   `json:"secret_uuid"`   // of the cluster, unless it was configured
	VolumeID     string   `json:"volume_id"`
	Discard      bool     `json:"discard"`
}

// MarshalJSON writes Cinder's form: lists are never null, and no user is null.
func (r RBD) MarshalJSON() ([]byte, error) {
	type plain RBD
	out := struct {
		plain
		AuthUsername *string `json:"auth_username"`
	}{plain: plain(r)}
	if r.AuthUsername != "" {
		out.AuthUsername = &r.AuthUsername
	}
	if out.Hosts == nil {
		out.Hosts = []string{}
	}
	if out.Ports == nil {
		out.Ports = []string{}
	}
	return json.Marshal(out)
}

// String names the image and who reads it.
func (r RBD) String() string {
	s := "rbd " + r.Name
	for i, host := range r.Hosts {
		if i < len(r.Ports) {
			host = net.JoinHostPort(host, r.Ports[i])
		}
		if i == 0 {
			s += " on " + host
		} else {
			s += "," + host
		}
	}
	if r.AuthEnabled {
		s += fmt.Sprintf(" (cephx as %s)", r.AuthUsername)
	}
	return s
}

// LogValue is String.
func (r RBD) LogValue() slog.Value { return slog.StringValue(r.String()) }

type connectionJSON struct {
	Type string          `json:"driver_volume_type"`
	Data json.RawMessage `json:"data"`
}

const (
	typeISCSI = "iscsi"
	typeRBD   = "rbd"
)

// MarshalJSON writes Cinder's reply, with the secret.
func (c Connection) MarshalJSON() ([]byte, error) {
	var out connectionJSON
	var err error
	switch {
	case c.ISCSI != nil && c.RBD == nil:
		out.Type = typeISCSI
		out.Data, err = json.Marshal(c.ISCSI)
	case c.RBD != nil && c.ISCSI == nil:
		out.Type = typeRBD
		out.Data, err = json.Marshal(c.RBD)
	default:
		return nil, fmt.Errorf("%w: a connection of no type or of two", ErrInvalid)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads Cinder's reply; a type this package does not know is ErrInvalid. Keys of
// data that are not here, which Cinder's own layers add, are left out.
func (c *Connection) UnmarshalJSON(raw []byte) error {
	var read connectionJSON
	if err := json.Unmarshal(raw, &read); err != nil {
		return err
	}
	var to any
	var is Connection
	switch read.Type {
	case typeISCSI:
		is.ISCSI = new(ISCSI)
		to = is.ISCSI
	case typeRBD:
		is.RBD = new(RBD)
		to = is.RBD
	default:
		return fmt.Errorf("%w: driver_volume_type %q, expected %q or %q", ErrInvalid, read.Type, typeISCSI, typeRBD)
	}
	if len(read.Data) == 0 {
		return fmt.Errorf("%w: a connection of type %q without data", ErrInvalid, read.Type)
	}
	if err := json.Unmarshal(read.Data, to); err != nil {
		return err
	}
	*c = is
	return nil
}

// String describes the connection without its secret.
func (c Connection) String() string {
	switch {
	case c.ISCSI != nil:
		return c.ISCSI.String()
	case c.RBD != nil:
		return c.RBD.String()
	}
	return "no connection"
}

// GoString is String.
func (c Connection) GoString() string { return c.String() }

// LogValue is String.
func (c Connection) LogValue() slog.Value { return slog.StringValue(c.String()) }

// String describes the target without its secret.
func (i ISCSI) String() string {
	s := fmt.Sprintf("iscsi %s,%s,%d", i.TargetPortal, i.TargetIQN, i.TargetLUN)
	if i.AuthMethod != "" {
		s += fmt.Sprintf(" (%s as %s)", i.AuthMethod, i.AuthUsername)
	}
	return s
}

// GoString is String: %#v must not show the secret either.
func (i ISCSI) GoString() string { return i.String() }

// LogValue is String.
func (i ISCSI) LogValue() slog.Value { return slog.StringValue(i.String()) }
