package input

import (
	"context"
	"errors"
	"fmt"
	"io"

	"shardload/internal/ledger"
	"shardload/internal/pgcsv"
	"shardload/loader/failure"
)

// An ofSource is what feeds of a Source's bytes have in common.
type ofSource struct {
	src    *Source
	number int64 // of the next chunk
	place  ledger.Place
}

func newOfSource(src *Source) ofSource { return ofSource{src: src, place: ledger.Place{Line: 1}} }

// chunk returns the next chunk, which has these data, in lines that end so.
func (f *ofSource) chunk(data []byte, eol pgcsv.EOL) *Chunk {
	c := &Chunk{
		Number: f.number, Line: f.place.Line, Offset: f.place.Offset, Data: data, EOL: eol,
		Size: int64(len(data)), Lines: pgcsv.Lines(data, eol),
	}
	f.number++
	f.place.Offset += c.Size
	f.place.Line += c.Lines
	return c
}

// readTo is SkipTo of feed where nothing else can be done than to read what is in front.
func (f *ofSource) readTo(ctx context.Context, feed Feed, number int64, place ledger.Place, passed func(*Chunk)) error {
	for buf := []byte(nil); f.number < number; {
		c, err := feed.Next(ctx, buf)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		passed(c)
		buf = c.Data
	}
	if f.number != number || f.place.Offset != place.Offset || f.place.Line != place.Line {
		return fmt.Errorf("%s: is not the input that an earlier run has begun to load: it ends or is cut elsewhere; "+
			"give that one, or "+failure.Beside+", or "+failure.Anew, f.src.Name)
	}
	return nil
}

func (f *ofSource) Plain() bool { return f.src.Plain() }

func (f *ofSource) ReadAt(p []byte, offset int64) error {
	_, err := f.src.ReadAt(p, offset)
	return err
}

func (f *ofSource) Ends(size int64) (head, tail string, err error) { return f.src.FingerprintTo(size) }

func (f *ofSource) Touched() (touched, timeTells bool, err error) {
	touched, err = f.src.Touched()
	stat, _ := f.src.Stat()
	return touched, stat.TimeTells, err
}

func (f *ofSource) Fingerprint(first *Chunk) (ledger.Fingerprint, error) {
	head, tail, isFile, err := f.src.Fingerprint()
	if err != nil {
		return ledger.Fingerprint{}, err
	}
	lines, err := f.lines(first)
	if err != nil {
		return ledger.Fingerprint{}, err
	}
	if isFile {
		print := ledger.Fingerprint{Size: f.src.Size, Head: head, Tail: tail, Lines: lines}
		if f.src.Plain() {
			print.Unit = ledger.Bytes
		}
		stat, _ := f.src.Stat()
		print.Hints = stat.hints()
		return print, nil
	}
	return ledger.Fingerprint{Size: -1, Head: hashOf(first.Raw()), Lines: lines}, nil
}

func (f *ofSource) Far() (done, total int64) { return f.src.BytesRead(), f.src.Size }

func (f *ofSource) Close() error { return f.src.Close() }

func (f *ofSource) BehindBreak(end ledger.Place) (ledger.Place, error) {
	around := make([]byte, 3)
	n, err := f.src.ReadAt(around, end.Offset-1)
	if err != nil && !errors.Is(err, io.EOF) {
		return end, err
	}
	around = around[:n]
	switch {
	case n > 0 && (around[0] == '\n' || around[0] == '\r' && (n == 1 || around[1] != '\n')):
		return end, nil
	case n > 2 && around[1] == '\r' && around[2] == '\n':
		end.Offset += 2
	case n > 1 && (around[1] == '\n' || around[1] == '\r'):
		end.Offset++
	default:
		return end, ErrGoesOn
	}
	end.Line++
	return end, nil
}
