package pgcsv

import "bytes"

// unquotedRules are those of CSV without quotes: each byte but the delimiter and a line break
// is data. COPY has no such dialect, as it always has a quote; see AppendText.
type unquotedRules struct{}

func (unquotedRules) after([]byte, state) state { return outside }

func (unquotedRules) special([]byte) bool { return false }

func (unquotedRules) breaks([]byte, int) bool { return true }

func (unquotedRules) eol(b []byte, from int, _ state, final bool) EOL {
	if i := bytes.IndexAny(b[from:], "\r\n"); i >= 0 {
		return eolAt(b, from+i, final)
	}
	return EOLUnknown
}

func (unquotedRules) lastEnd(buf []byte, last byte) int { return bytes.LastIndexByte(buf, last) + 1 }

func (unquotedRules) firstEnd(buf []byte, from int, _ state, last byte) int {
	if i := bytes.IndexByte(buf[from:], last); i >= 0 {
		return from + i + 1
	}
	return 0
}

func (unquotedRules) recordEnd(rest []byte, last byte) (end int, lines int64, special bool) {
	if i := bytes.IndexByte(rest, last); i >= 0 {
		return i + 1, 1, false
	}
	return len(rest), 0, false
}

func (unquotedRules) hasStray(record []byte, c byte) bool { return bytes.IndexByte(record, c) >= 0 }

func (unquotedRules) appendFields(dst []Field, record []byte, delimiter byte, _ bool) []Field {
	return appendPlainFields(dst, record, delimiter)
}
