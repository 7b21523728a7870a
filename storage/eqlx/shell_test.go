package eqlx

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

// scripted is a channel on which a group answers every line with the same text.
type scripted struct {
	ssh.Channel
	s      *shell
	answer string
	hangUp bool
}

func (c *scripted) Write(p []byte) (int, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.received = []byte(strings.ReplaceAll(c.answer, "LINE", strings.TrimSuffix(string(p), "\r")))
	if c.hangUp {
		c.s.err = io.EOF
	}
	return len(p), nil
}

// What a group says without a prompt is its answer only if nothing more can come.
func TestAnswersWithoutPrompt(t *testing.T) {
	long := "volume create " + strings.Repeat("x", columns)
	for name, test := range map[string]struct {
		line, answer string
		hangUp       bool
		want         any // nil: it is an answer
	}{
		"error, then silence":  {"volume show", "LINE\r\n% Error - Full.\r\n", false, new(*lostError)},
		"error, then the end":  {"volume show", "LINE\r\n% Error - Full.\r\n", true, new(*CommandError)},
		"half of an error":     {"volume show", "LINE\r\n% Error - Fu", true, new(*lostError)},
		"another's error":      {"volume show", "pool show\r\n% Error - Full.\r\n", true, new(*lostError)},
		"another's answer":     {"volume show", "pool show\r\ngroup-0> ", false, new(*lostError)},
		"an echo that is torn": {long, long[:columns] + " $\r\n" + long[columns:] + "\r\ngroup-0> ", false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &shell{prompt: "group-0> ", arrived: make(chan struct{}, 1), echoes: true}
				s.channel = &scripted{s: s, answer: test.answer, hangUp: test.hangUp}
				_, err := s.do(t.Context(), test.line, time.Minute)
				if test.want == nil {
					require.NoError(t, err)
					return
				}
				require.ErrorAs(t, err, test.want)
			})
		})
	}
}
