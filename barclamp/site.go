package barclamp

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// A Site is everything a barclamp may know: an unchanging picture of nodes and of the
// proposals in force. Nothing it returns may be modified.
type Site interface {
	// Nodes lists all nodes by name.
	Nodes() []Node
	// Node finds one node.
	Node(name string) (Node, bool)
	// InForce returns the committed document of a proposal; false if there is none.
	InForce(k proposal.Key) (*proposal.Document, bool)
	// Proposals lists the proposals of a barclamp that are in force, by name.
	Proposals(barclamp string) []proposal.Key
}

// Candidates lists the nodes that may take a service's roles: all but those that run Crowbar
// itself, by name.
func Candidates(s Site) []Node {
	return slices.DeleteFunc(slices.Clone(s.Nodes()), func(n Node) bool { return n.Admin })
}

// First returns the document in force of a barclamp of which a site has one proposal; of
// several the first by name, false if there is none.
func First(s Site, barclamp string) (*proposal.Document, bool) {
	keys := s.Proposals(barclamp)
	if len(keys) == 0 {
		return nil, false
	}
	return s.InForce(keys[0])
}

// A Node as barclamps see it.
type Node struct {
	Name         string
	Alias        string
	State        string
	Admin        bool // runs Crowbar itself
	Allocated    bool
	IntendedRole string // Crowbar's hint: controller, compute, network, storage, monitoring, no_role
	Facts        Facts
	Memberships  []Membership
	Addresses    map[string]netip.Addr // by network, such as "admin"
	Data         map[string]json.RawMessage
}

// A Membership is a node's place in a role of a proposal.
type Membership struct {
	Proposal proposal.Key `json:"proposal"`
	Role     string       `json:"role"`
	// Hook says that a transition added the node; else the proposal's elements name it.
	Hook bool `json:"hook,omitempty"`
}

// Roles lists the names of the node's roles, sorted, each once.
func (n Node) Roles() []string {
	roles := make([]string, 0, len(n.Memberships))
	for _, m := range n.Memberships {
		roles = append(roles, m.Role)
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

// Decode reads the data which a barclamp keeps for the node; false if there is none.
func (n Node) Decode(barclamp string, into any) (bool, error) {
	raw, ok := n.Data[barclamp]
	if !ok {
		return false, nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return false, fmt.Errorf("barclamp: data of %s for node %s: %w", barclamp, n.Name, err)
	}
	return true, nil
}

// Facts are what a node reports of itself. Any part may be missing.
type Facts struct {
	Manufacturer string `json:"manufacturer,omitempty"`
	Product      string `json:"product,omitempty"`
	Serial       string `json:"serial,omitempty"`
	UUID         string `json:"uuid,omitempty"`
	Firmware     string `json:"firmware,omitempty"` // "bios" or "uefi"
	CPU          CPU    `json:"cpu"`
	MemoryBytes  int64  `json:"memory_bytes,omitempty"`
	Disks        []Disk `json:"disks,omitempty"`
	NICs         []NIC  `json:"nics,omitempty"`
	BMC          *BMC   `json:"bmc,omitempty"` // nil: the node has none, or it was not found
}

// CPU is a node's processors taken together.
type CPU struct {
	Model   string   `json:"model,omitempty"`
	Sockets int      `json:"sockets,omitempty"`
	Cores   int      `json:"cores,omitempty"`
	Flags   []string `json:"flags,omitempty"` // of /proc/cpuinfo; vmx or svm say virtualization
}

// A Disk as the node's operating system sees it.
type Disk struct {
	Name       string `json:"name"` // sda
	Serial     string `json:"serial,omitempty"`
	WWN        string `json:"wwn,omitempty"`
	SizeBytes  int64  `json:"size_bytes"`
	Rotational bool   `json:"rotational,omitempty"`
}

// Identity names the disk in plans and grants: the serial number, which is also on its label,
// else the WWN, else "".
func (d Disk) Identity() string {
	if d.Serial != "" {
		return d.Serial
	}
	return d.WWN
}

// A NIC is a network interface.
type NIC struct {
	Name      string `json:"name"`
	MAC       string `json:"mac"`
	SpeedMbps int    `json:"speed_mbps,omitempty"`
	Link      bool   `json:"link,omitempty"`
}

// BMC is how the node's baseboard management controller can be reached. Credentials are not facts.
type BMC struct {
	URL string `json:"url"` // of the Redfish service
}
