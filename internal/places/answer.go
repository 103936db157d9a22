package places

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"shardload/internal/fault"
)

// A store gives the bytes of one object.
type store interface {
	// get asks once for the bytes from offset on: n of them, or all that follow if n is
	// allThatFollow, or all of the object, without saying so, if n is everyByte. Where a
	// version is known the store is told that only this one is wanted. The answer may begin
	// before offset. Errors hold no secrets.
	get(ctx context.Context, offset, n int64, want version) (*answer, error)
}

// What get asks for in place of a number of bytes.
const (
	allThatFollow = -1
	everyByte     = -2
)

// An answer is what a store sends.
type answer struct {
	*body
	offset int64 // of the first byte
	version
	ranges bool // the store sends what is asked for at any place
}

// A body is the bytes of an answer. A store that sends nothing for fault.StoreSilence is not
// waited for.
type body struct {
	bytes  io.ReadCloser
	cancel context.CancelCauseFunc
	timer  *time.Timer
	ctx    context.Context
}

// errSilent says that a store has sent nothing for too long.
var errSilent = errors.New("the store sends nothing")

// listen returns a context for one request, and a body without bytes that ends it.
func listen(ctx context.Context) *body {
	b := &body{}
	b.ctx, b.cancel = context.WithCancelCause(ctx)
	b.timer = time.AfterFunc(fault.StoreSilence, func() { b.cancel(errSilent) })
	return b
}

// heard returns the answer that ask has got to one request, the body of which it leaves open.
func heard(ctx context.Context, ask func(*body) (*answer, error)) (*answer, error) {
	b := listen(ctx)
	a, err := ask(b)
	if err != nil {
		b.close()
		return nil, err
	}
	return a, nil
}

// why returns err, or, if the request was ended from here, because of what.
func (b *body) why(err error) error {
	if err == nil || b.ctx.Err() == nil {
		return err
	}
	return context.Cause(b.ctx)
}

func (b *body) Read(p []byte) (int, error) {
	b.timer.Reset(fault.StoreSilence)
	n, err := b.bytes.Read(p)
	b.timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.why(cleaned(err))
	}
	return n, err
}

func (b *body) close() {
	b.timer.Stop()
	b.cancel(context.Canceled)
	if b.bytes != nil {
		_ = b.bytes.Close() // what was wanted of it has been read
	}
}

// A statusError is an answer that is not the object.
type statusError struct {
	status int
	said   string        // by the store, in words, "" for nothing
	after  time.Duration // for which it wants not to be asked again
}

func (e *statusError) Error() string {
	text := "the store answers " + strconv.Itoa(e.status)
	if words := http.StatusText(e.status); words != "" {
		text += " " + words
	}
	if e.said != "" {
		text += " (" + e.said + ")"
	}
	switch e.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		text += ": it does not let these credentials, or nobody without any, read it"
	case http.StatusNotFound, http.StatusGone:
		text += ": there is no such object"
	}
	if e.after > 0 {
		text += ", and wants to be asked again after " + e.after.Round(time.Second).String()
	}
	return text
}

// passes reports whether the same request may be answered later.
func (e *statusError) passes() bool {
	switch e.status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return false
	}
	return e.status >= 500
}

// afterOf reads the header Retry-After, in seconds or as a date.
func afterOf(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return time.Duration(min(seconds, 1<<20)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// answered makes an answer of the headers of one that has the object, or a piece of it from
// offset on. length is that of the body, -1 if it is not known.
func (b *body) answered(h http.Header, partial bool, length, offset int64) (*answer, error) {
	a := &answer{body: b, version: versionOf(h)}
	if !partial {
		a.size = length
		a.ranges = strings.EqualFold(h.Get("Accept-Ranges"), "bytes")
		return a, nil
	}
	begin, size, err := contentRange(h.Get("Content-Range"))
	if err == nil && begin != offset {
		err = fmt.Errorf("the store sends what begins at byte %d, asked for byte %d", begin, offset)
	}
	if err != nil {
		return nil, &finalError{err}
	}
	a.offset, a.size, a.ranges = begin, size, true
	return a, nil
}

// versionOf returns what headers say of an object, without its size.
func versionOf(h http.Header) version {
	v := version{size: -1, etag: h.Get("ETag")}
	if at, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
		now, err := http.ParseTime(h.Get("Date"))
		if err != nil {
			now = time.Now()
		}
		v.modified, v.fresh = at, now.Sub(at) < fault.StoreGrain
	}
	return v
}

// contentRange reads a header such as "bytes 0-99/1000".
func contentRange(text string) (begin, size int64, err error) {
	unit, rest, _ := strings.Cut(text, " ")
	span, total, ok := strings.Cut(rest, "/")
	first, _, isSpan := strings.Cut(span, "-")
	if begin, err = strconv.ParseInt(first, 10, 64); err == nil {
		size, err = strconv.ParseInt(total, 10, 64)
	}
	if !strings.EqualFold(unit, "bytes") || !ok || !isSpan || err != nil || begin < 0 || size < begin {
		return 0, 0, fmt.Errorf("the store says with Content-Range %q which bytes it sends, and not of how many", text)
	}
	return begin, size, nil
}

// A finalError is one that another try does not mend, whatever it is.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }
