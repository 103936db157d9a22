package reject

import "bytes"

// onOneLine returns a record of JSON, good or not, on one line. A line break between values, or in
// one that is no string, is a blank there. In a string, where JSON allows none, it becomes its
// escape, which means the same: a blank would be another value, and nobody would be told. Behind a
// backslash the escape would be another one, and a blank stays as wrong as the break was.
func onOneLine(record []byte) []byte {
	if bytes.IndexByte(record, '\n') < 0 && bytes.IndexByte(record, '\r') < 0 {
		return record
	}
	out := make([]byte, 0, len(record)+16)
	inString, escaped := false, false
	for _, c := range record {
		switch isBreak := c == '\n' || c == '\r'; {
		case isBreak && inString && !escaped:
			out = append(out, '\\', map[byte]byte{'\n': 'n', '\r': 'r'}[c])
		case isBreak:
			out = append(out, ' ')
		default:
			out = append(out, c)
		}
		if c == '"' && !escaped {
			inString = !inString
		}
		escaped = inString && c == '\\' && !escaped
	}
	return out
}
