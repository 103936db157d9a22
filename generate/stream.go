package generate

import (
	"context"
	"io"
	"strings"

	"golang.org/x/sync/errgroup"

	"shardload/internal/checksum"
)

// A parcel is a block on its way into a file.
type parcel struct {
	data    []byte // as it is stored
	plain   int64  // its bytes before they were packed
	damaged []damaged
}

// Stream writes the table to w as Write writes it to a file, and says what it
// wrote, without a name. Of out it heeds what a file's bytes are made of.
func (t *Table) Stream(ctx context.Context, w io.Writer, out Output) (File, error) {
	out = out.withDefaults()
	if err := out.Compression.validate(out.Format); err != nil {
		return File{}, err
	}
	return t.stream(ctx, w, nil, out)
}

// stream writes the table to w, and to list, unless that is nil, which records are
// damaged. Goroutine g of n makes blocks g, g+n, g+2n and so on, each in one of its
// own two parcels, and one more writes them in order.
func (t *Table) stream(ctx context.Context, w, list io.Writer, out Output) (File, error) {
	if err := ctx.Err(); err != nil {
		return File{}, context.Cause(ctx)
	}
	if out.Format == Parquet {
		return t.streamParquet(ctx, w, out)
	}
	s := newSink(t, w, list, out)
	if err := s.header(); err != nil {
		return File{}, err
	}
	g, ctx := errgroup.WithContext(ctx)
	makers := make([]maker, min(int64(t.d.cfg.Procs), t.Len()))
	for i := range makers {
		m, err := newMaker(t, out)
		if err != nil {
			return File{}, err
		}
		makers[i] = m
		g.Go(func() error { return m.run(ctx, int64(i), int64(len(makers))) })
	}
	g.Go(func() error { return s.collect(ctx, makers) })
	if err := g.Wait(); err != nil {
		return File{}, err
	}
	return s.file(makers), nil
}

// roomForBlock is more than a block of any table has as a rule, in bytes, so that
// no buffer has to grow.
const roomForBlock = blockRows * 250

// A maker is a goroutine that makes blocks, and its two parcels.
type maker struct {
	printer
	pack       packer // nil where nothing is packed
	rows       []byte // that are packed next
	made, free chan *parcel
}

func newMaker(t *Table, out Output) (maker, error) {
	m := maker{
		printer: printer{t: t, form: &t.d.dialects[out.Format]},
		made:    make(chan *parcel, 2),
		free:    make(chan *parcel, 2),
	}
	if !out.NoChecksums {
		m.sums = checksum.NewAccumulator(t.Header())
	}
	var err error
	if m.pack, err = out.Compression.newPacker(); err != nil {
		return m, err
	}
	for range cap(m.free) {
		p := new(parcel)
		if m.pack == nil {
			p.data = make([]byte, 0, roomForBlock)
		}
		m.free <- p
	}
	return m, nil
}

func (m *maker) run(ctx context.Context, first, step int64) error {
	for i := first; i < m.t.Len(); i += step {
		p, err := receive(ctx, m.free)
		if err != nil {
			return err
		}
		if err := m.fill(p, i); err != nil {
			return err
		}
		m.made <- p // one of two, in a channel for two
	}
	return nil
}

// fill puts block i into p.
func (m *maker) fill(p *parcel, i int64) (err error) {
	m.damaged = p.damaged
	if m.pack == nil {
		p.data = m.appendBlock(p.data[:0], i)
		p.plain = int64(len(p.data))
	} else {
		m.rows = m.appendBlock(m.rows[:0], i)
		p.plain = int64(len(m.rows))
		p.data, err = m.pack(p.data[:0], m.rows)
	}
	p.damaged = m.damaged
	return err
}

func receive[P any](ctx context.Context, ch <-chan *P) (*P, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx) // select picks any case that is ready
	}
	select {
	case p := <-ch:
		return p, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// A sink takes a table's blocks in their order, and counts them.
type sink struct {
	t        *Table
	out      Output
	digest   *digest
	list     *damageList // nil where nothing is damaged
	progress *Progress
	records  int64
	plain    int64 // bytes before they are packed
}

func newSink(t *Table, w, list io.Writer, out Output) *sink {
	s := &sink{t: t, out: out, digest: newDigest(w, !out.NoChecksums), progress: out.Progress}
	if s.progress == nil {
		s.progress = new(Progress)
	}
	if t.d.flaws.any() {
		s.list = newDamageList(list, t.Header())
	}
	return s
}

func (s *sink) header() error {
	if !s.out.header() {
		return nil
	}
	pack, err := s.out.Compression.newPacker()
	if err != nil {
		return err
	}
	line := []byte(strings.Join(s.t.Header(), ",") + "\n")
	p := &parcel{data: line, plain: int64(len(line))}
	if pack != nil {
		if p.data, err = pack(nil, line); err != nil {
			return err
		}
	}
	return s.write(p, 0)
}

// collect writes the blocks of makers.
func (s *sink) collect(ctx context.Context, makers []maker) error {
	for i := range s.t.Len() {
		m := &makers[i%int64(len(makers))]
		p, err := receive(ctx, m.made)
		if err != nil {
			return err
		}
		if err := s.write(p, s.t.BlockRows(i)); err != nil {
			return err
		}
		m.free <- p // one of two, in a channel for two
	}
	return nil
}

func (s *sink) write(p *parcel, records int64) error {
	n, err := s.digest.Write(p.data)
	s.progress.Bytes.Add(int64(n))
	if err != nil {
		return err
	}
	if s.list != nil {
		first := s.records + 1
		if s.out.header() {
			first++
		}
		if err := s.list.add(first, p.damaged); err != nil {
			return err
		}
	}
	s.records += records
	s.plain += p.plain
	s.progress.Rows.Add(records)
	return nil
}

// file says what was written.
func (s *sink) file(makers []maker) File {
	f := File{Table: s.t.Name(), Rows: s.records, Bytes: s.digest.bytes, CRC32C: s.digest.crc32c(), SHA256: s.digest.sha256()}
	if s.out.Compression != Uncompressed {
		f.Unpacked = s.plain
	}
	if s.list != nil {
		f.Dirty = s.list.summary()
	}
	if !s.out.NoChecksums {
		sums := checksum.NewAccumulator(s.t.Header())
		for i := range makers {
			sums.Merge(makers[i].sums)
		}
		f.Checksums = checksumsOf(sums.Table())
	}
	return f
}
