package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxMessage bounds one message of a stream.
const maxMessage = 16 << 20

// errMessageSize says that a stream has a message that no server of ours sends.
var errMessageSize = errors.New("client: message of a stream too long")

// A message is one server-sent event (WHATWG HTML §9.2), as far as we use them: a stream of
// ours has neither names of events nor retry times.
type message struct {
	id   string // of the last message that had one
	data []byte
}

// readMessages calls tell for each message until the stream ends (nil) or tell returns an
// error, which is returned. A message that the end cuts off is dropped, as the format wants.
func readMessages(stream io.Reader, tell func(message) error) error {
	lines := &lineReader{Reader: bufio.NewReader(stream)}
	var m message
	var data bytes.Buffer
	hasData := false
	for first := true; ; first = false {
		line, err := lines.line()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if first {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		if line == "" {
			if hasData {
				m.data = bytes.Clone(data.Bytes())
				if err := tell(m); err != nil {
					return err
				}
			}
			data.Reset()
			hasData = false
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "data":
			if hasData {
				data.WriteByte('\n')
			}
			if data.Len()+len(value) > maxMessage {
				return fmt.Errorf("%w: more than %d bytes", errMessageSize, maxMessage)
			}
			data.WriteString(value)
			hasData = true
		case "id":
			if !strings.ContainsRune(value, 0) {
				m.id = value
			}
		}
	}
}

// lineReader reads lines that end with CR, LF or both, as this format allows.
type lineReader struct {
	*bufio.Reader
	afterCR bool // an LF that comes now belongs to the CR
}

// line returns the next line without its end; io.EOF if it has none. It never waits for what
// may follow a CR, which would hold a message back.
func (r *lineReader) line() (string, error) {
	var line []byte
	for {
		c, err := r.ReadByte()
		afterCR := r.afterCR
		r.afterCR = c == '\r'
		switch {
		case err != nil:
			return "", err
		case c == '\n' && afterCR && len(line) == 0:
		case c == '\n', c == '\r':
			return string(line), nil
		case len(line) == maxMessage:
			return "", fmt.Errorf("%w: more than %d bytes", errMessageSize, maxMessage)
		default:
			line = append(line, c)
		}
	}
}
