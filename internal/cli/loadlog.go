package cli

import (
	"context"
	"log/slog"
	"strings"
)

// loadLog returns where the loader says what is worth knowing: the conversation.
func (a *app) loadLog() *slog.Logger { return slog.New(noteHandler{a: a}) }

// A noteHandler makes notes of log records, a line each.
type noteHandler struct {
	a     *app
	attrs []slog.Attr
}

func (h noteHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

func (h noteHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	sep := ": "
	add := func(attr slog.Attr) bool {
		text := attr.Value.String()
		if err, ok := attr.Value.Any().(error); ok {
			if told, ok := describeServer(err); ok {
				text = strings.TrimSuffix(told, nameAnother)
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
	h.a.note("%s", b.String())
	return nil
}

func (h noteHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return noteHandler{h.a, append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

func (h noteHandler) WithGroup(string) slog.Handler { return h }
