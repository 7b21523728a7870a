package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/internal/wording"
)

// A screen shows what happens. On a terminal the nodes have one line each, drawn over in
// place; elsewhere each event is a line.
type screen struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	width    int
	domain   string // of the nodes, left out of what is shown
	drawn    int    // lines of the board that stand on the terminal
	last     string // what they say
}

func (s *screen) printf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if s.domain != "" {
		text = strings.ReplaceAll(text, s.domain, "")
	}
	_, _ = io.WriteString(s.out, text) // a screen that went away is no reason to stop
}

func (s *screen) heading(format string, args ...any) {
	s.printf("\n"+format+"\n", args...)
}

// longest is where lines of lists are cut: a hundred node names tell nobody more than ten.
const longest = 200

// block prints the lines of a text with a margin.
func (s *screen) block(margin, text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		line = strings.TrimRight(line, "\n")
		if s.domain != "" {
			line = strings.ReplaceAll(line, s.domain, "")
		}
		if len(line) > longest {
			line = strings.ToValidUTF8(line[:longest], "") + " …"
		}
		s.printf("%s%s\n", margin, line)
	}
}

// shown are the kinds of events that tell the story; the others are bookkeeping.
var shown = map[string]bool{"node.state": true, "node.address": true, "grant.spent": true, "job.wave": true, "job.finished": true}

func (s *screen) event(at time.Duration, ev client.Event) {
	if shown[ev.Kind] {
		s.printf("  %6.2fs  %s\n", at.Seconds(), ev.Message)
	}
}

// board draws the nodes, one line each. A rack that is taller than a terminal is summed up.
func (s *screen) board(nodes []client.Node) {
	if !s.terminal {
		return
	}
	const tallest = 32
	var b strings.Builder
	lines := 0
	line := func(format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		if s.width > 0 && len(text) >= s.width {
			text = text[:s.width-1]
		}
		b.WriteString(text + "\x1b[K\n") // clear what the line said before
		lines++
	}
	if len(nodes) > tallest {
		counts := map[string]int{}
		var order []string
		for _, n := range nodes {
			if counts[n.State] == 0 {
				order = append(order, n.State)
			}
			counts[n.State]++
		}
		for _, state := range order {
			line("  %-20s %4d %s", state, counts[state], strings.Repeat("■", counts[state]*40/len(nodes)))
		}
	} else {
		for _, n := range nodes {
			line("  %-22s %-20s %s", wording.Node(n.Name), n.State, doing(n))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.String() == s.last {
		return
	}
	s.last = b.String()
	if s.drawn > 0 {
		_, _ = fmt.Fprintf(s.out, "\x1b[%dA", s.drawn)
	}
	_, _ = io.WriteString(s.out, s.last)
	for extra := lines; extra < s.drawn; extra++ {
		_, _ = io.WriteString(s.out, "\x1b[K\n")
	}
	s.drawn = max(lines, s.drawn)
}

// release leaves the board as it stands; what follows is printed below it.
func (s *screen) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drawn, s.last = 0, ""
}

// doing says what goes on with a node.
func doing(n client.Node) string {
	p := n.Progress
	switch {
	case p == nil:
		return n.Reason
	case p.Fraction >= 0 && p.Message != "":
		return fmt.Sprintf("%s: %3.0f%% %s", p.Title, p.Fraction*100, p.Message)
	case p.Message != "":
		return p.Title + ": " + p.Message
	}
	return p.Title
}
