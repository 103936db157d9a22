package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	xterm "golang.org/x/term"

	"shardload/internal/term"
)

// All that the command writes passes through this file. What people read is escaped by
// internal/term, argument by argument; a test holds that no other file writes.

// A console is where a verb gives its answer and talks to the user: the process's streams,
// and the global flags that say how.
type console struct {
	Env
	json  bool
	quiet bool
}

// printJSON prints v as the answer, in one document.
func (c *console) printJSON(v any) error {
	var doc bytes.Buffer
	enc := json.NewEncoder(&doc)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := raw(c.Stdout).Write(term.JSON(doc.Bytes()))
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
	_, _ = io.WriteString(c.Stderr, term.Sprintf(format, args...)) // nobody is there to be told of the error
}

// tellError prints what describe says of an error, which has line breaks of its own.
func (c *console) tellError(text string) { _, _ = io.WriteString(c.Stderr, "shardload: "+text+"\n") }

// note tells the user something that is no answer and no error.
func (c *console) note(format string, args ...any) {
	if false {
		_ = fmt.Sprintf(format, args...)
	}
	if c.quiet {
		return
	}
	line := term.Sprintf(format, args...) + "\n"
	if isTerminal(c.Stderr) {
		line = clearLine + line // there may be a progress bar on the line
	}
	_, _ = io.WriteString(raw(c.Stderr), line)
}

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

// clearLine makes the terminal's current line empty.
const clearLine = "\r\x1b[2K"

// redraw makes line, which has no control characters, the terminal's current line.
func redraw(w io.Writer, line string) { _, _ = io.WriteString(w, clearLine+line) }

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

// printTable writes a table with a head and one line a row; columns whose head
// begins with ">" are aligned right. A row of nil is a line across.
func printTable(w io.Writer, head []string, rows [][]string) error {
	t := table.NewWriter()
	style := table.StyleLight
	style.Format.Header = text.FormatDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Options.SeparateHeader = true
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	names := make(table.Row, len(head))
	configs := make([]table.ColumnConfig, len(head))
	for i, name := range head {
		name, right := strings.CutPrefix(name, ">")
		configs[i].Number = i + 1
		if right {
			configs[i].Align, configs[i].AlignHeader = text.AlignRight, text.AlignRight
		}
		names[i] = term.Line(name)
	}
	t.AppendHeader(names)
	t.SetColumnConfigs(configs)
	for _, row := range rows {
		if row == nil {
			t.AppendSeparator()
			continue
		}
		cells := make(table.Row, len(row))
		for i, cell := range row {
			cells[i] = term.Line(cell)
		}
		t.AppendRow(cells)
	}
	t.SuppressTrailingSpaces()
	_, err := io.WriteString(w, t.Render()+"\n")
	return err
}

// Numbers as people read them.

func count(n int64) string { return humanize.Comma(n) }

// plural returns "1 row", "2,000 rows".
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "x") { // index
		noun += "e"
	}
	return count(n) + " " + noun + "s"
}

func size(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }

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
