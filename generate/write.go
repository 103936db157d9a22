package generate

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Output says how Write writes. The zero value is CSV with a header.
type Output struct {
	Format Format

	// NoHeader leaves out the line of column names that begins a CSV file. The text
	// format has none.
	NoHeader bool

	// Progress, unless nil, counts what is written.
	Progress *Progress
}

func (o Output) header() bool { return o.Format == CSV && !o.NoHeader }

// Progress counts what Write has written so far, for a display to poll.
type Progress struct {
	Rows  atomic.Int64
	Bytes atomic.Int64
}

// Write writes companies.csv, campaigns.csv, ads.csv and last the manifest into
// dir, which it makes if it has to. The bytes do not depend on the number of
// goroutines, and memory is two blocks for each of them, whatever the size.
//
// A file appears whole or not at all, and the manifest only when all are there. A
// dataset that stood in dir loses its manifest first, so that no manifest is ever
// beside files that it does not describe. If ctx ends, Write does so within a
// block, with its error.
func (d *Dataset) Write(ctx context.Context, dir string, out Output) (Manifest, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Manifest{}, fileError(dir, err)
	}
	old := filepath.Join(dir, ManifestName)
	if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Manifest{}, fileError(old, err)
	}
	m := d.manifest(out)
	for k := range kinds {
		f, err := d.table(k).write(ctx, dir, out)
		if err != nil {
			return Manifest{}, err
		}
		m.Files = append(m.Files, f)
	}
	if err := m.write(dir); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// write writes the table's file into dir.
func (t *Table) write(ctx context.Context, dir string, out Output) (File, error) {
	f := File{Name: t.Name() + ".csv", Table: t.Name(), Rows: t.Rows()}
	err := writeFile(filepath.Join(dir, f.Name), func(w io.Writer) error {
		sum := newDigest(w)
		err := t.stream(ctx, sum, out)
		f.Bytes, f.SHA256 = sum.bytes, sum.sha256()
		return err
	})
	return f, err
}

// stream writes the table to w. Goroutine g of n makes blocks g, g+n, g+2n and so
// on, each into one of its own two buffers, and one more writes them in order.
func (t *Table) stream(ctx context.Context, w io.Writer, out Output) error {
	progress := out.Progress
	if progress == nil {
		progress = new(Progress)
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if out.header() {
		n, err := io.WriteString(w, strings.Join(t.Header(), ",")+"\n")
		if err != nil {
			return err
		}
		progress.Bytes.Add(int64(n))
	}
	g, ctx := errgroup.WithContext(ctx)
	makers := make([]maker, min(int64(t.d.cfg.Procs), t.Len()))
	for i := range makers {
		m := maker{made: make(chan []byte, 2), free: make(chan []byte, 2)}
		m.free <- nil
		m.free <- nil
		makers[i] = m
		g.Go(func() error { return m.run(ctx, t, out.Format, int64(i), int64(len(makers))) })
	}
	g.Go(func() error { return t.collect(ctx, w, makers, progress) })
	return g.Wait()
}

// collect writes the blocks of makers to w, in order.
func (t *Table) collect(ctx context.Context, w io.Writer, makers []maker, progress *Progress) error {
	for i := range t.Len() {
		m := makers[i%int64(len(makers))]
		buf, err := receive(ctx, m.made)
		if err != nil {
			return err
		}
		n, err := w.Write(buf)
		progress.Bytes.Add(int64(n))
		if err != nil {
			return err
		}
		progress.Rows.Add(t.BlockRows(i))
		m.free <- buf // one of two, in a channel for two
	}
	return nil
}

// A maker is a goroutine that makes blocks, and its two buffers.
type maker struct {
	made, free chan []byte
}

func (m maker) run(ctx context.Context, t *Table, format Format, first, step int64) error {
	for i := first; i < t.Len(); i += step {
		buf, err := receive(ctx, m.free)
		if err != nil {
			return err
		}
		m.made <- t.appendBlock(buf[:0], i, &t.d.dialects[format]) // one of two, in a channel for two
	}
	return nil
}

func receive(ctx context.Context, ch <-chan []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx) // select picks any case that is ready
	}
	select {
	case buf := <-ch:
		return buf, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
