package proposal_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/wI2L/jsondiff"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// The documents are read beforehand for Compare, as they are in a store or an editor; jsondiff
// has both ways: from bytes, as its callers have them, and from values that are decoded already.
func BenchmarkCompare20K(b *testing.B)  { benchmarkCompare(b, 20_000) }
func BenchmarkCompare200K(b *testing.B) { benchmarkCompare(b, 200_000) }

func benchmarkCompare(b *testing.B, size int) {
	first, second := largeProposal(b, size)
	x, y := parse(b, first), parse(b, second)
	sorted, err := json.Marshal(decode(b, []byte(second)))
	if err != nil {
		b.Fatal(err)
	}
	respelt := parse(b, string(sorted))
	b.Run("proposal", func(b *testing.B) {
		for b.Loop() {
			if _, err := proposal.Compare(x, y); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("proposal/respelt", func(b *testing.B) { // nothing is alike to the byte
		for b.Loop() {
			if _, err := proposal.Compare(x, respelt); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("proposal/parse", func(b *testing.B) {
		for b.Loop() {
			x, y := parse(b, first), parse(b, second)
			if _, err := proposal.Compare(x, y); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("jsondiff", func(b *testing.B) {
		for b.Loop() {
			if _, err := jsondiff.CompareJSON([]byte(first), []byte(second)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("jsondiff/decoded", func(b *testing.B) {
		before, after := decode(b, []byte(first)), decode(b, []byte(second))
		for b.Loop() {
			if _, err := jsondiff.CompareWithoutMarshal(before, after); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A tenth of the compute nodes of a large site become storage nodes.
func BenchmarkCompare10000Nodes(b *testing.B) {
	for _, nodes := range []int{1_000, 10_000} {
		x, y := rackDeployment(b, nodes, 0), rackDeployment(b, nodes, nodes/10)
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			for b.Loop() {
				if _, err := proposal.Compare(x, y); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMerge(b *testing.B) {
	for _, size := range []int{20_000, 200_000} {
		first, second := largeProposal(b, size)
		base, ours := parse(b, first), parse(b, second)
		theirs := with(b, base, set("/attributes/nova/debug", "true"), set("/attributes/nova/volume/2/eqlx/san_ip", `"10.9.9.9"`))
		b.Run(fmt.Sprintf("%dKB", size/1000), func(b *testing.B) {
			for b.Loop() {
				if _, err := proposal.Merge(base, ours, theirs, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkWith100Edits(b *testing.B) {
	first, _ := largeProposal(b, 200_000)
	d := parse(b, first)
	var edits []proposal.Edit
	for n := range 100 {
		edits = append(edits, set(fmt.Sprintf("/attributes/nova/volume/%d/eqlx/san_ip", n), `"10.9.9.9"`))
	}
	for b.Loop() {
		with(b, d, edits...)
	}
}

// largeProposal returns a nova proposal of about this many bytes, as Crowbar writes it, and
// what an afternoon's editing makes of it: seven changes, some at the front of lists.
func largeProposal(tb testing.TB, size int) (first, second string) {
	var volumes, rules []string
	length := 0
	for n := 0; length < size-1_000; n++ {
		volume := fmt.Sprintf(`        {
          "backend_driver": "eqlx",
          "backend_name": "eqlx%d",
          "eqlx": {
            "san_ip": "10.%d.%d.10", "san_login": "grpadmin", "san_thin_provision": true,
            "eqlx_group_name": "group-%d", "eqlx_use_chap": false, "eqlx_chap_login": null,
            "eqlx_pool": "default", "eqlx_cli_timeout": 30, "eqlx_cli_max_retries": 5
          },
          "availability_zones": ["nova", "rack%d"], "over_subscription": 20.0
        }`, n, n/250, n%250, n, n%9)
		rule := fmt.Sprintf(`"tcp:%d"`, 1024+n)
		volumes, rules = append(volumes, volume), append(rules, rule)
		length += len(volume) + len(rule) + 4
	}
	first = document(`{
      "debug": false, "verbose": true, "libvirt_type": "kvm", "use_migration": false,
      "scheduler": {"ram_allocation_ratio": 1.0, "cpu_allocation_ratio": 16.0, "disk_allocation_ratio": 1e0},
      "db": {"password": null, "user": "nova", "database": "nova"},
      "rules": [`+strings.Join(rules, ", ")+`],
      "volume": [
`+strings.Join(volumes, ",\n")+`
      ]
    }`, `"elements": {"nova-controller": ["node1.example.com"], "nova-compute-kvm": ["node2.example.com", "node3.example.com"]}`)
	a := parse(tb, first)
	at := func(path string) string { return a.AttributePointer(path) }
	b := with(tb, a,
		set(at("libvirt_type"), `"qemu"`), set(at("scheduler.disk_allocation_ratio"), "1.0"), set(at("more"), `{"a":1}`),
		set(at("volume.7.eqlx.san_login"), `"admin"`), remove(at("use_migration")), remove(at("rules.0")),
		set("/deployment/nova/elements/nova-compute-kvm/-", `"node4.example.com"`))
	list := strings.Replace(string(b.Bytes()), `"volume": [`, `"volume": [{"backend_driver": "rbd"},`, 1)
	return first, list
}

// rackDeployment has all nodes but the first moved ones in one role and these in another.
func rackDeployment(t testing.TB, nodes, moved int) *proposal.Document {
	names := make([]string, nodes)
	for n := range names {
		names[n] = fmt.Sprintf("d52-54-00-%06d.rack.example.com", n)
	}
	d, err := parse(t, document("{}", "")).WithElements(map[string][]string{"compute": names[moved:], "volume": names[:moved]})
	if err != nil {
		t.Fatal(err)
	}
	return d
}
