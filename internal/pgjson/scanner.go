package pgjson

import (
	"bytes"
	"errors"
	"fmt"
)

// A Kind says which values a field takes, and how they are written.
type Kind byte

// The kinds.
const (
	Scalar Kind = iota // a string without its quotes, a number or a boolean; nothing nested
	Text               // the same, and what is nested as it is written
	JSON               // any value as it is written, but for null
	List               // an array as PostgreSQL's type writes it; a string without its quotes
	Record             // no value, but the whole record as it is written; its Name is no key
)

// A Field is a field of the records that are written.
type Field struct {
	Name string // the key
	Kind Kind
	// Element is the kind of a List's elements, Scalar or JSON, and Delimiter what stands
	// between them.
	Element   Kind
	Delimiter byte
}

// A Scanner walks the records of one chunk.
//
//	for s.Reset(chunk, Lines, true); s.Next(); {
//		dst, err = s.AppendRow(dst)
//	}
type Scanner struct {
	fields []Field
	asIs   []uint8 // for each, by bits, the kinds of values that are written as they are
	keys   keys
	nest   nest

	b       []byte // the chunk; in the form of lines as far as the record's line
	chunk   []byte
	form    Form
	at      int // where the search for the next record begins
	counted int // of an array: the place of line
	line    int64

	whole  stretch // the record
	object stretch // that it is: there may be blanks around it
	values []value // one for each field of the record
	err    error   // what is wrong with it
}

// A stretch is a part of the chunk.
type stretch struct{ start, end int }

// keys says which field a key is.
type keys struct {
	fields  int            // how many there are
	slots   map[string]int // of fields by their names, and of keys that are left out
	unknown func(key string) error
	after   []guess  // by slot: what follows its value
	learns  bool     // guesses are made
	left    []string // of the slots from beginning()+2 on: their keys, if nested is not nil
	nested  func(key string)
	scratch []byte
}

// beginning is the slot of what begins a record. Those of fields are before it. After it comes one
// of all keys that are left out, and then a few that have one of their own.
func (k *keys) beginning() int { return k.fields }

// isField reports whether a slot is that of a field.
func (k *keys) isField(slot int) bool { return slot < k.fields }

// maxLeftOut is how many keys that are left out have a slot of their own: as many as a table can
// have columns.
const maxLeftOut = 1600

// leaveOut returns a slot of a key that is left out.
func (k *keys) leaveOut(key []byte) int {
	if slot := len(k.after); k.learns && slot < k.beginning()+2+maxLeftOut {
		k.after = append(k.after, guess{})
		k.slots[string(key)] = slot
		if k.nested != nil {
			k.left = append(k.left, string(key))
		}
		return slot
	}
	return k.beginning() + 1
}

// noteNested notes that the value of a key that is left out is an object or an array. The keys that
// have no slot of their own are more than a table can have.
func (k *keys) noteNested(slot int) {
	if i := slot - k.beginning() - 2; i >= 0 {
		k.nested(k.left[i])
	}
}

// A guess is the key that comes next, if the record is like the one before.
type guess struct {
	text []byte // from behind a value to the next one
	slot int
}

// maxGuess is the length of the longest text that is kept.
const maxGuess = 256

// asIs returns which kinds of values of fields are written as they are, as bits.
func asIs(fields []Field) []uint8 {
	bits := make([]uint8, len(fields))
	for i, f := range fields {
		if f.Kind != JSON {
			bits[i] |= 1 << plain
		}
		if f.Kind != List {
			bits[i] |= 1 << verbatim
		}
	}
	return bits
}

// A value is that of a field in the record.
type value struct {
	kind       valueKind
	start, end int32 // in the chunk; of a string without its quotes
}

type valueKind byte

const (
	missing valueKind = iota
	null
	verbatim // a number or a boolean
	plain    // a string without escapes
	escaped  // and one with them
	object
	array
)

// NewScanner returns a Scanner that writes records with these fields. Values of other keys
// are left out, if unknown returns nil for the key; else the record is at fault.
func NewScanner(fields []Field, unknown func(key string) error) *Scanner {
	k := keys{fields: len(fields), slots: map[string]int{}, unknown: unknown, after: make([]guess, len(fields)+2), learns: true}
	for i, f := range fields {
		if f.Kind != Record {
			k.slots[f.Name] = i
		}
	}
	return &Scanner{fields: fields, keys: k, values: make([]value, len(fields)), asIs: asIs(fields)}
}

// NoteNested calls note for each value of a key that is no field, if the value is an object or an
// array; of more than 1,600 such keys, for the first ones. It is called before the first Reset.
func (s *Scanner) NoteNested(note func(key string)) { s.keys.nested = note }

// Reset goes to the beginning of a chunk of that form, which first says to be the input's
// first one.
func (s *Scanner) Reset(chunk []byte, form Form, first bool) {
	s.b, s.chunk, s.form = chunk, chunk, form
	s.at, s.counted, s.line = 0, 0, 0
	if form != Array {
		return
	}
	if s.line = 1; first {
		s.at = min(skipBlanks(chunk, 0)+1, len(chunk))
	}
}

// Next goes to the next record, good or not. It returns false after the last one.
func (s *Scanner) Next() bool {
	clear(s.values)
	if s.form == Array {
		return s.nextElement()
	}
	return s.nextLine()
}

// Line returns the number of the line on which the record starts, from 1 in the chunk.
func (s *Scanner) Line() int64 { return s.line }

// Start returns where in the chunk the record starts.
func (s *Scanner) Start() int { return s.whole.start }

// End returns where in the chunk the record ends, without its line break.
func (s *Scanner) End() int { return s.whole.end }

func (s *Scanner) nextLine() bool {
	for s.at < len(s.chunk) {
		s.whole.start, s.whole.end = s.at, len(s.chunk)
		i := bytes.IndexByte(s.chunk[s.at:], '\n')
		if i >= 0 {
			s.whole.end = s.at + i
		}
		s.at = min(s.whole.end+1, len(s.chunk))
		s.line++
		s.b = s.chunk[:s.whole.end]
		p := skipBlanks(s.b, s.whole.start)
		if p == s.whole.end {
			continue
		}
		if s.b[s.whole.end-1] == '\r' {
			s.whole.end--
		}
		s.err = s.readLine(p, i >= 0)
		return true
	}
	return false
}

var errLines = errors.New("a record must stand on one line, or be an element of an array: [{…}, {…}]")

// readLine reads the record that begins at p and is all of its line. broken says that a line
// break ends that.
func (s *Scanner) readLine(p int, broken bool) error {
	p, err := s.record(p)
	if syntax, ok := errors.AsType[*syntaxError](err); ok && syntax.at >= len(s.b) && broken {
		return s.fault(fmt.Errorf("the line ends within the record; %w", errLines))
	}
	if err == nil {
		if p = skipBlanks(s.b, p); p < len(s.b) {
			err = unexpected(s.b, p, "the end of the line")
		}
	}
	return s.fault(err)
}

func (s *Scanner) nextElement() bool {
	p := skipBlanks(s.chunk, s.at)
	if p == len(s.chunk) || s.chunk[p] == ']' {
		return false
	}
	s.line += int64(bytes.Count(s.chunk[s.counted:p], []byte{'\n'}))
	s.counted, s.whole.start = p, p
	end, err := s.record(p)
	if err == nil {
		s.whole.end, s.at = end, skipBlanks(s.b, end)
		if s.at < len(s.b) && (s.b[s.at] == ',' || s.b[s.at] == ']') {
			s.at++
			s.err = nil
			return true
		}
		err = unexpected(s.b, s.at, "a comma or ]")
	}
	x := extent{at: p}
	s.at = x.next(s.chunk)
	if s.at < 0 {
		s.at = len(s.chunk)
	}
	s.whole.end = p + len(bytes.TrimRight(s.chunk[p:s.at], blanks))
	s.at = min(s.at+1, len(s.chunk))
	s.err = s.fault(err)
	return true
}

// fault returns err with its place in the record.
func (s *Scanner) fault(err error) error {
	if syntax, ok := errors.AsType[*syntaxError](err); ok {
		syntax.at -= s.whole.start
	}
	return err
}

// record reads the record at p, and returns the position behind it.
func (s *Scanner) record(p int) (int, error) {
	b := s.b
	if b[p] != '{' {
		return p, s.noRecord(p)
	}
	s.object.start = p
	p++
	for slot := s.keys.beginning(); ; {
		if p < len(b) && b[p] == '}' {
			s.object.end = p + 1
			return p + 1, nil
		}
		next := &s.keys.after[slot]
		if n := len(next.text); n > 0 && len(b)-p >= n && string(b[p:p+n]) == string(next.text) {
			if p += n; p < len(b) && b[p] <= ' ' { // the record before may have had fewer blanks
				p = skipBlanks(b, p)
			}
		} else {
			end, found, err := s.findKey(p, slot)
			if err != nil || found < 0 {
				s.object.end = end
				return end, err
			}
			next = &s.keys.after[slot] // there may be more of them now
			next.text = next.text[:0]
			if s.keys.learns && end-p <= maxGuess {
				next.text = append(next.text, b[p:end]...)
			}
			next.slot = found
			p = end
		}
		slot = next.slot
		if s.keys.isField(slot) && s.values[slot].kind == missing {
			if end := quickEnd(b, p, &s.values[slot]); end > 0 {
				p = end
				continue
			}
		}
		var err error
		if p, err = s.value(p, slot); err != nil {
			return p, err
		}
	}
}

// quickEnd reads the value at p if it is of those that most are: a string of ASCII without escapes,
// or a whole number. It returns the position behind it, 0 if it is another one.
func quickEnd(b []byte, p int, v *value) int {
	if p >= len(b) {
		return 0
	}
	end := p + 1
	switch c := b[p]; {
	case c == '"':
		if end = plainEnd(b, end); end == len(b) || b[end] != '"' {
			return 0
		}
		*v = value{plain, int32(p + 1), int32(end)}
		return end + 1
	case c-'1' < 9:
		if end = digitsEnd(b, end); end == len(b) || b[end] != ',' && b[end] != '}' {
			return 0
		}
		*v = value{verbatim, int32(p), int32(end)}
		return end
	}
	return 0
}

// noRecord says what is wrong with something else than an object at p.
func (s *Scanner) noRecord(p int) error {
	if s.b[p] == '[' {
		return errors.New("a record must be an object, {…}, not an array")
	}
	return unexpected(s.b, p, "an object, {…},")
}

// findKey reads what stands before the next value in the record: the key that follows the
// value of slot. It returns the slot of the key and the position of its value, or -1 and
// the position behind the record.
func (s *Scanner) findKey(p, slot int) (end, found int, err error) {
	b := s.b
	p = skipBlanks(b, p)
	switch first := slot == s.keys.beginning(); {
	case p < len(b) && b[p] == '}':
		return p + 1, -1, nil
	case p < len(b) && b[p] == ',' && !first:
		p = skipBlanks(b, p+1)
	case !first:
		return p, -1, unexpected(b, p, "a comma or }")
	}
	if p == len(b) || b[p] != '"' {
		return p, -1, unexpected(b, p, "a key in double quotes")
	}
	start := p + 1
	quote, isEscaped, err := stringEnd(b, start)
	if err != nil {
		return p, -1, err
	}
	key := b[start:quote]
	if isEscaped {
		if s.keys.scratch, err = appendString(s.keys.scratch[:0], key, false); err != nil {
			return p, -1, err
		}
		key = s.keys.scratch
	}
	if end, err = colonEnd(b, quote+1); err != nil {
		return end, -1, err
	}
	found, ok := s.keys.slots[string(key)]
	if !ok {
		if err := s.keys.unknown(string(key)); err != nil {
			return end, -1, &Error{Column: shortened(key), Err: err}
		}
		found = s.keys.leaveOut(key)
	}
	return end, found, nil
}

// maxName is the length in bytes of the longest key that errors have in full: PostgreSQL's names are
// shorter.
const maxName = 100

func shortened(key []byte) string {
	if len(key) <= maxName {
		return string(key)
	}
	return string(bytes.ToValidUTF8(key[:maxName], nil)) + "…"
}

var errTwice = errors.New("the record has this key twice")

// value reads the value at p, which is that of slot, and returns the position behind it.
func (s *Scanner) value(p, slot int) (int, error) {
	kind, start, end, err := s.read(p)
	switch {
	case err != nil:
		return end, s.in(slot, err)
	case !s.keys.isField(slot):
		if s.keys.nested != nil && kind >= object {
			s.keys.noteNested(slot)
		}
		return end, nil
	case s.values[slot].kind != missing:
		return end, &Error{Column: s.fields[slot].Name, Err: errTwice}
	}
	v := value{kind, int32(start), int32(end)}
	if kind == plain || kind == escaped {
		v.end-- // the quote
	}
	s.values[slot] = v
	return end, nil
}

// in returns err as one of the value of slot.
func (s *Scanner) in(slot int, err error) error {
	if !s.keys.isField(slot) {
		return err
	}
	return &Error{Column: s.fields[slot].Name, Err: err}
}

// read reads the value at p: what it is, where it starts, a string behind its quote, and where it
// ends.
func (s *Scanner) read(p int) (kind valueKind, start, end int, err error) {
	b := s.b
	if p == len(b) {
		return missing, p, p, unexpected(b, p, "a value")
	}
	switch c := b[p]; {
	case c == '"':
		kind = plain
		var isEscaped bool
		if end, isEscaped, err = stringEnd(b, p+1); isEscaped {
			kind = escaped
		}
		return kind, p + 1, end + 1, err
	case c == '-', c-'0' < 10:
		kind = verbatim
		end, err = numberEnd(b, p)
	case c == 't':
		kind = verbatim
		end, err = wordEnd(b, p, "true")
	case c == 'f':
		kind = verbatim
		end, err = wordEnd(b, p, "false")
	case c == 'n':
		kind = null
		end, err = wordEnd(b, p, "null")
	case c == '{':
		kind = object
		end, err = s.nest.end(b, p)
	case c == '[':
		kind = array
		end, err = s.nest.end(b, p)
	default:
		end, err = p, unexpected(b, p, "a value")
	}
	return kind, p, end, err
}
