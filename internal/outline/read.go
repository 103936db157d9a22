package outline

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"sync"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"shardload/internal/fault"
	"shardload/internal/infer"
	"shardload/internal/input"
	"shardload/internal/pgcsv"
	"shardload/loader/failure"
)

// A reader reads all inputs.
type reader struct {
	cfg      Config
	utf8     bool // the inputs are
	progress *Progress

	keys              []string        // of all records of JSON
	nested            map[string]bool // keys, or columns of the first Parquet file, with values that are
	names             []string        // of the columns, nil before the first record
	namedBy           string          // the file that has them
	binary            []string        // columns that are found to hold bytes
	numbered, guessed bool
	workers           []*worker

	chunks chan work
	free   chan []byte
	bad    firstBad
}

// A work is a chunk to be looked at.
type work struct {
	*input.Chunk
	of    *layout
	order int64           // of the chunk among all
	read  *sync.WaitGroup // of the chunks of its input, which may read it still
}

// firstBad keeps what is wrong with the first of the chunks at fault, whichever goroutine
// comes to it first. Whatever is before such a chunk has been given out, and is read.
type firstBad struct {
	mu    sync.Mutex
	order int64
	err   error
}

func (b *firstBad) set(order int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil || order < b.order {
		b.order, b.err = order, err
	}
}

func (b *firstBad) get() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// readAll gives the chunks of all inputs to the workers.
func (r *reader) readAll(ctx context.Context) error {
	r.chunks = make(chan work)
	r.free = make(chan []byte, 2*r.cfg.Procs+1)
	for range cap(r.free) {
		r.free <- nil
	}
	r.workers = make([]*worker, r.cfg.Procs)
	var g errgroup.Group
	for i := range r.workers {
		r.workers[i] = newWorker(r)
		g.Go(func() error {
			r.workers[i].work()
			return nil
		})
	}
	err := r.giveOut(ctx)
	close(r.chunks)
	_ = g.Wait() // they have none of their own
	return cmp.Or(r.bad.get(), err)
}

// giveOut reads the inputs one after the other, until a record is bad.
func (r *reader) giveOut(ctx context.Context) error {
	order := int64(0)
	for _, file := range r.cfg.Files {
		if err := r.giveOutFile(ctx, file, &order); err != nil || r.bad.get() != nil {
			return err
		}
	}
	return nil
}

func (r *reader) giveOutFile(ctx context.Context, file string, order *int64) (err error) {
	feed, done, err := r.open(ctx, file)
	if err != nil {
		return err
	}
	var read sync.WaitGroup
	defer func() {
		read.Wait()
		done()
		err = errors.Join(err, feed.Close())
	}()
	var lay *layout
	for ; r.bad.get() == nil; *order++ {
		c, err := feed.Next(ctx, <-r.free)
		switch {
		case ended(err):
			r.free <- nil
			return r.nameEmpty(file, feed, lay)
		case err != nil:
			return err
		}
		if lay == nil {
			if lay, err = r.layout(file, feed, c); err != nil {
				return err
			}
		}
		read.Add(1)
		r.chunks <- work{c, lay, *order, &read}
	}
	return nil
}

// nameEmpty takes the columns of an input that has no records, but says itself what they are.
func (r *reader) nameEmpty(file string, feed input.Feed, lay *layout) error {
	if _, ok := feed.(input.Typing); !ok || lay != nil {
		return nil
	}
	_, err := r.layout(file, feed, nil)
	return err
}

// begin prepares the workers for the columns, before the first chunk is given out.
func (r *reader) begin() {
	for _, w := range r.workers {
		w.columns = infer.NewColumns(len(r.names))
	}
}

// checkValue refuses what no column takes.
func (r *reader) checkValue(v []byte) error {
	if bytes.IndexByte(v, 0) >= 0 {
		return errors.New("holds a zero byte, which no text in PostgreSQL can")
	}
	if r.utf8 && !utf8.Valid(v) {
		return fault.Advise(errors.New("is not valid UTF-8"), "if the input is in another encoding, name it in Config.Encoding")
	}
	return nil
}

// A worker looks at the values of chunks. It stays with one goroutine.
type worker struct {
	r       *reader
	columns []infer.Column

	transcript input.Transcript
	scan       pgcsv.Scanner
	fields     []pgcsv.Field
	scratch    []byte
}

func newWorker(r *reader) *worker {
	w := &worker{r: r}
	w.scan.SetDialect(r.cfg.Reading.Dialect)
	return w
}

// work takes chunks until there are no more.
func (w *worker) work() {
	for c := range w.r.chunks {
		if err := w.chunk(c); err != nil {
			w.r.bad.set(c.order, err)
		}
		c.read.Done()
		w.r.free <- c.Buffer()
	}
}

// chunk looks at the records of a chunk.
func (w *worker) chunk(c work) error {
	if _, err := c.Fill(&w.transcript); err != nil {
		return err
	}
	c.Behind(c.Skipped)
	n := int64(0)
	w.scan.Reset(c.Data, c.EOL, c.Line)
	for i := 0; w.scan.Next(); i++ {
		if i == 0 && c.Number == 0 && c.of.header {
			continue
		}
		column, err := w.record(c, i)
		if err != nil {
			line := c.Line + c.Origin(i, w.scan.Line()-c.Line, 0, 0).Line
			return &failure.RowError{File: c.of.file, Line: line, Column: column, Err: err}
		}
		n++
	}
	w.r.progress.records.Add(n)
	w.r.progress.bytes.Add(int64(len(c.Data)))
	return nil
}

// record looks at the values of the record of that number on which the scanner stands. It
// refuses what a load would refuse.
func (w *worker) record(c work, i int) (column string, err error) {
	if f := c.Fault(i); f != nil {
		return f.Column, f.Err
	}
	if err := w.check(c.of); err != nil {
		return "", err
	}
	raw := w.scan.Record()
	w.scratch = w.scratch[:0]
	for i, f := range w.fields {
		at := c.of.fields[i]
		if c.of.nulls.Is(i, f, raw) {
			w.columns[at].AddNull()
			continue
		}
		var v []byte
		v, w.scratch = f.Value(raw, w.scratch)
		if err := w.r.checkValue(v); err != nil {
			return w.r.names[at], err
		}
		w.columns[at].Add(v)
	}
	return "", nil
}

// check finds what is no record.
func (w *worker) check(lay *layout) error {
	raw := w.scan.Record()
	w.fields = w.scan.AppendFields(w.fields[:0])
	if pgcsv.IsEnd(raw) {
		if err := w.r.cfg.Reading.Dialect.EndMark(0); err != nil {
			return err
		}
	}
	if len(w.fields) != len(lay.fields) {
		return wrongCount(len(w.fields), len(lay.fields))
	}
	for _, complaint := range []string{w.r.cfg.Reading.Dialect.Complaint(raw), w.scan.LineBreak()} {
		if complaint != "" {
			return errors.New(complaint)
		}
	}
	return nil
}
