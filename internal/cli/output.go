package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	xterm "golang.org/x/term"

	"shardload/internal/term"
	"shardload/loader/waiting"
)

// All that the command writes passes through this file. What people read is escaped by
// internal/term, argument by argument; a test holds that no other file writes.

// A console is where a verb gives its answer and talks to the user: the process's streams,
// and the global flags that say how.
type console struct {
	Env
	json  bool
	quiet bool
	live  liveLine
	waits waiting.Waits // what the command waits for

	progressAs progressWay

	answer any // for --json, when the command ends
}

// printDocument prints the one document of --json.
func (c *console) printDocument(doc []byte) error {
	_, err := raw(c.Stdout).Write(term.JSON(doc))
	return err
}

// data returns where data goes that is no text for people: rows for a pipe, SQL. On
// a terminal it is text after all.
func (c *console) data() io.Writer {
	if isTerminal(c.Stdout) {
		return c.Stdout
	}
	return raw(c.Stdout)
}

// printf prints a piece of the answer. Line breaks are the format's alone.
func (c *console) printf(format string, args ...any) error {
	if false {
		_ = fmt.Sprintf(format, args...) // so that go vet checks the callers' formats
	}
	_, err := io.WriteString(c.Stdout, term.Sprintf(format, args...))
	return err
}

// tell prints a piece of the conversation that --quiet does not silence.
func (c *console) tell(format string, args ...any) {
	if false {
		_ = fmt.Sprintf(format, args...)
	}
	text := term.Sprintf(format, args...)
	if !c.tellAsEvent(text) {
		c.say(raw(c.Stderr), text)
	}
}

// tellJSON writes a line for programs.
func (c *console) tellJSON(line []byte) { _, _ = raw(c.Stderr).Write(append(term.JSON(line), '\n')) }

// tellError prints what describe says of an error, which has line breaks of its own.
func (c *console) tellError(text string) { c.say(c.Stderr, "shardload: "+text+"\n") }

// note tells the user something that is no answer and no error.
func (c *console) note(format string, args ...any) {
	if false {
		_ = fmt.Sprintf(format, args...)
	}
	if c.quiet {
		return
	}
	line := term.Sprintf(format, args...) + "\n"
	if c.tellAsEvent(line) {
		return
	}
	c.say(raw(c.Stderr), line)
}

// say writes text to w, which is standard error, in place of a bar that is there.
func (c *console) say(w io.Writer, text string) {
	c.live.instead(c.clearBar, func() {
		_, _ = io.WriteString(w, text) // nobody is there to be told of the error
	})
}

// clearBelow removes what stands from the terminal's current line on.
const clearBelow = "\r\x1b[J"

// dontWrap and wrap say that the terminal goes on in the next line after its last column, or not:
// it may have become narrower since it was asked for its width.
const (
	dontWrap = "\x1b[?7l"
	wrap     = "\x1b[?7h"
)

// drawBar draws a bar, which has no control characters and fits into the terminal's line. The
// cursor stays before it: what is written next is written over it, and a terminal that becomes
// narrower, and breaks the line, leaves the cursor before all of it.
func (c *console) drawBar(bar string) {
	_, _ = io.WriteString(raw(c.Stderr), dontWrap+clearBelow+bar+"\r"+wrap)
}

// clearBar removes it.
func (c *console) clearBar() { _, _ = io.WriteString(raw(c.Stderr), clearBelow) }

// raw returns what is behind the writer that escapes.
func raw(w io.Writer) io.Writer {
	if safe, ok := w.(*term.Writer); ok {
		return safe.Raw()
	}
	return w
}

// A sharedWriter lets goroutines write in turn.
type sharedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *sharedWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// isTerminal reports whether f, a reader or writer, is a terminal.
func isTerminal(f any) bool {
	fd, ok := descriptor(f)
	return ok && xterm.IsTerminal(fd)
}

// descriptor returns that of the file to which f, a reader or writer, leads.
func descriptor(f any) (fd int, ok bool) {
	switch w := f.(type) {
	case *term.Writer:
		return descriptor(w.Raw())
	case *sharedWriter:
		return descriptor(w.w)
	case interface{ Fd() uintptr }:
		return int(w.Fd()), true
	}
	return 0, false
}

// terminalWidth returns how many columns f has, which is a terminal.
func terminalWidth(f any) int {
	const usual = 80
	fd, ok := descriptor(f)
	if !ok {
		return usual
	}
	width, _, err := xterm.GetSize(fd)
	if err != nil || width <= 0 {
		return usual
	}
	return width
}

// printTable writes a table with a head and one line a row, as wide as the reader's screen at
// most: see parseColumn for the marks that a head has. A row of nil is a line across.
func printTable(w io.Writer, head []string, rows [][]string) error {
	columns, lines := fitTable(head, rows, tableWidth(w))
	t := table.NewWriter()
	style := table.StyleLight
	style.Format.Header = text.FormatDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Options.SeparateHeader = true
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	names := make(table.Row, len(columns))
	configs := make([]table.ColumnConfig, len(columns))
	for i, c := range columns {
		configs[i].Number = i + 1
		if c.right {
			configs[i].Align, configs[i].AlignHeader = text.AlignRight, text.AlignRight
		}
		if c.wrap {
			configs[i].WidthMax, configs[i].WidthMaxEnforcer = c.width, text.WrapSoft
		}
		names[i] = c.name
	}
	t.AppendHeader(names)
	t.SetColumnConfigs(configs)
	for _, line := range lines {
		if line == nil {
			t.AppendSeparator()
			continue
		}
		cells := make(table.Row, len(line))
		for i, cell := range line {
			cells[i] = cell
		}
		t.AppendRow(cells)
	}
	t.SuppressTrailingSpaces()
	_, err := io.WriteString(w, t.Render()+"\n")
	return err
}

// tableWidth returns how many columns a table on w may have: those of the terminal, or as many as
// COLUMNS says, as with other programs.
func tableWidth(w io.Writer) int {
	if isTerminal(w) {
		return terminalWidth(w)
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	return usualWidth
}

// Numbers as people read them.

func count(n int64) string { return humanize.Comma(n) }

// plural returns "1 row", "2,000 rows".
func plural(n int64, noun string) string { return term.Plural(n, noun) }

func size(n int64) string { return term.Bytes(max(n, 0)) }

// rate returns n per second, 0 where no time has passed.
func rate(n int64, d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	return int64(float64(n) / d.Seconds())
}

// seconds returns "0.42 s", "12.3 s", "3 min 5 s".
func seconds(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d < 100*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	d = d.Round(time.Second)
	return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
}
