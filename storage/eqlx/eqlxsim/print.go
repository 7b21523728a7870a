package eqlxsim

import (
	"fmt"
	"strconv"
	"strings"
)

// size prints megabytes as the shell asked for. How exact ones look is assumed [A].
func (g *Group) size(mb int64) string {
	if g.terminal.exact {
		return fmt.Sprintf("%dMB", mb)
	}
	return size(mb)
}

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
// as the access table does [T] and the tables of volumes and snapshots do [W], those of others
// below themselves [A].
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
		at, first := make([]int, len(row)), -1
		for i, cell := range row {
			if i > 0 {
				line.WriteByte(' ')
			}
			at[i] = line.Len()
			if limit := columns[i].limit; limit > 0 && first < 0 {
				at[i], first = indent, i
			}
			fmt.Fprintf(&line, "%-*s", columns[i].width, columns[i].cut(&row[i], cell))
		}
		lines = append(lines, strings.TrimRight(line.String(), " "))
		for more := true; more; {
			more = false
			var line strings.Builder
			for i, rest := range row {
				if rest == "" {
					continue
				}
				more = true
				line.WriteString(strings.Repeat(" ", max(1, at[i]-line.Len())) + columns[i].cut(&row[i], rest))
			}
			if more {
				lines = append(lines, line.String()+" ")
			}
		}
	}
	return lines
}

// cut returns as much of a cell as fits and leaves the rest.
func (c column) cut(rest *string, cell string) string {
	*rest = ""
	if c.limit > 0 && len(cell) > c.limit {
		cell, *rest = cell[:c.limit], cell[c.limit:]
	}
	return cell
}
