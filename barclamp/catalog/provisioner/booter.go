package provisioner

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/pxe"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// A Ticket lets the machine that is about to boot from the network speak for its node.
type Ticket struct {
	Node  string // name of the node, which need not exist yet
	Boot  int    // boot epoch: grows with each ticket of the node
	Token string
}

// BooterConfig is what a Booter asks. All but Lifecycle and Files is required.
type BooterConfig struct {
	// Site is the present one, for the provisioner proposal in force.
	Site func() barclamp.Site
	// Lifecycle says what a node boots in its state; nil is lifecycle.Default.
	Lifecycle *lifecycle.Lifecycle
	// Lookup says whose MAC address it is. Unknown machines are discovered.
	Lookup func(mac net.HardwareAddr) (node, state string, known bool)
	// Ticket makes the ticket for a network boot and ends the tickets of earlier boots. It is
	// not asked for a local boot: the installed system keeps the ticket of its installer. state
	// is that of the node when the boot was decided, "" for an unknown one; if the node has left
	// it, Ticket fails and ends nothing.
	Ticket func(ctx context.Context, mac net.HardwareAddr, state string) (Ticket, error)
	// BaseURL is where machines reach the server, such as http://192.168.124.10:3000.
	BaseURL string
	// Files is the URL of kernels and RAM disks; empty is BaseURL + "/files".
	Files string
}

// Booter answers what a machine boots, by the state of its node. It is a pxe.Booter and safe
// for concurrent use.
type Booter struct {
	config BooterConfig
}

var _ pxe.Booter = (*Booter)(nil)

// NewBooter makes a Booter.
func NewBooter(c BooterConfig) (*Booter, error) {
	if c.Site == nil || c.Lookup == nil || c.Ticket == nil {
		return nil, errors.New("provisioner: a booter needs Site, Lookup and Ticket")
	}
	if u, err := url.Parse(c.BaseURL); err != nil || u.Scheme == "" || u.Host == "" {
		return nil, fmt.Errorf("provisioner: base URL %q: expected one like http://192.168.124.10:3000", c.BaseURL)
	}
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	if c.Files == "" {
		c.Files = c.BaseURL + "/files"
	}
	if c.Lifecycle == nil {
		c.Lifecycle = lifecycle.Default()
	}
	return &Booter{config: c}, nil
}

// Boot decides. A machine that nobody knows boots the discovery image; a known one what its
// state asks for; and its own disk wherever there is a doubt. An error is such a doubt, too.
func (b *Booter) Boot(ctx context.Context, c pxe.Client) (*pxe.Decision, error) {
	doc, inForce := barclamp.First(b.config.Site(), Name)
	if inForce && doc.Get("enable_pxe").Type == gjson.False {
		return local("network boot is off (enable_pxe)"), nil
	}
	mac := net.HardwareAddr(c.MAC[:])
	node, state, known := b.config.Lookup(mac)
	action, reason := lifecycle.ActionDiscovery, "a new machine is discovered"
	if known {
		life := b.config.Lifecycle
		if inForce {
			var err error
			if life, _, err = life.WithBootActions(actions(doc)); err != nil {
				return nil, fmt.Errorf("provisioner: dhcp.state_machine of %s: %w", doc.Key(), err)
			}
		}
		action = life.BootAction(state)
		reason = fmt.Sprintf("%s is in %s: %s", node, state, action)
	}
	d := &pxe.Decision{Action: pxe.ActionBoot, Reason: reason}
	var more []string
	switch action {
	case lifecycle.ActionDiscovery, lifecycle.ActionHWInstall, lifecycle.ActionUpdate, lifecycle.ActionReset, lifecycle.ActionDebug:
		d.Kernel = b.config.Files + "/discovery/vmlinuz"
		d.Initrds = []pxe.Initrd{{URL: b.config.Files + "/discovery/initrd"}}
		if inForce {
			more = strings.Fields(doc.Get("discovery.append").String())
		}
	case lifecycle.ActionOSInstall:
		if !inForce {
			return local(reason + ", but no provisioner proposal is in force"), nil
		}
		image, why := b.installer(doc, c)
		if why != "" {
			return local(reason + ", but " + why), nil
		}
		d.Kernel, d.Initrds, more = image.kernel, image.initrds, image.args
	default:
		return local(reason), nil
	}
	t, err := b.config.Ticket(ctx, mac, state)
	if err != nil {
		return nil, fmt.Errorf("provisioner: ticket for %s: %w", c.MAC, err)
	}
	d.Args = append([]string{
		"crowbar.hostname=" + t.Node,
		"crowbar.state=" + string(action),
		"crowbar.url=" + b.config.BaseURL,
		"crowbar.token=" + t.Token,
		"crowbar.boot=" + strconv.Itoa(t.Boot),
	}, more...)
	return d, nil
}

func local(reason string) *pxe.Decision {
	return &pxe.Decision{Action: pxe.ActionLocal, Reason: reason}
}

type image struct {
	kernel  string
	initrds []pxe.Initrd
	args    []string
}

// installer is what a client boots to be installed, or why there is nothing.
func (b *Booter) installer(doc *proposal.Document, c pxe.Client) (i image, why string) {
	os := DefaultOS(doc)
	if os == "" {
		return i, "the provisioner has no default_os"
	}
	arch := architecture(c.Arch)
	files := doc.Get("supported_oses").Map()[os].Map()[arch]
	if files.Get("kernel").String() == "" {
		return i, fmt.Sprintf("supported_oses has no kernel of %s for %s", os, arch)
	}
	at := b.config.Files + "/" + url.PathEscape(os) + "/"
	i.kernel = at + files.Get("kernel").String()
	if initrd := files.Get("initrd").String(); initrd != "" {
		i.initrds = []pxe.Initrd{{URL: at + initrd}}
	}
	i.args = append([]string{"crowbar.os=" + os}, strings.Fields(files.Get("append").String())...)
	return i, ""
}

// architecture is Crowbar's name for a client's. An i386 iPXE is what BIOSes of 64-bit machines
// load, and no machine that is installed here is anything less.
func architecture(a pxe.Arch) string {
	switch a {
	case pxe.ArchARM64:
		return "aarch64"
	case pxe.ArchI386, "":
		return string(pxe.ArchX8664)
	}
	return string(a)
}
