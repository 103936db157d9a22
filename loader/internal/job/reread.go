package job

import (
	"context"
	"errors"
	"fmt"
	"io"

	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/lane"
)

// A rereading reads an input a second time, as the load does, to see whether it is what
// it was.
type rereading struct {
	in    *Input
	feed  input.Bytes
	place ledger.Place
	buf   []byte
}

// reread opens the input once more. It begins where the job does that began at from, or
// at the beginning if from is nil. The limit bytes from there on are all there is,
// unless it is less than zero.
func (p *rereader) reread(ctx context.Context, from *ledger.Place, limit int64) (*rereading, error) {
	opened, err := p.In.Open(ctx)
	if err != nil {
		return nil, err
	}
	feed, csv := opened.(input.Bytes)
	if !csv {
		return nil, errors.Join(errors.New("the input has no bytes to compare"), opened.Close())
	}
	r := &rereading{in: p.In, feed: feed, place: ledger.Place{Line: 1, Sum: ledger.SumOf(p.In.Header)}}
	if err := r.begin(ctx, from); err != nil {
		return nil, errors.Join(err, feed.Close())
	}
	if limit >= 0 {
		feed.Limit(limit)
	}
	return r, nil
}

// begin goes to from.
func (r *rereading) begin(ctx context.Context, from *ledger.Place) (err error) {
	if from == nil {
		return nil
	}
	// How records end is found out in the first ones.
	if _, err = r.feed.Next(ctx, nil); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	r.place = *from
	return r.feed.SkipTo(ctx, 0, *from, func(*input.Chunk) {})
}

// next returns the next chunk, without the header, and where it begins. The place is
// behind it afterwards.
func (r *rereading) next(ctx context.Context) (c *input.Chunk, at ledger.Place, err error) {
	if c, err = r.feed.Next(ctx, r.buf); err != nil {
		return nil, r.place, err
	}
	r.buf = c.Data
	if at = r.place; at.Offset == 0 {
		c.Behind(min(len(r.in.Header), len(c.Data)))
	}
	r.place.Offset += c.Size
	r.place.Line += c.Lines
	r.place.Sum = ledger.Join(at.Sum, ledger.SumOf(c.Data))
	return c, at, nil
}

// rest reads to the end and returns the place there.
func (r *rereading) rest(ctx context.Context) (ledger.Place, error) {
	for {
		if _, _, err := r.next(ctx); errors.Is(err, io.EOF) {
			return r.place, nil
		} else if err != nil {
			return r.place, err
		}
	}
}

// end returns the place at the end of the input, or limit bytes behind from if limit is
// not less than zero.
func (p *rereader) end(ctx context.Context, from *ledger.Place, limit int64) (end ledger.Place, err error) {
	r, err := p.reread(ctx, from, limit)
	if err != nil {
		return end, err
	}
	end, err = r.rest(ctx)
	return end, errors.Join(err, r.feed.Close())
}

// proveMarks compares the input with the marks of lanes, which are in their order. It
// returns the first one of which it is not the input, nil if there is none. A mark of
// which nothing is known proves nothing.
func (p *rereader) proveMarks(ctx context.Context, from *ledger.Place, lanes []ledger.Lane) (wrong *ledger.Lane, err error) {
	r, err := p.reread(ctx, from, -1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.feed.Close()) }()
	for number := int64(0); len(lanes) > 0; number++ {
		c, at, err := r.next(ctx)
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return nil, err
		}
		p, known := lane.Prefix{}, false
		for ; len(lanes) > 0 && lanes[0].Mark.Chunk <= number; lanes = lanes[1:] {
			if lanes[0].Mark.Records > 0 && !known && !ended {
				p, known = lane.NewPrefix(c.Data, decode.StartsOf(c, r.in.Lay.Dialect)), true
			}
			if !lane.Proves(lanes[0], at, &p) {
				return &lanes[0], nil
			}
		}
		if ended {
			break
		}
	}
	if len(lanes) > 0 {
		return &lanes[0], nil
	}
	return nil, nil
}

// note tells of a second reading, which takes its time.
func (p *rereader) note(why string) {
	p.log.Info(fmt.Sprintf("%s: %s; reading it to see whether it is the same", p.In.Name, why))
}
