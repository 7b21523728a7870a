package main

import (
	"bytes"
	"errors"
	"regexp"
	"testing"
	"time"
)

// Contenders that do not do the same work make the ratio worthless.
func TestWalkersAgree(t *testing.T) {
	for name, build := range map[string]func() (walker, error){"ours": newOurs, "looplab": newLooplab, "stateless": newStateless} {
		t.Run(name, func(t *testing.T) {
			w, err := build()
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range cycle {
				if w.state() != c.from {
					t.Fatalf("in %q, want %q", w.state(), c.from)
				}
				if err := w.walk(1); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.walk(2*len(cycle) + 1); err != nil || w.state() != cycle[1].from {
				t.Fatalf("in %q, want %q: %v", w.state(), cycle[1].from, err)
			}
		})
	}
}

func TestRatioAboveOneIsOurs(t *testing.T) {
	work := func(d time.Duration) func(b *testing.B) error {
		return func(b *testing.B) error {
			for range b.N {
				for begin := time.Now(); time.Since(begin) < d; {
				}
			}
			return nil
		}
	}
	c := comparison{
		name:  "spin",
		ours:  contender{"ours", work(time.Millisecond)},
		peers: []contender{{"slow", work(4 * time.Millisecond)}},
	}
	var out bytes.Buffer
	if err := run(&out, []comparison{c}, 1, pick(false)); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^bench: spin ours=[0-9.]+[num]s slow=[0-9.]+[num]s ratio=([2-9]|1[0-9])\.[0-9]{2}\n$`).Match(out.Bytes()) {
		t.Fatalf("%q", out.String())
	}
}

func TestFailureIsReported(t *testing.T) {
	lost := errors.New("lost")
	c := comparison{name: "broken", ours: contender{"ours", func(*testing.B) error { return lost }}}
	if err := run(&bytes.Buffer{}, []comparison{c}, 1, pick(false)); !errors.Is(err, lost) {
		t.Fatal(err)
	}
}
