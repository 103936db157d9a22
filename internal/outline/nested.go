package outline

import (
	"fmt"
	"slices"

	"shardload/internal/fault"
	"shardload/internal/infer"
	"shardload/internal/input"
)

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
