package storage

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// A Connector is who wants to reach a volume: the machine, as os-brick describes it to
// Cinder's initialize_connection.
type Connector struct {
	Host      string `json:"host"`
	Address   string `json:"ip,omitempty"`
	Initiator string `json:"initiator,omitempty"` // iSCSI qualified name
}

// A Connection tells a machine how to reach a volume. Its JSON is the reply of Cinder's
// initialize_connection, so that Nova and os-brick take it as it is. It may hold a secret,
// which String and LogValue leave out.
type Connection struct {
	ISCSI *ISCSI // driver_volume_type "iscsi"
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

type connectionJSON struct {
	Type string          `json:"driver_volume_type"`
	Data json.RawMessage `json:"data"`
}

const typeISCSI = "iscsi"

// MarshalJSON writes Cinder's reply, with the secret.
func (c Connection) MarshalJSON() ([]byte, error) {
	if c.ISCSI == nil {
		return nil, fmt.Errorf("%w: a connection of no type", ErrInvalid)
	}
	data, err := json.Marshal(c.ISCSI)
	if err != nil {
		return nil, err
	}
	return json.Marshal(connectionJSON{Type: typeISCSI, Data: data})
}

// UnmarshalJSON reads Cinder's reply; a type this package does not know is ErrInvalid.
func (c *Connection) UnmarshalJSON(raw []byte) error {
	var read connectionJSON
	if err := json.Unmarshal(raw, &read); err != nil {
		return err
	}
	if read.Type != typeISCSI {
		return fmt.Errorf("%w: driver_volume_type %q, expected %q", ErrInvalid, read.Type, typeISCSI)
	}
	c.ISCSI = new(ISCSI)
	return json.Unmarshal(read.Data, c.ISCSI)
}

// String describes the connection without its secret.
func (c Connection) String() string {
	if c.ISCSI == nil {
		return "no connection"
	}
	return c.ISCSI.String()
}

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
