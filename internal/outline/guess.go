package outline

import (
	"fmt"
	"slices"

	"shardload/internal/fault"
	"shardload/internal/infer"
	"shardload/internal/pgcsv"
)

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
	return looksLikeHeader(r.cfg.Reading.Dialect, values)
}

func looksLikeHeader(dialect pgcsv.Dialect, values []string) bool {
	return !dialect.RareHeader() && infer.LooksLikeHeader(values)
}

// checkAlike refuses the first record of a file after the first one if it has to be guessed
// what it is, and the two do not agree: it would be stored as data, or data as names.
func (r *reader) checkAlike(lay *layout, values []string) error {
	if r.cfg.Header != HeaderAuto || r.names == nil {
		return nil
	}
	if r.numbered {
		if !looksLikeHeader(r.cfg.Reading.Dialect, values) {
			return nil
		}
		return fault.Advise(
			fmt.Errorf("%s:%d: the first record looks like a header, as all of its fields are texts, and that of %s does not", lay.file, lay.line, r.namedBy),
			"if it is a record, too, say so with Config.Header no; if it names the columns give all files that header")
	}
	difference := difference(r.names, values)
	if difference == "" {
		return nil
	}
	return fault.Advise(
		fmt.Errorf("%s:%d: the first record of %s is taken for a header, as all of its fields are texts, and this one is another: %s", lay.file, lay.line, r.namedBy, difference),
		"if no file has a header say so with Config.Header no; if only the first one has, read them as one: cat; else give all files the same header")
}

// difference says in what values are not the names, in whichever order; "" if they are.
func difference(names, values []string) string {
	for i, v := range values {
		if !slices.Contains(names, v) {
			return fmt.Sprintf("it has %q, and the header has not", infer.Shortened(v))
		}
		if slices.Contains(values[:i], v) {
			return fmt.Sprintf("it has %q twice", v)
		}
	}
	for _, name := range names {
		if !slices.Contains(values, name) {
			return fmt.Sprintf("it has no %q", name)
		}
	}
	return ""
}
