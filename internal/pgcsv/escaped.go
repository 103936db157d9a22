package pgcsv

import "bytes"

// escapedRules are those of COPY's FORMAT csv where another byte than the quote escapes. How
// many quotes there are does not tell then whether a place is inside them.
type escapedRules struct{ quote, escape byte }

// next returns the state after c.
func (r escapedRules) next(s state, c byte) state {
	switch {
	case s == escaping:
		return inside
	case c == r.quote:
		return s ^ inside
	case c == r.escape && s == inside:
		return escaping
	}
	return s
}

// leave returns the place after the quote that ends the quotes which b begins inside of, and
// the state there. It is the end of b if none does.
func (r escapedRules) leave(b []byte, s state) (int, state) {
	for i, c := range b {
		if s = r.next(s, c); s == outside {
			return i + 1, s
		}
	}
	return len(b), s
}

// enter returns the place of the first quote of b, which begins outside of quotes, or its end.
func (r escapedRules) enter(b []byte) int {
	if i := bytes.IndexByte(b, r.quote); i >= 0 {
		return i
	}
	return len(b)
}

func (r escapedRules) after(b []byte, s state) state {
	for len(b) > 0 {
		n := 0
		if s != outside {
			n, s = r.leave(b, s)
		} else if n = r.enter(b); n < len(b) {
			n, s = n+1, inside
		}
		b = b[n:]
	}
	return s
}

func (r escapedRules) special(record []byte) bool { return bytes.IndexByte(record, r.quote) >= 0 }

func (escapedRules) breaks([]byte, int) bool { return true }

func (r escapedRules) eol(b []byte, from int, s state, final bool) EOL {
	for i := from; i < len(b); i++ {
		if s == outside && (b[i] == '\n' || b[i] == '\r') {
			return eolAt(b, i, final)
		}
		s = r.next(s, b[i])
	}
	return EOLUnknown
}

func (r escapedRules) lastEnd(buf []byte, last byte) (end int) {
	for at := 0; ; {
		n := r.enter(buf[at:])
		if i := bytes.LastIndexByte(buf[at:at+n], last); i >= 0 {
			end = at + i + 1
		}
		if at += n; at == len(buf) {
			return end
		}
		n, _ = r.leave(buf[at+1:], inside)
		at += 1 + n
	}
}

func (r escapedRules) firstEnd(buf []byte, from int, s state, last byte) int {
	for at := from; at < len(buf); {
		n := 0
		if s != outside {
			n, s = r.leave(buf[at:], s)
			at += n
			continue
		}
		n = r.enter(buf[at:])
		if i := bytes.IndexByte(buf[at:at+n], last); i >= 0 {
			return at + i + 1
		}
		at, s = at+n+1, inside
	}
	return 0
}

func (r escapedRules) recordEnd(rest []byte, last byte) (end int, lines int64, quotes bool) {
	for at := 0; ; {
		i := bytes.IndexByte(rest[at:], last)
		line := rest[at:]
		if i >= 0 {
			line = line[:i]
		}
		n := r.enter(line)
		if n == len(line) {
			if i < 0 {
				return len(rest), lines, quotes
			}
			return at + i + 1, lines + 1, quotes
		}
		quotes = true
		at += n + 1
		n, s := r.leave(rest[at:], inside)
		lines += int64(bytes.Count(rest[at:at+n], []byte{last}))
		if at += n; s != outside {
			return len(rest), lines, quotes
		}
	}
}

func (r escapedRules) hasStray(record []byte, c byte) bool {
	s := outside
	for _, b := range record {
		if s == outside && b == c {
			return true
		}
		s = r.next(s, b)
	}
	return false
}

func (r escapedRules) appendFields(dst []Field, record []byte, delimiter byte, special bool) []Field {
	if !special {
		return appendPlainFields(dst, record, delimiter)
	}
	for start := 0; ; {
		f := Field{Start: int32(start)}
		end := start
		for s := outside; end < len(record) && (s != outside || record[end] != delimiter); end++ {
			if s = r.next(s, record[end]); s == inside {
				f.Quote, f.Escape = r.quote, r.escape
			}
		}
		f.End = int32(end)
		dst = append(dst, f)
		if end == len(record) {
			return dst
		}
		start = end + 1
	}
}

// appendUnquoted appends what raw, a field in which quotes stand, means.
func appendUnquoted(dst, raw []byte, quote, escape byte) []byte {
	quoted := false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case quoted && c == escape && i+1 < len(raw) && (raw[i+1] == escape || raw[i+1] == quote):
			i++
			dst = append(dst, raw[i])
		case c == quote:
			quoted = !quoted
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
