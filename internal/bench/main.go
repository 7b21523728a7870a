// Bench runs what CrowbarKit does beside what its peers do for the same work, in one run on
// one machine, and prints one line for each peer:
//
//	bench: <name> ours=<v><unit> <peer>=<v><unit> ratio=<r>
//
// A ratio above 1 always means that ours is the better one. A comparison is one file of this
// directory that returns a comparison; its comment says what each side really does, as a
// ratio is worth no more than that.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"
)

// comparison is one piece of work done by ours and by peers.
type comparison struct {
	name  string
	ours  contender // may be none: more tells all then
	peers []contender
	more  func(w io.Writer) error // prints what else is to be said; may be nil
	close func() error            // gives back what the contenders keep; may be nil
	skip  bool                    // only close it
}

// contender does the work b.N times, as a Go benchmark does; an error ends the comparison.
type contender struct {
	name string
	work func(b *testing.B) error
}

// shared is what the contenders of comparisons use together. The first that needs it opens it,
// outside of its time.
type shared[T interface{ Close() error }] struct {
	open  func() (T, error)
	value *T
}

func (s *shared[T]) get() (T, error) {
	if s.value != nil {
		return *s.value, nil
	}
	value, err := s.open()
	if err == nil {
		s.value = &value
	}
	return value, err
}

// with is the work of a contender.
func (s *shared[T]) with(work func(b *testing.B, value T) error) func(*testing.B) error {
	return func(b *testing.B) error {
		value, err := s.get()
		if err != nil {
			return err
		}
		b.ResetTimer()
		return work(b, value)
	}
}

func (s *shared[T]) close() error {
	if s.value == nil {
		return nil
	}
	value := *s.value
	s.value = nil
	return value.Close()
}

func comparisons(notes io.Writer, bmcs int) []comparison {
	return slices.Concat([]comparison{
		statemachineFire(),
		statemachineFire64(),
		proposalDiff("proposal-diff-20KB", 20_000),
		proposalDiff("proposal-diff-200KB", 200_000),
		proposalDeployment(),
		proposalPath(),
		proposalSave(),
		proposalHistory(),
		eqlxGet(),
		eqlxLife(),
		eqlxGet64(),
		eqlxLife64(),
	}, rbdComparisons(notes), fleetComparisons(bmcs), inventoryComparisons(notes))
}

func main() {
	testing.Init()
	err := flag.Set("test.benchtime", "150ms") // of each contender in each round
	only := flag.String("only", "", "a regular expression: run the comparisons whose name it matches")
	beside := flag.String("beside", "", "a regular expression: measure only beside the peers whose name it matches")
	rounds := flag.Int("rounds", 5, "how often each contender is measured")
	bmcs := flag.Int("bmcs", 1000, "how many BMCs a fleet has")
	middle := flag.Bool("median", false, "take each contender's median round, not its best: for work whose time varies by itself")
	flag.Parse()
	matches, wrong := regexp.Compile(*only)
	peers, wrongToo := regexp.Compile(*beside)
	if err = errors.Join(err, wrong, wrongToo); err == nil {
		all := comparisons(os.Stdout, *bmcs)
		for i, c := range all {
			all[i].skip = !matches.MatchString(c.name)
			all[i].peers = slices.DeleteFunc(c.peers, func(p contender) bool { return !peers.MatchString(p.name) })
		}
		err = run(os.Stdout, all, *rounds, pick(*middle))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// pick returns which of a contender's rounds counts, of their times in order: the best, since what
// else the machine does only ever makes a round slower, or the median.
func pick(median bool) func(times []float64) float64 {
	return func(times []float64) float64 {
		if median {
			return times[len(times)/2]
		}
		return times[0]
	}
}

// run measures each contender once in each round, in turn, so that what else the machine does
// hits all alike.
func run(w io.Writer, all []comparison, rounds int, pick func([]float64) float64) error {
	for i, c := range all {
		if err := errors.Join(c.run(w, rounds, pick), c.done()); err != nil {
			err = fmt.Errorf("%s: %w", c.name, err)
			for _, rest := range all[i+1:] { // which may close what several share
				err = errors.Join(err, rest.done())
			}
			return err
		}
	}
	return nil
}

func (c comparison) done() error {
	if c.close == nil {
		return nil
	}
	return c.close()
}

func (c comparison) run(w io.Writer, rounds int, pick func([]float64) float64) error {
	switch {
	case c.skip:
		return nil
	case c.ours.work == nil:
		return c.more(w)
	}
	contenders := append([]contender{c.ours}, c.peers...)
	times := make([][]float64, len(contenders))
	for round := range rounds {
		for k := range contenders {
			i := (round + k) % len(contenders) // each follows each other: what one leaves slows the next
			ns, err := measure(contenders[i])
			if err != nil {
				return fmt.Errorf("%s: %w", contenders[i].name, err)
			}
			times[i] = append(times[i], ns)
		}
	}
	counts := make([]float64, len(contenders))
	for i := range times {
		slices.Sort(times[i])
		counts[i] = pick(times[i])
	}
	for i, peer := range c.peers {
		fmt.Fprintf(w, "bench: %s ours=%s %s=%s ratio=%.2f\n", c.name, duration(counts[0]), peer.name, duration(counts[i+1]), counts[i+1]/counts[0])
	}
	if c.more == nil {
		return nil
	}
	return c.more(w)
}

// measure returns the nanoseconds of one piece of work.
func measure(c contender) (ns float64, err error) {
	r := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		if e := c.work(b); e != nil {
			err = e
			b.SkipNow()
		}
	})
	if err == nil && r.N == 0 {
		err = errors.New("the benchmark did not run")
	}
	return float64(r.T) / float64(r.N), err
}

// duration writes nanoseconds in the unit that keeps them short.
func duration(ns float64) string {
	switch {
	case math.IsNaN(ns) || ns < 1e4:
		return fmt.Sprintf("%.1fns", ns)
	case ns < 1e7:
		return fmt.Sprintf("%.1fus", ns/1e3)
	}
	return fmt.Sprintf("%.1fms", ns/float64(time.Millisecond))
}
