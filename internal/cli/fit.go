package cli

import (
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"shardload/internal/term"
)

// usualWidth is how many columns a table has at most where nobody knows how wide the reader's
// screen is.
const usualWidth = 100

// shortest is how far a value is shortened as long as there is a column to leave out in its place,
// and narrowest how far if there is none.
const (
	shortest  = 28
	narrowest = 12
)

// A tableColumn is the head of a column, and what may become of it in a table that is too wide.
type tableColumn struct {
	name    string
	right   bool // aligned right
	shorten bool // values may be shortened in their middle: paths, names
	wrap    bool // values may go on in the next line
	drop    bool // the column may be left out
	spare   bool // likewise, where nothing else helps
	width   int
	full    int // that of its longest value
}

const gap = 2 // after a column, also the last one

// parseColumn reads a head with its marks: > for right, ~ for shorten, < for wrap, ? for drop, ! for
// spare. A backslash ends them.
func parseColumn(head string) (c tableColumn) {
	name := strings.TrimLeft(head, ">~<?!")
	marks := strings.TrimSuffix(head, name)
	name = strings.TrimPrefix(name, `\`)
	return tableColumn{
		name: term.Line(name), right: strings.Contains(marks, ">"), shorten: strings.Contains(marks, "~"),
		wrap: strings.Contains(marks, "<"), drop: strings.Contains(marks, "?"), spare: strings.Contains(marks, "!"),
	}
}

// fitTable makes a table of at most so many columns of the screen, if that can be: it shortens
// values, then leaves out columns, the last first, shortens values more, wraps others, and leaves out
// more. A column without a name and values is none. A row of nil is a line.
func fitTable(head []string, rows [][]string, width int) ([]tableColumn, [][]string) {
	columns := make([]tableColumn, len(head))
	for i := range head {
		columns[i] = parseColumn(head[i])
		columns[i].width = text.StringWidth(columns[i].name)
	}
	lines := make([][]string, len(rows))
	for i, row := range rows {
		if row != nil {
			lines[i] = []string{}
		}
		for k, cell := range row {
			cell = term.Line(cell)
			columns[k].width = max(columns[k].width, text.StringWidth(cell))
			lines[i] = append(lines[i], cell)
		}
	}
	for i := range columns {
		columns[i].full = columns[i].width
	}
	for dropLast(&columns, lines, func(c tableColumn) bool { return c.width == 0 }) {
	}
	shortenColumns(columns, width, shortest)
	for tooWide(columns, width) > 0 && dropLast(&columns, lines, func(c tableColumn) bool { return c.drop }) {
	}
	shortenColumns(columns, width, narrowest)
	wrapColumn(columns, width)
	for tooWide(columns, width) > 0 && dropLast(&columns, lines, func(c tableColumn) bool { return c.spare }) {
		wrapColumn(columns, width)
	}
	for _, line := range lines {
		for i := range line {
			if columns[i].shorten {
				line[i] = middle(line[i], columns[i].width)
			}
		}
	}
	return columns, lines
}

// wrapColumn makes the first column that may be wrapped as narrow as it must be, and may be.
func wrapColumn(columns []tableColumn, width int) {
	for i := range columns {
		if c := &columns[i]; c.wrap {
			c.width = c.full
			c.width -= min(max(tooWide(columns, width), 0), max(c.full-narrowest, 0))
			return
		}
	}
}

// tooWide returns how many columns of the screen there are too many.
func tooWide(columns []tableColumn, width int) int {
	sum := 0
	for _, c := range columns {
		sum += c.width + gap
	}
	return sum - width
}

// shortenColumns makes the widest of the columns that may be shortened narrower, in turn, down to
// the least width of one.
func shortenColumns(columns []tableColumn, width, least int) {
	for over := tooWide(columns, width); over > 0; over-- {
		widest := -1
		for i, c := range columns {
			if c.shorten && c.width > max(least, text.StringWidth(c.name)) && (widest < 0 || c.width > columns[widest].width) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		columns[widest].width--
	}
}

// dropLast leaves out the last of the columns that may be, and reports whether there was one.
func dropLast(columns *[]tableColumn, lines [][]string, may func(tableColumn) bool) bool {
	list := *columns
	for i := len(list) - 1; i >= 0; i-- {
		if !may(list[i]) {
			continue
		}
		*columns = append(list[:i:i], list[i+1:]...)
		for k, line := range lines {
			if i < len(line) {
				lines[k] = append(line[:i:i], line[i+1:]...)
			}
		}
		return true
	}
	return false
}

// middle returns s in at most so many columns, with an ellipsis in the place of its middle: both
// ends of a path say what it is.
func middle(s string, width int) string {
	if text.StringWidth(s) <= width {
		return s
	}
	runes := []rune(s)
	keep := width - 1
	head, tail := 0, len(runes)
	for used := 0; head < tail; {
		fromTail := 2*head >= len(runes)-tail // the end of a path says more
		at := head
		if fromTail {
			at = tail - 1
		}
		if used += text.RuneWidth(runes[at]); used > keep {
			break
		}
		if fromTail {
			tail--
		} else {
			head++
		}
	}
	return string(runes[:head]) + "…" + string(runes[tail:])
}
