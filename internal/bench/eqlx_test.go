package main

import (
	"bytes"
	"regexp"
	"testing"
)

// Both sides do the same to the same group, and Cinder's way takes a round trip for each of
// channel, shell, stty and the command.
func TestEqlxContenders(t *testing.T) {
	s, err := newEqlxSite(1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // the test ends
	for name, do := range map[string]func() error{
		"get, ours": s.getOurs, "get, cinder": s.getCinder, "life, ours": s.lifeOurs, "life, cinder": s.lifeCinder,
	} {
		for range 3 {
			if err := do(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	stats, err := s.ours.Stats(t.Context())
	if err != nil || stats.Volumes != 1 {
		t.Fatalf("%+v, expected that only v is left: %v", stats, err)
	}
	for name, c := range map[string]struct {
		measure     func() (float64, error)
		least, most float64
	}{
		"ours":   {func() (float64, error) { return perCommand(&s.oursTurns, s.getOurs) }, 0.99, 1.1},
		"cinder": {func() (float64, error) { return perCommand(&s.peerTurns, s.getCinder) }, 3.9, 6},
	} {
		if n, err := c.measure(); err != nil || n < c.least || n > c.most {
			t.Errorf("%s: %.2f round trips, expected %.2f to %.2f: %v", name, n, c.least, c.most, err)
		}
	}
}

func TestMoreIsPrinted(t *testing.T) {
	c := eqlxGet()
	var out bytes.Buffer
	if err := c.more(&out); err != nil {
		t.Fatal(err)
	}
	if err := c.done(); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^bench: eqlx-get round-trips ours=1\.\d\d cinder-way=[45]\.\d\d ratio=[345]\.\d\d\n$`).Match(out.Bytes()) {
		t.Fatalf("%q", out.String())
	}
}
