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

// setFields tells a feed which fields there are, and the columns what it knows more of them
// than their values say.
func (r *reader) setFields(feed input.Transcribed, lay *layout, names []string) error {
	switch of := feed.(type) {
	case input.Keyed:
		of.SetKeys(input.NewFields(names, r.nested), func(string) error { return nil })
		r.eachColumn(func(i int, c *infer.Column) {
			if r.nested[r.names[i]] {
				c.Document()
			} else {
				c.NoDocument()
			}
		})
		return nil
	case input.Typing:
		nested, err := of.SetNew(names, r.binary)
		if err != nil {
			return err
		}
		return r.setNested(lay, names, nested)
	}
	return feed.SetFields(names)
}

// setNested makes columns of nested values, which have to be nested in all files: else one
// column could not take what is in the others.
func (r *reader) setNested(lay *layout, names []string, nested []bool) error {
	if r.nested == nil {
		r.nested = map[string]bool{}
		for i, name := range names {
			r.nested[name] = nested[i]
		}
		r.eachColumn(func(i int, c *infer.Column) {
			switch name := r.names[i]; {
			case r.nested[name]:
				c.Document()
			case slices.Contains(r.binary, name):
				c.Fix(infer.Bytea)
			}
		})
	}
	for i, name := range names {
		if nested[i] != r.nested[name] {
			in, out := lay.file, r.namedBy
			if r.nested[name] {
				in, out = out, in
			}
			return fault.Advise(fmt.Errorf("%s: column %q: is nested in %s and is not in %s", lay.file, name, in, out), "load them into tables of their own")
		}
	}
	return nil
}

// eachColumn calls set for each column of each worker. None of them is at work: it is called
// before the first chunk of an input is given out, and after the last one of the input before.
func (r *reader) eachColumn(set func(i int, c *infer.Column)) {
	for _, w := range r.workers {
		for i := range w.columns {
			set(i, &w.columns[i])
		}
	}
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

// isHeader decides whether a first record names the columns: of files after the first one, it
// does as it does there.
func (r *reader) isHeader(values []string) bool {
	switch {
	case r.cfg.Header != HeaderAuto:
		return r.cfg.Header == HeaderYes
	case r.names != nil:
		return !r.numbered
	}
	r.guessed = true
	return r.looksLikeHeader(values)
}

func (r *reader) looksLikeHeader(values []string) bool {
	return !r.cfg.Reading.Dialect.RareHeader() && infer.LooksLikeHeader(values)
}

// checkAlike refuses the first record of a file after the first one if it has to be guessed
// what it is, and the two do not agree: it would be stored as data, or data as names.
func (r *reader) checkAlike(lay *layout, values []string) error {
	if r.cfg.Header != HeaderAuto || r.names == nil {
		return nil
	}
	if r.numbered {
		if !r.looksLikeHeader(values) {
			return nil
		}
		return fault.Advise(
			fmt.Errorf("%s:%d: the first record looks like a header, as all of its fields are texts, and that of %s does not", lay.file, lay.line, r.namedBy),
			"if it is a record, too, say so with Config.Header no; if it names the columns give all files that header")
	}
	difference := r.difference(values)
	if difference == "" {
		return nil
	}
	return fault.Advise(
		fmt.Errorf("%s:%d: the first record of %s is taken for a header, as all of its fields are texts, and this one is another: %s", lay.file, lay.line, r.namedBy, difference),
		"if no file has a header say so with Config.Header no; if only the first one has, read them as one: cat; else give all files the same header")
}

// difference says in what values are not the names of the columns, in whichever order; "" if
// they are.
func (r *reader) difference(values []string) string {
	for i, v := range values {
		if !slices.Contains(r.names, v) {
			return fmt.Sprintf("it has %q, and the header has not", infer.Shortened(v))
		}
		if slices.Contains(values[:i], v) {
			return fmt.Sprintf("it has %q twice", v)
		}
	}
	for _, name := range r.names {
		if !slices.Contains(values, name) {
			return fmt.Sprintf("it has no %q", name)
		}
	}
	return ""
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
