package job

import (
	"context"
	"errors"
	"io"

	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/loader/failure"
)

// A job keeps the hashes of a few lines of its input. An input of the same name that has
// many of them, wherever they stand, is an edited one and not another: to load it as more
// records would store those that have not changed twice.

// alikeShare is the share of the lines that are kept, one in so many, that makes an input
// an edited one.
const alikeShare = 4

// hasLines reports whether the input, of which now is known, has many of the lines of
// the one of which was is known. If need be all of it is read.
func (p *rereader) hasLines(ctx context.Context, was, now ledger.Fingerprint) (bool, error) {
	missing := map[uint64]bool{}
	for _, sum := range was.Lines {
		missing[sum] = true
	}
	enough := len(missing) - (len(missing)+alikeShare-1)/alikeShare
	for _, sum := range now.Lines {
		delete(missing, sum)
	}
	switch {
	case len(was.Lines) == 0:
		return false, nil
	case len(missing) <= enough:
		return true, nil
	case !p.In.Repeats || now.Unit.ByNumber():
		return false, nil
	}
	r, err := p.reread(ctx, nil, -1)
	if err != nil {
		return false, err
	}
	for err == nil && len(missing) > enough {
		var c *input.Chunk
		if c, _, err = r.next(ctx); err == nil {
			input.EachLine(c.Data, func(sum uint64) { delete(missing, sum) })
		}
	}
	if _, bad := errors.AsType[*failure.RowError](err); bad || errors.Is(err, io.EOF) {
		err = nil // what follows a bad record is judged when it is loaded
	}
	return len(missing) <= enough, errors.Join(err, r.feed.Close())
}
