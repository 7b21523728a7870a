package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wI2L/jsondiff"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/boltstore"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// documents returns a proposal of about size bytes and an edited one: five attributes changed,
// one inserted at the front of a list, one removed from the head of another.
func documents(size int) (before, after []byte) {
	text := func(edited bool) []byte {
		var groups []string
		change := func(old, now string) string {
			if edited {
				return now
			}
			return old
		}
		for i := 0; len(strings.Join(groups, ",")) < size; i++ {
			groups = append(groups, fmt.Sprintf(`
        "group_%03d": {
          "enabled": %s, "ratio": 1.50, "interval": %d, "comment": null,
          "servers": ["server-%d-a.example.com", "server-%d-b.example.com", "server-%d-c.example.com"],
          "limits": {"open_files": 65536, "processes": 4096, "retry": {"times": 3, "wait_seconds": 0.5}}
        }`, i, change("true", change2(i, "true", "false")), change3(i, edited), i, i, i))
		}
		list := change(`"one", "two", "three", "four"`, `"zero", "one", "two", "three", "four"`)
		head := change(`{"id": 1}, {"id": 2}, {"id": 3}`, `{"id": 2}, {"id": 3}`)
		return fmt.Appendf(nil, `{
  "id": "bc-nova-default",
  "description": "benchmark",
  "attributes": {
    "nova": {
      "list": [%s],
      "head": [%s],%s
    }
  },
  "deployment": {
    "nova": {
      "crowbar-revision": 1,
      "elements": {"nova-controller": ["node1"], "nova-compute-kvm": ["node2", "node3"]},
      "element_order": [["nova-controller"], ["nova-compute-kvm"]],
      "config": {"environment": "nova-config-default", "mode": "full", "transitions": false, "transition_list": []}
    }
  }
}`, list, head, strings.Join(groups, ","))
	}
	return text(false), text(true)
}

func change2(i int, old, now string) string {
	if i%11 == 3 && i < 40 {
		return now
	}
	return old
}

func change3(i int, edited bool) int {
	if edited && i == 2 {
		return 61
	}
	return 60
}

// proposalDiff compares texts as they are stored: each side reads both and finds the
// differences. Ours gives the patch and what people read; jsondiff (with LCS, or it rewrites
// lists that an element is inserted into) the patch; go-cmp a text.
func proposalDiff(name string, size int) comparison {
	before, after := documents(size)
	decode := func(text []byte) (any, error) {
		var v any
		err := json.Unmarshal(text, &v)
		return v, err
	}
	return comparison{
		name: name,
		ours: contender{"ours", func(b *testing.B) error {
			for range b.N {
				x, err := proposal.Parse(before)
				if err != nil {
					return err
				}
				y, err := proposal.Parse(after)
				if err != nil {
					return err
				}
				d, err := proposal.Compare(x, y)
				if err != nil || d.Empty() {
					return errors.Join(err, nothingFound(d.Empty()))
				}
			}
			return nil
		}},
		peers: []contender{
			{"jsondiff", func(b *testing.B) error {
				for range b.N {
					patch, err := jsondiff.CompareJSON(before, after, jsondiff.LCS())
					if err != nil || len(patch) == 0 {
						return errors.Join(err, nothingFound(len(patch) == 0))
					}
				}
				return nil
			}},
			{"go-cmp", func(b *testing.B) error {
				for range b.N {
					x, err := decode(before)
					if err != nil {
						return err
					}
					y, err := decode(after)
					if err != nil {
						return err
					}
					if cmp.Diff(x, y) == "" {
						return nothingFound(true)
					}
				}
				return nil
			}},
		},
	}
}

func nothingFound(empty bool) error {
	if empty {
		return errors.New("no difference was found")
	}
	return nil
}

// deployment is a document with so many nodes in one role.
func deployment(nodes int, edited bool) (*proposal.Document, error) {
	var names []string
	for i := range nodes {
		if edited && i == nodes/2 {
			continue
		}
		names = append(names, fmt.Sprintf("d52-54-00-%02x-%02x-%02x.crowbar.test", i>>16, i>>8&255, i&255))
	}
	if edited {
		names = append([]string{"d00-00-00-00-00-01.crowbar.test"}, names...)
	}
	list, err := json.Marshal(names)
	if err != nil {
		return nil, err
	}
	return proposal.Parse(fmt.Appendf(nil, `{"id":"bc-swift-default","attributes":{"swift":{}},"deployment":{"swift":{
		"elements":{"swift-storage":%s},"element_order":[["swift-storage"]]}}}`, list))
}

// proposalDeployment shows that the difference of 10,000 nodes costs ten times that of 1,000:
// the peer is the same work on 1,000 nodes, ten times. A ratio near 1 is linear.
func proposalDeployment() comparison {
	compare := func(nodes, times int) func(b *testing.B) error {
		return func(b *testing.B) error {
			x, err := deployment(nodes, false)
			if err != nil {
				return err
			}
			y, err := deployment(nodes, true)
			if err != nil {
				return err
			}
			b.ResetTimer()
			for range b.N * times {
				d, err := proposal.Compare(x, y)
				if err != nil || len(d.Changes) != 1 || len(d.Changes[0].Added) != 1 || len(d.Changes[0].Removed) != 1 {
					return errors.Join(err, errors.New("not one node added and one removed"))
				}
			}
			return nil
		}
	}
	return comparison{
		name:  "proposal-diff-10000-nodes",
		ours:  contender{"ours", compare(10_000, 1)},
		peers: []contender{{"ten-times-1000", compare(1000, 10)}},
	}
}

// proposalPath reads one attribute of a 20 KB document: ours by path in a parsed Document, the
// peer by decoding the whole text, as who has no paths does.
func proposalPath() comparison {
	text, _ := documents(20_000)
	return comparison{
		name: "proposal-path-read",
		ours: contender{"ours", func(b *testing.B) error {
			d, err := proposal.Parse(text)
			if err != nil {
				return err
			}
			b.ResetTimer()
			for range b.N {
				if d.Get("group_040.interval").Int() != 60 {
					return errors.New("not the value")
				}
			}
			return nil
		}},
		peers: []contender{{"encoding-json", func(b *testing.B) error {
			for range b.N {
				var v struct {
					Attributes map[string]map[string]any `json:"attributes"`
				}
				if err := json.Unmarshal(text, &v); err != nil {
					return err
				}
				if v.Attributes["nova"]["group_040"].(map[string]any)["interval"] != 60.0 {
					return errors.New("not the value")
				}
			}
			return nil
		}}},
	}
}

// history is an engine on a bolt file whose proposal has so many revisions.
type history struct {
	engine *crowbar.Engine
	texts  [2]*proposal.Document
	close  func() error
}

var novaKey = proposal.Key{Barclamp: "nova", Name: "default"}

func newHistory(revisions int) (h *history, err error) {
	dir, err := os.MkdirTemp("", "crowbar-bench")
	if err != nil {
		return nil, err
	}
	store, err := boltstore.Open(filepath.Join(dir, "site.db"), nil)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	h = &history{close: func() error { return errors.Join(store.Close(), os.RemoveAll(dir)) }}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	if h.engine, err = crowbar.New(context.Background(), crowbar.Config{Store: store, Registry: &barclamp.Registry{}}); err != nil {
		return nil, err
	}
	before, after := documents(20_000)
	for i, text := range [][]byte{before, after} {
		if h.texts[i], err = proposal.Parse(text); err != nil {
			return nil, err
		}
	}
	return h, h.save(revisions)
}

// save appends n revisions, each other than the one before.
func (h *history) save(n int) error {
	for range n {
		base := 0
		if latest, err := h.engine.Proposals().Get(context.Background(), novaKey, 0); err == nil {
			base = latest.Number
		}
		_, err := h.engine.SaveProposal(context.Background(), crowbar.SaveProposal{
			Key: novaKey, Document: h.texts[base%2], Author: "bench", Base: base,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// atRevisions does a piece of work on a proposal of 20 KB with many revisions, and the peer on
// one with few: a ratio near 1 is flat. The store is the one of a server, with its fsync.
func atRevisions(name string, work func(b *testing.B, h *history) error) comparison {
	var long *history // made once: it takes seconds
	return comparison{
		name: name,
		ours: contender{"at-10000", func(b *testing.B) (err error) {
			if long == nil {
				if long, err = newHistory(10_000); err != nil {
					return err
				}
			}
			b.ResetTimer()
			return work(b, long)
		}},
		peers: []contender{{"at-10", func(b *testing.B) error {
			h, err := newHistory(10)
			if err != nil {
				return err
			}
			b.ResetTimer()
			err = work(b, h)
			b.StopTimer()
			return errors.Join(err, h.close())
		}}},
		close: func() error {
			if long == nil {
				return nil
			}
			return long.close()
		},
	}
}

func proposalSave() comparison {
	return atRevisions("proposal-save-10000-revisions", func(b *testing.B, h *history) error { return h.save(b.N) })
}

func proposalHistory() comparison {
	return atRevisions("proposal-history-10000-revisions", func(b *testing.B, h *history) error {
		for range b.N {
			page, err := h.engine.History(context.Background(), novaKey, 0, 10)
			if err != nil || len(page) == 0 {
				return errors.Join(err, nothingFound(len(page) == 0))
			}
		}
		return nil
	})
}
