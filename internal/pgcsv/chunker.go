package pgcsv

import (
	"errors"
	"io"

	"shardload/internal/refill"
)

// ChunkSize is the usual length of a chunk in bytes. It is part of what a chunk
// number means: a job that is resumed must cut its input where the first run did.
const ChunkSize = 1 << 20

// ErrAfterEnd reports that data of the text dialect go on after the line that ends them.
var ErrAfterEnd = errors.New(`\. on a line by itself ends the data for PostgreSQL, but more follows; remove the line, or what follows`)

// ErrOpenQuote reports that the input ended inside quotes.
var ErrOpenQuote = errors.New("a quote is left open at the end of the input")

// Unnamed reports whether err is a Chunker's own, which knows no name of the input; the
// others are the reader's.
func Unnamed(err error) bool {
	_, long := errors.AsType[*refill.TooLongError](err)
	_, short := errors.AsType[*SkipError](err)
	return long || short || errors.Is(err, ErrOpenQuote) || errors.Is(err, ErrAfterEnd)
}

// A Chunker cuts a stream into chunks: runs of whole records, about ChunkSize
// bytes each. Where it cuts depends on the stream's bytes alone, not on how they
// arrive. It holds at most one chunk's worth of bytes between calls.
type Chunker struct {
	in      refill.Stream
	format  Format
	rules   rules
	skip    int // lines before the first record, which were not seen yet
	skipped int // their bytes, in the chunk that Next returned last
	eol     EOL
}

// NewChunker returns a Chunker of r that takes no record longer than maxRecord
// bytes for one.
func NewChunker(r io.Reader, maxRecord int) *Chunker {
	return &Chunker{in: refill.New(r, ChunkSize, maxRecord), rules: CSV.Dialect().rules()}
}

// NewChunkerAt returns a Chunker of what follows a chunk that another one of the
// same input has cut, where records end with eol.
func NewChunkerAt(r io.Reader, maxRecord int, eol EOL) *Chunker {
	c := NewChunker(r, maxRecord)
	c.eol = eol
	return c
}

// SetSize changes the usual length of chunks, for tests of what depends on where an
// input is cut.
func (c *Chunker) SetSize(size int) { c.in.Size = size }

// SetDialect changes the dialect, which is CSV otherwise. It must be called before Next.
func (c *Chunker) SetDialect(d Dialect) { c.format, c.rules = d.Format, d.rules() }

// SetSkip says that the first n lines, however they end and whatever is in them, are no
// records. It must be called before Next.
func (c *Chunker) SetSkip(n int) { c.skip = n }

// Skipped returns how many bytes at the beginning of the chunk that Next has returned are
// lines before the first record. The first chunk alone has some.
func (c *Chunker) Skipped() int { return c.skipped }

// EOL returns how records end, EOLUnknown before the first Next.
func (c *Chunker) EOL() EOL { return c.eol }

// Next returns the next chunk, in buf if it is large enough. The chunk's last
// record ends with its line break, except perhaps at the end of the input.
//
// After the last chunk Next returns io.EOF. With ErrOpenQuote, ErrAfterEnd or a
// *refill.TooLongError // it also returns the bytes from the chunk's start, so that the caller can find
// the record at fault: the last one that starts in them. Other errors are the
// reader's.
func (c *Chunker) Next(buf []byte) ([]byte, error) {
	buf = c.in.Begin(buf)
	if err := c.in.Failed(); err != nil {
		return buf[:0], err
	}
	buf, err := c.skipLines(buf)
	if err != nil {
		return buf, err
	}
	data, err := c.cut(buf, c.skipped)
	if err != nil {
		return data, err
	}
	return c.takeEnd(data)
}

// takeEnd takes the line that ends the data, in a dialect that has one, off them if it is
// their last record. Nothing may follow it.
func (c *Chunker) takeEnd(data []byte) ([]byte, error) {
	rest, ended := formats[c.format].cutEnd(data)
	if !ended {
		return data, nil
	}
	switch {
	case c.in.Rest():
		return data, ErrAfterEnd
	case c.in.Failed() != nil:
		return data[:0], c.in.Failed()
	case len(rest) == c.skipped:
		return rest[:0], io.EOF
	}
	return rest, nil
}

// cut ends the chunk at the last record end within size bytes, or, if there is
// none, at the first one behind them. Records begin at base.
func (c *Chunker) cut(buf []byte, base int) ([]byte, error) {
	end := c.lastRecordEnd(buf[base:])
	for from, s := 0, outside; end == 0 && !c.in.Ended(); {
		// A carriage return at the end may be half of a line break that is not known yet,
		// so the search starts one byte early.
		searched := max(len(buf)-base-1, 0)
		longer, err := c.in.More(buf, base)
		if err != nil {
			return buf, err
		}
		s = c.rules.after(buf[base+from:base+searched], s)
		from, buf = searched, longer
		end = c.firstRecordEnd(buf[base:], from, s)
	}
	switch {
	case c.in.Failed() != nil:
		return buf[:0], c.in.Failed()
	case end > 0 && len(buf) >= c.in.Size: // also at the end of the input: how the end arrives must not matter
		return c.in.Cut(buf, base+end), nil
	case len(buf) == base:
		return buf, io.EOF
	case c.rules.after(buf[base:], outside) != outside:
		return buf, ErrOpenQuote
	}
	return buf, nil // the last chunk; the next call finds io.EOF
}

// lastRecordEnd returns the position after the last record that ends in buf; 0 if none
// does.
func (c *Chunker) lastRecordEnd(buf []byte) int {
	if !c.knowEOL(buf, 0, outside) {
		return 0
	}
	return c.rules.lastEnd(buf, c.eol.last())
}

// firstRecordEnd returns the position behind the first record that ends at or
// after from, where the state is s; 0 if none does.
func (c *Chunker) firstRecordEnd(buf []byte, from int, s state) int {
	if !c.knowEOL(buf, from, s) {
		return 0
	}
	return c.rules.firstEnd(buf, from, s, c.eol.last())
}

// knowEOL finds out how records end, if that is not known yet. No record ends before from,
// where the state is s.
func (c *Chunker) knowEOL(buf []byte, from int, s state) bool {
	if c.eol == EOLUnknown {
		c.eol = c.rules.eol(buf, from, s, c.in.Ended())
	}
	return c.eol != EOLUnknown
}
