package cli

import (
	"strings"
	"time"

	"shardload/internal/term"
	"shardload/loader/waiting"
)

// A waitView is what is waited for, as a bar says it.
type waitView struct{ waiting.Wait }

// waitNow returns what is waited for, nil for nothing.
func waitNow(waits *waiting.Waits) *waitView {
	if w, ok := waits.Now(); ok {
		return &waitView{w}
	}
	return nil
}

// short says what is waited for, the time first: a narrow terminal shows no more.
func (w *waitView) short(now time.Time) string {
	switch {
	case w.Next.IsZero():
		return "waiting " + span(now.Sub(w.Since)) + " for " + w.what()
	case w.Next.After(now):
		return "next try in " + span(w.Next.Sub(now)) + ": " + w.what()
	}
	return "trying again: " + w.what()
}

// long adds when it is given up.
func (w *waitView) long(now time.Time) string {
	if w.Until.IsZero() {
		return w.short(now)
	}
	return w.short(now) + "; giving up in " + span(w.Until.Sub(now))
}

// what says what is waited for: with an error the server that has it.
func (w *waitView) what() string {
	text := w.For
	if told, ok := describeServer(w.Err); ok {
		text = strings.TrimSuffix(strings.TrimSuffix(told, nameAnother), "; is PostgreSQL running there?")
		text, _, _ = strings.Cut(text, "; ") // what to do stands in the log
	}
	if text == "" && w.Err != nil {
		text = w.Err.Error()
	}
	return term.Line(strings.Join(strings.Fields(text), " "))
}
