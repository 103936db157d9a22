package input

import (
	"context"
	"errors"
	"fmt"
	"io"

	"shardload/internal/pgcsv"
)

// CountRecords returns the number of records of the input at a location, and its first record,
// which may be a header. An open quote is an error, as is a record that is too long.
func CountRecords(ctx context.Context, at Location, how Reading) (n int64, first []byte, err error) {
	if how.Format != Delimited {
		n, err = countTranscribed(ctx, at, how)
		return n, nil, err
	}
	src, err := at.Source(ctx, how.Compression)
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	if how.Convert != nil {
		src.Convert(how.Convert)
	}
	var s pgcsv.Scanner
	var buf []byte
	c := pgcsv.NewChunker(src, how.MaxRecord)
	c.SetDialect(how.Dialect)
	c.SetSkip(how.Skip)
	s.SetDialect(how.Dialect)
	for line := int64(1); ; line += pgcsv.Lines(buf, c.EOL()) {
		if err := context.Cause(ctx); err != nil {
			return n, first, err
		}
		buf, err = src.Cut(ctx, c, buf)
		if errors.Is(err, io.EOF) {
			return n, first, nil
		}
		if pgcsv.Unnamed(err) {
			err = fmt.Errorf("%s: %w", at.Name, err) // the others are the Source's, and have it
		}
		if err != nil {
			return n, first, err
		}
		for s.Reset(buf[c.Skipped():], c.EOL(), line); s.Next(); n++ {
			if n == 0 {
				first = append(first, s.Record()...)
			}
		}
	}
}

// countTranscribed is CountRecords for a format that COPY does not know. It has no header.
func countTranscribed(ctx context.Context, at Location, how Reading) (n int64, err error) {
	feed, err := at.Feed(ctx, how)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, feed.Close()) }()
	if f, ok := feed.(*parquetFeed); ok {
		return f.file.Rows(), nil // of which each row group has its share, or the file is none
	}
	var buf []byte
	var starts []int32
	for {
		c, err := feed.Next(ctx, buf)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		starts = c.AppendStarts(starts[:0], how.Dialect)
		n += int64(len(starts))
		buf = c.Buffer()
	}
}
