package hardware

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Widths of Text, in characters: values are cut to cellWidth, reasons wrapped to textWidth, or to
// reasonWidth where the cells leave less.
const (
	textWidth   = 120
	cellWidth   = 28
	reasonWidth = 36
)

// Text prints the plan as a table for people, ending with what it costs. It keeps to about 120
// columns, more with long names: values are cut and reasons wrapped, but targets, which may be
// copied into a profile, and the disks to be destroyed are named in full.
func (p *Plan) Text() string {
	if p.Empty() {
		return "nothing to do\n"
	}
	rows := [][]string{{"COMPONENT", "ACTION", "TARGET", "BEFORE", "AFTER", "REBOOT", "REASON"}}
	for _, op := range p.Operations {
		reboot := "no"
		if op.Reboot {
			reboot = "yes"
		}
		rows = append(rows, []string{string(op.Component), string(op.Action), clean(op.Target), op.cell(op.Before, op.After), op.cell(op.After, op.Before), reboot, clean(op.Reason)})
	}
	widths, before := make([]int, len(rows[0])-1), 0
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		before += widths[i] + 2
	}
	var b strings.Builder
	for _, row := range rows {
		for i, w := range widths {
			b.WriteString(row[i])
			b.WriteString(strings.Repeat(" ", w-utf8.RuneCountInString(row[i])+2))
		}
		wrap(&b, row[len(widths)], before, max(textWidth-before, reasonWidth))
	}
	fmt.Fprintf(&b, "%s, %s", plural(len(p.Operations), "operation"), plural(p.Reboots(), "reboot"))
	if disks := p.Destroys(); len(disks) > 0 {
		b.WriteString(", DESTROYS all data on ")
		if len(disks) > 6 {
			fmt.Fprintf(&b, "%d disks:\n  ", len(disks))
			wrap(&b, clean(strings.Join(disks, ", ")), 2, textWidth-2)
			return b.String()
		}
		b.WriteString(clean(strings.Join(disks, ", ")))
	}
	b.WriteString("\n")
	return b.String()
}

// wrap writes words in lines of a width, all but the first indented, and ends the last line.
func wrap(b *strings.Builder, text string, indent, width int) {
	used := 0
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i > 0 && used+1+n > width:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			used = 0
		case i > 0:
			b.WriteString(" ")
			used++
		}
		b.WriteString(word)
		used += n
	}
	b.WriteString("\n")
}

// cell gives Before or After, beside the other; of a volume on many disks their number, as they
// are named below.
func (op Operation) cell(v, beside any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case []string:
		other, _ := beside.([]string)
		return listCell(v, other)
	case string:
		if op.Volume != nil && utf8.RuneCountInString(v) > cellWidth {
			text := fmt.Sprintf("%s on %s", op.Volume.RAIDLevel, plural(len(op.Volume.Drives), "disk"))
			if n := len(op.Volume.Spares); n > 0 {
				text += ", " + plural(n, "spare")
			}
			return cut(text)
		}
		if v == "" {
			return "-"
		}
		return cut(v)
	}
	return cut(fmt.Sprint(v))
}

// listCell shows of a list what fits, from the first on that differs from the other list.
func listCell(list, other []string) string {
	text := clean(strings.Join(list, ","))
	if utf8.RuneCountInString(text) <= cellWidth {
		return text
	}
	from := 0
	for from < min(len(list), len(other))-1 && list[from] == other[from] {
		from++
	}
	text = ""
	if from > 0 {
		text = "…,"
	}
	for i, item := range list[from:] {
		if i > 0 && utf8.RuneCountInString(text)+utf8.RuneCountInString(item) >= cellWidth {
			return text + "…"
		}
		text += cut(item)
		if from+i < len(list)-1 {
			text += ","
		}
	}
	return text
}

// cut shortens a cell in the middle: attribute names often differ only at their ends.
func cut(text string) string {
	r := []rune(clean(text))
	if len(r) <= cellWidth {
		return string(r)
	}
	const head = cellWidth / 2
	return string(slices.Concat(r[:head], []rune("…"), r[len(r)-(cellWidth-head-1):]))
}

// clean keeps what a BMC says from moving the cursor.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
