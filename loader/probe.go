package loader

import (
	"context"
	"errors"
	"log/slog"

	"shardload/internal/input"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/store"
)

// A beginning is an input that is open, and of which it is known how and where it goes. Nothing
// of it is stored.
type beginning struct {
	ld    *load
	first *input.Chunk // nil if the input has not a single byte
	ask   *decode.Asker
	route Route
}

// begin opens in, and reads its beginning, or returns what it was when probe had done so. After
// an error nothing is open.
func begin(ctx context.Context, l *Loader, in Input, c *store.Counts, log *slog.Logger) (b *beginning, err error) {
	if b := l.begun[in.name]; b != nil && !in.repeats {
		delete(l.begun, in.name)
		c.Read.Add(b.ld.Read.Load())
		b.ld.Counts = c
		return b, nil
	}
	b = &beginning{ld: l.newLoad(in, c)}
	b.ld.log = log
	if b.ld.feed, err = l.open(ctx, in); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(countRows(b.ld.feed, err), b.close())
			b = nil
		}
	}()
	if b.first, err = b.ld.first(ctx, in); err != nil || b.first == nil {
		return b, err
	}
	return b, b.settle(ctx)
}

// settle finds out whether the first record is one, and which way rows go.
func (b *beginning) settle(ctx context.Context) (err error) {
	l := b.ld.l
	b.ask = decode.NewAsker(l.target, l.nodes.First().Connect, l.cfg.sentEncoding())
	if err := b.ld.checkGuess(ctx, b.first, b.ask); err != nil {
		return err
	}
	b.route, err = b.ld.chooseFor(ctx, b.first, b.ask)
	return err
}

// close closes the input.
func (b *beginning) close() error {
	if b.ask != nil {
		b.ask.Close()
	}
	return b.ld.feed.Close()
}

// probe reports what would stop the load of in before its first row. An input that can be read
// only once stays open for Load, or until the Loader is closed.
func probe(ctx context.Context, l *Loader, in Input) error {
	if in.set != nil {
		return probeSet(ctx, l, in)
	}
	log := slog.New(slog.DiscardHandler) // Load says it
	if !in.repeats {
		log = l.cfg.Log
	}
	b, err := begin(ctx, l, in, &store.Counts{}, log)
	if err != nil {
		return err
	}
	if in.repeats {
		return b.close()
	}
	if l.begun == nil {
		l.begun = begun{}
	}
	l.begun[in.name] = b
	return nil
}

// probeSet is probe for a set, of which its first parts are looked at. What is wrong with others does
// not stop those that are right.
func probeSet(ctx context.Context, l *Loader, in Input) error {
	parts, err := in.set.list(ctx, l.cfg.reading().Access)
	if err != nil {
		return err
	}
	for _, p := range parts[:min(len(parts), probed)] {
		part := in.set.part(p.Name)
		as, err := loaderAs(l, part.format)
		if err == nil {
			err = probe(ctx, as, part)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// probed is how many parts of a set are looked at before a table is emptied.
const probed = 16

// begun has inputs that can be read only once and were probed, by name.
type begun map[string]*beginning

// close closes those that were not loaded.
func (list begun) close() error {
	var err error
	for _, b := range list {
		err = errors.Join(err, b.close())
	}
	clear(list)
	return err
}
