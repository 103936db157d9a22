package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// printJSON prints v as the answer, in one document.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.Stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// note tells the user something that is no answer and no error.
func (a *app) note(format string, args ...any) {
	if a.quiet {
		return
	}
	if isTerminal(a.Stderr) {
		format = "\r\x1b[K" + format // there may be a progress bar on the line
	}
	fmt.Fprintf(a.Stderr, format+"\n", args...)
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
	if shared, ok := f.(*sharedWriter); ok {
		return isTerminal(shared.w)
	}
	file, ok := f.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(file.Fd()))
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
		names[i] = name
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
			cells[i] = cell
		}
		t.AppendRow(cells)
	}
	t.SuppressTrailingSpaces()
	_, err := fmt.Fprintln(w, t.Render())
	return err
}

// Numbers as people read them.

func count(n int64) string { return humanize.Comma(n) }

// plural returns "1 row", "2,000 rows".
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
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
