package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// json prints a value for programs.
func (a *app) json(v any) error {
	e := json.NewEncoder(a.Stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// A style is how a line is shown on a terminal.
type style string

const (
	plain  style = ""
	bold   style = "1"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

// colored tells whether styles show: on a terminal that has not NO_COLOR.
func (a *app) colored(w io.Writer) bool {
	return a.Getenv("NO_COLOR") == "" && a.Getenv("TERM") != "dumb" && a.IsTerminal(w)
}

func paint(s style, text string) string {
	if s == plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// oneLine is text without what would move a terminal's cursor, whatever a machine called itself.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// brief is text that is cut where it gets longer than so many characters.
func brief(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	n := 0
	for i := range text {
		if n++; n > limit {
			return text[:i] + "…"
		}
	}
	return text
}

// A table has aligned columns. Its cells are of one line.
type table struct {
	rows   []string
	styles []style
}

func newTable(columns ...string) *table {
	t := &table{}
	t.add(bold, columns...)
	return t
}

func (t *table) add(s style, cells ...string) {
	for i, c := range cells {
		cells[i] = oneLine(c)
	}
	t.rows = append(t.rows, strings.Join(cells, "\t"))
	t.styles = append(t.styles, s)
}

// print writes the table; styles show on a terminal that has not NO_COLOR.
func (a *app) print(w io.Writer, t *table) error {
	var text bytes.Buffer
	aligned := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, r := range t.rows {
		fmt.Fprintln(aligned, r)
	}
	if err := aligned.Flush(); err != nil {
		return err
	}
	colored := a.colored(w)
	var out strings.Builder
	for i, line := range strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n") {
		line = strings.TrimRight(line, " ")
		if colored {
			line = paint(t.styles[i], line)
		}
		out.WriteString(line + "\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// lines prints formatted lines.
func lines(w io.Writer, format string, values ...any) { fmt.Fprintf(w, format+"\n", values...) }

// period is a duration as people say it: the two largest units.
func period(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Second:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return two(d, time.Minute, "m", time.Second, "s")
	case d < 24*time.Hour:
		return two(d, time.Hour, "h", time.Minute, "m")
	}
	return two(d, 24*time.Hour, "d", time.Hour, "h")
}

func two(d, large time.Duration, a string, small time.Duration, b string) string {
	rest := d % large / small
	if rest == 0 {
		return fmt.Sprintf("%d%s", d/large, a)
	}
	return fmt.Sprintf("%d%s%d%s", d/large, a, rest, b)
}

func seconds(s float64) string { return period(time.Duration(s * float64(time.Second))) }

// size is bytes as people say them.
func size(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1000, 0
	for f >= 999.5 && i < len(units)-1 {
		f /= 1000
		i++
	}
	if f < 10 {
		return fmt.Sprintf("%.1f %cB", f, units[i])
	}
	return fmt.Sprintf("%.0f %cB", f, units[i])
}

// memory is counted in powers of two, as its modules are.
func memory(n int64) string {
	const gib = 1 << 30
	if n < gib {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%.4g GiB", float64(n)/gib)
}

// orDash marks an empty cell.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// logger writes on standard error from a level on, with -v everything.
func (a *app) logger(verbose bool, level slog.Level) *slog.Logger {
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(a.Stderr, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey && a.Value.String() == slog.LevelInfo.String()) {
				return slog.Attr{} // it is now, and normal
			}
			return a
		},
	}))
}
