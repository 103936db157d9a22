package input

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// An Object is bytes that lie somewhere and can be opened once more: those of a regular file,
// or of an object in a store. ReadAt may be called by several goroutines at once, and while
// what From returned is read. Errors do not name the object.
type Object interface {
	io.ReaderAt
	// From returns what reads the bytes from offset on. What an earlier call returned must
	// not be read any more.
	From(offset int64) (io.Reader, error)
	// Random reports whether it can be read at any place. If not, From is called once, for
	// the beginning, and ReadAt never.
	Random() bool
	// Stat returns what is known of it now. A size of -1 is not known.
	Stat() (Stat, error)
	Close() error
}

// A Location is where the bytes of an input lie.
type Location struct {
	// Name is the path of a file, or what errors call an object. What follows a question
	// mark in that is no part of its path.
	Name string
	// Open opens the object; nil for a file.
	Open func(ctx context.Context) (Object, error)
}

// Path returns the location of a file.
func Path(path string) Location { return Location{Name: path} }

// ending returns the compression that the name speaks of, "" for none.
func (l Location) ending() Compression {
	path := l.Name
	if l.Open != nil {
		path, _, _ = strings.Cut(path, "?")
	}
	return endingOf(path)
}

// Source opens what is there, which is compressed as it says. The caller must close the
// Source.
func (l Location) Source(ctx context.Context, as Compression) (*Source, error) {
	if l.Open == nil {
		return Open(l.Name, as)
	}
	object, err := l.object(ctx)
	if err != nil {
		return nil, err
	}
	s := &Source{Name: l.Name, Size: -1, asked: as, ending: l.ending(), close: []func() error{object.Close}}
	if err := openObject(s, object); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Feed opens the feed of what is there.
func (l Location) Feed(ctx context.Context, how Reading) (Feed, error) {
	if how.Format == Parquet {
		return openParquet(ctx, l, how)
	}
	src, err := l.Source(ctx, how.Compression)
	if err != nil {
		return nil, err
	}
	return NewFeed(src, how)
}

// object opens what is there, which is a regular file or an object.
func (l Location) object(ctx context.Context) (Object, error) {
	if l.Open == nil {
		return openRegular(l.Name)
	}
	object, err := l.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.Name, err)
	}
	return object, nil
}

// A regular is a regular file.
type regular struct{ *os.File }

// errIrregular says that a file is none that can be read more than once.
var errIrregular = errors.New("is no regular file")

// openRegular opens the file at path, if it is a regular one.
func openRegular(path string) (Object, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, named(err)
	case info.IsDir():
		return nil, fmt.Errorf("%s: is a directory", path)
	case !info.Mode().IsRegular():
		return nil, errIrregular
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, named(err)
	}
	return regular{file}, nil
}

func (r regular) From(offset int64) (io.Reader, error) {
	if _, err := r.Seek(offset, io.SeekStart); err != nil {
		return nil, err
	}
	return r.File, nil
}

func (r regular) Random() bool { return true }

func (r regular) Stat() (Stat, error) {
	info, err := r.File.Stat()
	if err != nil {
		return Stat{}, err
	}
	return statOf(info, time.Now()), nil
}
