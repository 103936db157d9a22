package outline

import (
	"fmt"
	"slices"
	"strings"

	"shardload/internal/fault"
	"shardload/internal/infer"
	"shardload/internal/input"
	"shardload/internal/pgcsv"
	"shardload/internal/term"
	"shardload/loader/failure"
)

// A layout says what the fields of one input are.
type layout struct {
	file   string
	line   int64 // of the first record
	header bool  // that is one
	fields []int // by field: its column
	nulls  pgcsv.Nulls
}

// layout returns that of a file with a first chunk. The first file decides which columns
// there are.
func (r *reader) layout(file string, feed input.Feed, first *input.Chunk) (*layout, error) {
	if of, ok := feed.(input.Transcribed); ok {
		names := of.Header()
		if _, ok := feed.(input.Keyed); ok {
			names = r.keys
		}
		lay := &layout{file: file, line: 1}
		if err := r.settle(lay, names); err != nil {
			return nil, err
		}
		return lay, r.setFields(of, lay, names)
	}
	fields, line, err := r.firstRecord(first)
	lay := &layout{file: file, line: line}
	if err != nil {
		return nil, &failure.RowError{File: file, Line: line, Err: err}
	}
	if fields == nil {
		return lay, nil // there are no records
	}
	if err := r.checkAlike(lay, fields); err != nil {
		return nil, err
	}
	if lay.header = r.isHeader(fields); !lay.header {
		return lay, r.settle(lay, r.numberedAs(len(fields)))
	}
	return lay, r.settle(lay, fields)
}

// firstRecord returns the values of the first record of a chunk, nil if all of its lines were
// skipped, and its line.
func (r *reader) firstRecord(c *input.Chunk) (values []string, line int64, err error) {
	s := c.Scanner(r.cfg.Reading.Dialect)
	if !s.Next() {
		return nil, c.Line, nil
	}
	for _, f := range s.AppendFields(nil) {
		v, _ := f.Value(s.Record(), nil)
		if err := r.checkValue(v); err != nil {
			return nil, s.Line(), err
		}
		values = append(values, string(v))
	}
	return values, s.Line(), nil
}

// numberedAs returns the names of the columns of an input with n fields that has no header.
func (r *reader) numberedAs(n int) []string {
	if r.names == nil {
		r.numbered = true
		return infer.Numbered(n)
	}
	return r.names // in their order; the records say whether they are as many
}

// settle says which columns the fields of those names are, and that there are such columns
// if this is the first input.
func (r *reader) settle(lay *layout, names []string) error {
	if r.names == nil {
		if err := r.checkNames(names); err != nil {
			err = fmt.Errorf("%s:%d: %w", lay.file, lay.line, err)
			if r.guessed {
				err = fault.Advise(err, "if it is a record and names no columns say so with Config.Header no")
			}
			return err
		}
		r.names, r.namedBy = names, lay.file
		r.begin()
	}
	for _, name := range names {
		i := slices.Index(r.names, name)
		if i < 0 {
			return fmt.Errorf("%s:%d: column %q: is not in %s, which has %s", lay.file, lay.line, name, r.namedBy, strings.Join(r.names, ", "))
		}
		if slices.Contains(lay.fields, i) {
			return fmt.Errorf("%s:%d: column %q: is named twice in the header", lay.file, lay.line, name)
		}
		lay.fields = append(lay.fields, i)
	}
	for i, name := range r.names {
		if !slices.Contains(lay.fields, i) {
			return fmt.Errorf("%s:%d: column %q: is missing, and %s has it", lay.file, lay.line, name, r.namedBy)
		}
	}
	nulls, err := r.cfg.Forced.Nulls(names, r.cfg.Reading.Dialect)
	if err != nil {
		return fmt.Errorf("%s: %w", lay.file, err)
	}
	lay.nulls = nulls
	return nil
}

// checkNames refuses names that no table can have, or that cannot be shown.
func (r *reader) checkNames(names []string) error {
	if !r.utf8 {
		for _, name := range names {
			if strings.ContainsFunc(name, func(c rune) bool { return c >= 0x80 }) {
				return errNames(r.cfg.Encoding)
			}
		}
	}
	return infer.CheckNames(names)
}

// wrongCount says that a record has another number of fields.
func wrongCount(have, want int) error {
	return fmt.Errorf("%s, want %d", term.Plural(have, "field"), want)
}
