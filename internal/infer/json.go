package infer

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// What jsonb certainly takes.
const (
	maxJSONDepth    = 64
	maxJSONExponent = 300
	maxJSONString   = 1 << 20 // bytes; its own limit for all keys and values of an object is 256 MiB
	maxJSONValue    = 16 << 20
)

// isJSON reports whether v is JSON that jsonb takes, and of which it loses
// nothing but blanks, the order of keys, and how numbers and texts are written: no key
// comes twice in an object.
func isJSON(v []byte) bool {
	if len(v) > maxJSONValue || !json.Valid(v) { // the walk may then take for granted what it meets
		return false
	}
	w := jsonWalk{rest: v}
	return w.value(0)
}

// A jsonWalk goes through a text that is JSON.
type jsonWalk struct {
	rest []byte
	keys []string // of the objects that are open, the innermost one's last
}

func (w *jsonWalk) blank() { w.rest = bytes.TrimLeft(w.rest, " \t\r\n") }

// next takes c off the rest, if it is there.
func (w *jsonWalk) next(c byte) bool {
	w.blank()
	if len(w.rest) == 0 || w.rest[0] != c {
		return false
	}
	w.rest = w.rest[1:]
	return true
}

func (w *jsonWalk) value(depth int) bool {
	w.blank()
	switch c := w.rest[0]; {
	case depth > maxJSONDepth:
		return false
	case c == '{':
		return w.object(depth)
	case c == '[':
		return w.list(depth)
	case c == '"':
		_, ok := w.text()
		return ok
	case c == '-' || c-'0' <= 9:
		return w.number()
	}
	w.rest = bytes.TrimLeft(w.rest, "abcdefghijklmnopqrstuvwxyz") // true, false, null
	return true
}

func (w *jsonWalk) list(depth int) bool {
	w.next('[')
	if w.next(']') {
		return true
	}
	for {
		if !w.value(depth + 1) {
			return false
		}
		if w.next(']') {
			return true
		}
		w.next(',')
	}
}

func (w *jsonWalk) object(depth int) bool {
	w.next('{')
	if w.next('}') {
		return true
	}
	ours := len(w.keys)
	defer func() { w.keys = w.keys[:ours] }()
	for {
		w.blank()
		key, ok := w.text()
		if !ok || !w.add(key, ours) {
			return false
		}
		w.next(':')
		if !w.value(depth + 1) {
			return false
		}
		if w.next('}') {
			return true
		}
		w.next(',')
	}
}

// add notes a key of the object whose keys begin there. It reports whether it is new.
func (w *jsonWalk) add(key string, from int) bool {
	const most = 1000 // of an object, to be compared with each other
	for _, k := range w.keys[from:] {
		if k == key {
			return false
		}
	}
	w.keys = append(w.keys, key)
	return len(w.keys)-from <= most
}

// text takes a string off the rest. ok is false where jsonb has none like it: with a zero
// character, or half of a surrogate pair.
func (w *jsonWalk) text() (text string, ok bool) {
	end, escaped := 1, false
	for ; w.rest[end] != '"'; end++ {
		if w.rest[end] == '\\' {
			escaped = true
			end++
		}
	}
	raw := w.rest[:end+1]
	w.rest = w.rest[end+1:]
	if len(raw) > maxJSONString {
		return "", false
	}
	if !escaped {
		return string(raw[1:end]), true
	}
	if !pairsAreWhole(raw) || json.Unmarshal(raw, &text) != nil {
		return "", false
	}
	return text, true
}

// pairsAreWhole reports whether the escapes of a JSON string are characters: no zero, and no
// half of a surrogate pair.
func pairsAreWhole(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if i++; raw[i] != 'u' {
			continue
		}
		switch c := hex4(raw[i+1:]); {
		case c == 0 || c >= 0xdc00 && c < 0xe000:
			return false
		case c >= 0xd800 && c < 0xdc00:
			rest := raw[i+5:]
			if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
				return false
			}
			if low := hex4(rest[2:]); low < 0xdc00 || low >= 0xe000 {
				return false
			}
			i += 6
		}
		i += 4
	}
	return true
}

// hex4 returns the number of four hexadecimal digits.
func hex4(b []byte) uint64 {
	n, _ := strconv.ParseUint(string(b[:4]), 16, 16) // they are digits: it is JSON
	return n
}

// number takes a number off the rest.
func (w *jsonWalk) number() bool {
	end := 0
	for end < len(w.rest) && (w.rest[end]-'0' <= 9 || bytes.IndexByte([]byte("+-.eE"), w.rest[end]) >= 0) {
		end++
	}
	v := w.rest[:end]
	w.rest = w.rest[end:]
	if len(v) > longestNumber {
		return false
	}
	i := bytes.IndexAny(v, "eE")
	if i < 0 {
		return true
	}
	n, err := strconv.Atoi(string(v[i+1:]))
	return err == nil && n <= maxJSONExponent && n >= -maxJSONExponent
}
