package pgtext

import "bytes"

// maxDepth is how deep values may lie in each other for jsonb to be sure.
const maxDepth = 64

// jsonb returns the Form of jsonb. It is sure of what the server would write with
// the same bytes: one blank behind colons and commas, keys in jsonb's order and
// each once, numbers without an exponent.
func jsonb(o Options) Form {
	return func(v, _ []byte) ([]byte, bool) {
		rest, ok := cutJSON(v, 0)
		return v, ok && len(rest) == 0 && (o.UTF8 || isASCII(v))
	}
}

// cutJSON takes one value off the start of v.
func cutJSON(v []byte, depth int) (rest []byte, ok bool) {
	if len(v) == 0 || depth > maxDepth {
		return nil, false
	}
	switch v[0] {
	case '{':
		return cutObject(v[1:], depth)
	case '[':
		return cutList(v[1:], depth)
	case '"':
		_, rest, ok = cutString(v)
		return rest, ok
	}
	for _, word := range []string{"null", "true", "false"} {
		if rest, ok = bytes.CutPrefix(v, []byte(word)); ok {
			return rest, true
		}
	}
	end := 0
	for end < len(v) && (v[end]-'0' <= 9 || v[end] == '-' || v[end] == '.') {
		end++
	}
	d, ok := parseDecimal(v[:end])
	return v[end:], ok && end <= maxNumeric && !(d.negative && d.isZero())
}

func cutList(v []byte, depth int) (rest []byte, ok bool) {
	if rest, ok = bytes.CutPrefix(v, []byte("]")); ok {
		return rest, true
	}
	for {
		if v, ok = cutJSON(v, depth+1); !ok || len(v) == 0 {
			return nil, false
		}
		if v[0] == ']' {
			return v[1:], true
		}
		if v, ok = bytes.CutPrefix(v, []byte(", ")); !ok {
			return nil, false
		}
	}
}

func cutObject(v []byte, depth int) (rest []byte, ok bool) {
	if rest, ok = bytes.CutPrefix(v, []byte("}")); ok {
		return rest, true
	}
	var before, key []byte
	for first := true; ; first = false {
		if key, v, ok = cutString(v); !ok || bytes.IndexByte(key, '\\') >= 0 || !first && !keysAscend(before, key) {
			return nil, false
		}
		before = key
		if v, ok = bytes.CutPrefix(v, []byte(": ")); !ok {
			return nil, false
		}
		if v, ok = cutJSON(v, depth+1); !ok || len(v) == 0 {
			return nil, false
		}
		if v[0] == '}' {
			return v[1:], true
		}
		if v, ok = bytes.CutPrefix(v, []byte(", ")); !ok {
			return nil, false
		}
	}
}

// keysAscend reports whether jsonb puts a before b: the shorter one, or the lesser
// of the same length.
func keysAscend(a, b []byte) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return bytes.Compare(a, b) < 0
}

// cutString takes a string in quotes off the start of v. It is sure of the escapes
// that the server writes.
func cutString(v []byte) (text, rest []byte, ok bool) {
	if len(v) == 0 || v[0] != '"' {
		return nil, nil, false
	}
	for i := 1; i < len(v); i++ {
		switch c := v[i]; {
		case c == '"':
			return v[1:i], v[i+1:], true
		case c < ' ':
			return nil, nil, false
		case c == '\\':
			if i++; i == len(v) || bytes.IndexByte([]byte(`"\bfnrt`), v[i]) < 0 {
				return nil, nil, false
			}
		}
	}
	return nil, nil, false
}
