package parquettext

import "fmt"

// A nesting writes one row of a column that is nested, from its leaves' entries.
//
// Source: "Dremel: Interactive Analysis of Web-Scale Datasets", section 4.3, and
// https://parquet.apache.org/docs/file-format/nestedencoding/.
type nesting struct {
	at    []cursor // of the leaves of the column
	first int      // index of the first of them
	elem  As       // of an element of an array
	bad   error    // what is wrong with a value
	err   error    // what is wrong with the file
	value []byte   // one of an array
}

func (w *nesting) cursor(n *node) *cursor { return &w.at[n.leaves[0].index-w.first] }

// consume goes over the one entry by which each leaf of n says that it is not there.
func (w *nesting) consume(n *node) {
	for _, l := range n.leaves {
		w.at[l.index-w.first].advance()
	}
}

// absent reports whether n is NULL, and goes over it then.
func (w *nesting) absent(n *node) bool {
	if !n.optional || w.cursor(n).def() >= n.def {
		return false
	}
	w.consume(n)
	return true
}

// empty reports whether there is no element of n, which repeats, and goes over that then.
func (w *nesting) empty(n *node) bool {
	if w.cursor(n).def() >= n.def {
		return false
	}
	w.consume(n)
	return true
}

// more reports whether another element of n follows. All leaves must agree.
func (w *nesting) more(n *node) bool {
	more := w.cursor(n).rep() == n.rep
	for _, l := range n.leaves {
		if w.err == nil && (w.at[l.index-w.first].rep() == n.rep) != more {
			w.err = errRows
		}
	}
	return more && w.err == nil
}

// fail keeps the first thing that is wrong with a value of the row.
func (w *nesting) fail(l *leaf, err error) {
	if err != nil && w.bad == nil {
		w.bad = fmt.Errorf("%s %w", l.path, err)
	}
}

// json appends n, which is there or NULL, as JSON.
func (w *nesting) json(dst []byte, n *node) []byte {
	if repeats, element := n.list(); repeats != nil {
		return w.jsonList(dst, n, repeats, element)
	}
	if repeats, key, value := n.pairs(); repeats != nil {
		return w.jsonMap(dst, n, repeats, key, value)
	}
	if w.absent(n) {
		return append(dst, "null"...)
	}
	return w.jsonThere(dst, n)
}

// jsonThere appends n, which is there, as one value or one group.
func (w *nesting) jsonThere(dst []byte, n *node) []byte {
	if n.leaf != nil {
		return w.jsonLeaf(dst, n.leaf)
	}
	dst = append(dst, '{')
	for i, child := range n.children {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(appendJSONString(dst, []byte(child.name)), ": "...)
		dst = w.json(dst, child)
	}
	return append(dst, '}')
}

func (w *nesting) jsonLeaf(dst []byte, l *leaf) []byte {
	c := w.cursor(l.node)
	if c.pg == nil || c.def() != l.def {
		w.err = errRows
		return dst
	}
	dst, err := l.values.json(dst, c.value())
	w.fail(l, err)
	c.advance()
	return dst
}

func (w *nesting) jsonList(dst []byte, n, repeats, element *node) []byte {
	if n != repeats && w.absent(n) {
		return append(dst, "null"...)
	}
	if w.empty(repeats) {
		return append(dst, "[]"...)
	}
	dst = append(dst, '[')
	for {
		if element == repeats {
			dst = w.jsonElement(dst, element)
		} else {
			dst = w.json(dst, element)
		}
		if !w.more(repeats) {
			return append(dst, ']')
		}
		dst = append(dst, ", "...)
	}
}

// jsonElement appends an element that repeats itself: what it is beside that.
func (w *nesting) jsonElement(dst []byte, n *node) []byte {
	if repeats, element := n.list(); repeats != nil && repeats != n {
		return w.jsonList(dst, n, repeats, element)
	}
	if repeats, key, value := n.pairs(); repeats != nil {
		return w.jsonMap(dst, n, repeats, key, value)
	}
	return w.jsonThere(dst, n)
}

func (w *nesting) jsonMap(dst []byte, n, repeats, key, value *node) []byte {
	if w.absent(n) {
		return append(dst, "null"...)
	}
	if w.empty(repeats) {
		return append(dst, "{}"...)
	}
	dst = append(dst, '{')
	for {
		dst = append(w.jsonKey(dst, key), ": "...)
		if value == nil {
			dst = append(dst, "null"...)
		} else {
			dst = w.json(dst, value)
		}
		if !w.more(repeats) {
			return append(dst, '}')
		}
		dst = append(dst, ", "...)
	}
}

// jsonKey appends a key of a map. All keys are strings in JSON.
func (w *nesting) jsonKey(dst []byte, n *node) []byte {
	start := len(dst)
	dst = w.json(dst, n)
	if len(dst) > start && dst[start] == '"' {
		return dst
	}
	return appendJSONString(dst[:start], append([]byte(nil), dst[start:]...))
}

// array appends n, a list that is there or NULL, as an array of PostgreSQL.
func (w *nesting) array(dst []byte, n *node) []byte {
	repeats, element := n.list()
	if n != repeats && w.absent(n) {
		return append(dst, "NULL"...)
	}
	if w.empty(repeats) {
		return append(dst, "{}"...)
	}
	dst = append(dst, '{')
	for {
		switch {
		case element.leaf == nil:
			dst = w.array(dst, element)
		case element != repeats && w.absent(element):
			dst = append(dst, "NULL"...)
		default:
			dst = w.arrayElement(dst, element.leaf)
		}
		if !w.more(repeats) {
			return append(dst, '}')
		}
		dst = append(dst, ',')
	}
}

func (w *nesting) arrayElement(dst []byte, l *leaf) []byte {
	c := w.cursor(l.node)
	if c.pg == nil || c.def() != l.def {
		w.err = errRows
		return dst
	}
	write, _ := l.values.as(w.elem)
	var err error
	w.value, err = write(w.value[:0], c.value())
	w.fail(l, err)
	c.advance()
	return appendElement(dst, w.value)
}
