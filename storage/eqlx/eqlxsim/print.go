package eqlxsim

import (
	"fmt"
	"strconv"
	"strings"
)

// size prints megabytes as the group does: "1GB", "1.01GB" [D], "512MB", "7.02TB" [A].
func size(mb int64) string {
	switch {
	case mb < 1<<10:
		return fmt.Sprintf("%dMB", mb)
	case mb < 1<<20:
		return decimal(float64(mb)/(1<<10)) + "GB"
	default:
		return decimal(float64(mb)/(1<<20)) + "TB"
	}
}

func decimal(f float64) string {
	s := strconv.FormatFloat(f, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// A column of a table: its title and the width of its dashes, and where its cells break.
type column struct {
	title        string
	width, limit int // limit 0: never broken
}

// table prints rows under a header; cells of the first broken column go on in indented lines,
// as the access table does [T] and the tables of volumes and snapshots do [W].
func table(columns []column, indent int, rows [][]string) []string {
	var header, dashes strings.Builder
	for i, c := range columns {
		if i > 0 {
			header.WriteByte(' ')
			dashes.WriteByte(' ')
		}
		fmt.Fprintf(&header, "%-*s", c.width, c.title)
		dashes.WriteString(strings.Repeat("-", c.width))
	}
	lines := []string{strings.TrimRight(header.String(), " "), dashes.String()}
	for _, row := range rows {
		var line strings.Builder
		var rest string
		for i, cell := range row {
			if i > 0 {
				line.WriteByte(' ')
			}
			if limit := columns[i].limit; limit > 0 && len(cell) > limit {
				cell, rest = cell[:limit], cell[limit:]
			}
			fmt.Fprintf(&line, "%-*s", columns[i].width, cell)
		}
		lines = append(lines, strings.TrimRight(line.String(), " "))
		for limit := broken(columns); rest != ""; {
			n := min(len(rest), limit)
			lines = append(lines, strings.Repeat(" ", indent)+rest[:n]+" ")
			rest = rest[n:]
		}
	}
	return lines
}

func broken(columns []column) int {
	for _, c := range columns {
		if c.limit > 0 {
			return c.limit
		}
	}
	return 1 << 10
}
