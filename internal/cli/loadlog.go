package cli

import (
	"context"
	"log/slog"
	"strings"
)

// loadLog returns where the loader says what is worth knowing: the conversation.
func (c *console) loadLog() *slog.Logger { return slog.New(noteHandler{c: c}) }

// waitLog returns where it is said what a statement of any other command waits for. That it
// takes long is no news.
func (c *console) waitLog() *slog.Logger { return slog.New(noteHandler{c: c, least: slog.LevelWarn}) }

// A noteHandler makes notes of log records, a line each.
type noteHandler struct {
	c     *console
	least slog.Level // of what is noted
	attrs []slog.Attr
}

func (h noteHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.least }

func (h noteHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	sep := ": "
	add := func(attr slog.Attr) bool {
		text := attr.Value.String()
		if err, ok := attr.Value.Any().(error); ok {
			if told, ok := describeServer(err); ok {
				text = strings.TrimSuffix(told, nameAnother)
			} else {
				text = typed(text, err)
			}
		}
		if attr.Key != "error" {
			text = attr.Key + " " + text
		}
		b.WriteString(sep + strings.Join(strings.Fields(text), " ")) // a line each
		sep = ", "
		return true
	}
	for _, attr := range h.attrs {
		add(attr)
	}
	r.Attrs(add)
	h.c.note("%s", b.String())
	return nil
}

func (h noteHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return noteHandler{h.c, h.least, append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

func (h noteHandler) WithGroup(string) slog.Handler { return h }
