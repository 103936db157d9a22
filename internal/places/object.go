package places

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/cespare/xxhash/v2"

	"shardload/internal/input"
)

// An object is one that is open.
type object struct {
	name     string
	store    store
	version  version // of what is read
	random   bool    // the store sends what is asked for at any place, or whole has all
	whole    []byte  // all of it, nil if it is too long
	patience *patience
	budget   *budget

	// reading ends with the load, own when the object is closed.
	reading, own context.Context
	end          context.CancelCauseFunc

	first  *segment // what was answered to the first request, until it is read
	stream *stream  // what From has returned last
	pages  *pager
}

var _ input.Object = (*object)(nil)

// errClosed says that an object is not read any more.
var errClosed = errors.New("the object is closed")

// openObject opens an object of that name. version is what is known of it, with a size of -1 for
// nothing.
func openObject(ctx context.Context, env *environment, name string, of store, known version) (*object, error) {
	o := &object{
		name: name, store: of, version: known, random: true, budget: env.budget, reading: ctx,
		patience: &patience{name: name, limit: env.RetryFor, log: env.Log},
	}
	o.pages = newPager(o)
	o.own, o.end = context.WithCancelCause(context.WithoutCancel(ctx))
	if err := o.begin(); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// begin asks for the beginning, and finds out what the object is.
func (o *object) begin() error {
	n := int64(allThatFollow)
	if o.budget.block > 0 {
		n = o.budget.block
	}
	s := &segment{o: o, ctx: o.reading, end: -1}
	for {
		err := s.ask(n)
		if status, ok := errors.AsType[*statusError](err); ok && status.status == http.StatusRequestedRangeNotSatisfiable && n != everyByte {
			n = everyByte // it has no byte that could be asked for
			s.close()
			continue
		}
		if err == nil {
			break
		}
		if err := s.again(err); err != nil {
			return err
		}
	}
	o.patience.succeed()
	return o.learn(s, n)
}

// learn finds out from the first answer what the object is. n is what was asked for.
func (o *object) learn(s *segment, n int64) error {
	o.first = s
	o.version = s.from.version
	o.random = s.from.ranges && o.version.known() && o.version.size >= 0
	s.end = o.version.size
	if o.random && n > 0 {
		s.end = min(s.end, n)
	}
	if !o.random {
		s.sum = xxhash.New()
	}
	if o.version.size < 0 || o.version.size > smallObject {
		return nil
	}
	s.end = o.version.size
	o.whole = make([]byte, o.version.size)
	if _, err := io.ReadFull(s, o.whole); err != nil {
		return err
	}
	s.close()
	o.random = true
	return nil
}

func (o *object) Random() bool { return o.random }

func (o *object) Stat() (input.Stat, error) {
	s := input.Stat{Size: o.version.size, TimeTells: true}
	switch {
	case o.version.known() && !o.version.fresh:
		s.Tag, s.Inode = o.version.etag, xxhash.Sum64String(o.name)
		if !o.version.modified.IsZero() {
			s.Modified = o.version.modified.UnixNano()
		}
	case o.version.fresh && o.whole == nil && o.random:
		s.TimeTells = false
	}
	return s, nil
}

// From returns what reads the object from offset on.
func (o *object) From(offset int64) (io.Reader, error) {
	if o.whole != nil {
		if offset > int64(len(o.whole)) {
			return nil, fmt.Errorf("byte %d is after its end", offset)
		}
		return bytes.NewReader(o.whole[offset:]), nil
	}
	if o.stream != nil {
		o.stream.close()
	}
	o.stream = newStream(o, offset)
	return o.stream, nil
}

// ReadAt reads the object at any place.
func (o *object) ReadAt(p []byte, offset int64) (int, error) {
	if o.whole != nil {
		return bytes.NewReader(o.whole).ReadAt(p, offset)
	}
	if o.reading.Err() != nil {
		// A load that was interrupted looks at its rejected records once more.
		return o.pages.readAt(o.own, p, offset)
	}
	return o.pages.readAt(o.reading, p, offset)
}

// Close ends what is read.
func (o *object) Close() error {
	o.end(errClosed)
	if o.stream != nil {
		o.stream.close()
	}
	if o.first != nil {
		o.first.close()
	}
	o.pages.close()
	return nil
}
