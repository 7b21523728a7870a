package network

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// Validate checks that ranges lie inside their subnets and do not overlap, and that there is an
// address in the admin network for each node.
func (b *Barclamp) Validate(_ context.Context, _ barclamp.Site, d *proposal.Document) error {
	v := validation{base: d.AttributePointer("networks")}
	networks := d.Get("networks")
	if !networks.IsObject() {
		v.Add(v.base, found(networks), "an object of networks by name", "")
		return v.Err()
	}
	networks.ForEach(func(name, network gjson.Result) bool {
		v.network(name.String(), network)
		return true
	})
	v.overlaps()
	hosts := v.span(Admin, HostRange)
	nodes := len(d.Deployment().Elements[RoleNetwork])
	switch path := v.base + "/" + Admin + "/ranges/" + HostRange; {
	case hosts == nil && len(v.Problems) == 0:
		v.Add(path, "nothing", "a range {start, end}", "nodes have their addresses from it")
	case hosts != nil && hosts.Size() < nodes:
		v.Add(path, fmt.Sprintf("%d addresses", hosts.Size()), fmt.Sprintf("at least %d, one for each node", nodes), "widen the range, and its subnet if need be")
	}
	return v.Err()
}

type validation struct {
	barclamp.Problems
	base  string
	spans []span
}

type span struct {
	Range
	network, name, path string
}

func (v *validation) span(network, name string) *span {
	for i, s := range v.spans {
		if s.network == network && s.name == name {
			return &v.spans[i]
		}
	}
	return nil
}

func (v *validation) network(name string, network gjson.Result) {
	at := v.base + "/" + barclamp.PointerToken(name)
	subnet, ok := v.subnet(at, network)
	if !ok {
		return
	}
	if router := network.Get("router"); router.String() != "" {
		v.address(at+"/router", router, subnet)
	}
	network.Get("ranges").ForEach(func(key, r gjson.Result) bool {
		path := at + "/ranges/" + barclamp.PointerToken(key.String())
		start, startOK := v.address(path+"/start", r.Get("start"), subnet)
		end, endOK := v.address(path+"/end", r.Get("end"), subnet)
		switch {
		case !startOK || !endOK:
		case end.Less(start):
			v.Add(path, start.String()+"-"+end.String(), "a start that is not after its end", "")
		default:
			v.spans = append(v.spans, span{Range{start, end}, name, key.String(), path})
		}
		return true
	})
}

func (v *validation) subnet(at string, network gjson.Result) (netip.Prefix, bool) {
	address, err := netip.ParseAddr(network.Get("subnet").String())
	if err != nil || !address.Is4() {
		v.Add(at+"/subnet", found(network.Get("subnet")), "an IPv4 address such as 192.168.124.0", "")
		return netip.Prefix{}, false
	}
	mask, err := netip.ParseAddr(network.Get("netmask").String())
	bits := -1
	if err == nil && mask.Is4() {
		bits = length(mask)
	}
	if bits < 0 {
		v.Add(at+"/netmask", found(network.Get("netmask")), "a netmask such as 255.255.255.0", "")
		return netip.Prefix{}, false
	}
	subnet := netip.PrefixFrom(address, bits)
	if subnet.Masked().Addr() != address {
		v.Add(at+"/subnet", address.String(), "the first address of the subnet, "+subnet.Masked().Addr().String(), "")
	}
	return subnet.Masked(), true
}

// length is the number of ones a netmask begins with; -1 if ones follow a zero.
func length(mask netip.Addr) int {
	ones, m := 0, number(mask)
	for ; m&(1<<31) != 0; m <<= 1 {
		ones++
	}
	if m != 0 {
		return -1
	}
	return ones
}

func (v *validation) address(path string, value gjson.Result, subnet netip.Prefix) (netip.Addr, bool) {
	a, err := netip.ParseAddr(value.String())
	switch {
	case err != nil || !a.Is4():
		v.Add(path, found(value), "an IPv4 address", "")
	case !subnet.Contains(a):
		v.Add(path, a.String(), "an address in "+subnet.String(), "")
	default:
		return a, true
	}
	return netip.Addr{}, false
}

// overlaps compares all ranges: networks may share a subnet, as admin and bmc do.
func (v *validation) overlaps() {
	for i, a := range v.spans {
		for _, b := range v.spans[:i] {
			if !a.End.Less(b.Start) && !b.End.Less(a.Start) {
				v.Add(a.path, a.String(), fmt.Sprintf("no overlap with range %s of network %s (%s)", b.name, b.network, b.Range), "")
			}
		}
	}
}

func found(value gjson.Result) string {
	if !value.Exists() {
		return "nothing"
	}
	if len(value.Raw) > 60 {
		return value.Type.String()
	}
	if value.Type == gjson.String {
		return strconv.Quote(value.String())
	}
	return value.Raw
}
