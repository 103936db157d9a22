package pgtext

import (
	"bytes"
	"time"
)

// number returns the number that v's bytes are the digits of.
func number(v []byte) (n int, ok bool) {
	for _, c := range v {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// isDate reports whether v is a day that there is, as 2025-12-31.
func isDate(v []byte) bool {
	if len(v) != 10 || v[4] != '-' || v[7] != '-' {
		return false
	}
	y, ok1 := number(v[:4])
	m, ok2 := number(v[5:7])
	d, ok3 := number(v[8:])
	return ok1 && ok2 && ok3 && y > 0 && m >= 1 && m <= 12 && d >= 1 && d <= daysIn(y, m)
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// cutTime takes hh:mm:ss off the start of v, with a fraction of at most precision
// digits, and returns what is behind it. text has no zeros at the fraction's end.
func cutTime(v []byte, precision int) (text, rest []byte, ok bool) {
	if len(v) < 8 || v[2] != ':' || v[5] != ':' {
		return nil, nil, false
	}
	h, ok1 := number(v[:2])
	m, ok2 := number(v[3:5])
	s, ok3 := number(v[6:8])
	if !ok1 || !ok2 || !ok3 || h > 23 || m > 59 || s > 59 {
		return nil, nil, false
	}
	if len(v) == 8 || v[8] != '.' {
		return v[:8], v[8:], true
	}
	end := 9
	for end < len(v) && v[end]-'0' <= 9 {
		end++
	}
	if end == 9 || end-9 > precision {
		return nil, nil, false
	}
	text = bytes.TrimRight(v[:end], "0")
	if text[len(text)-1] == '.' {
		text = v[:8]
	}
	return text, v[end:], true
}

// precisionOf returns the digits of a fraction of a second that a type modifier
// leaves.
func precisionOf(typmod int32) int {
	if typmod < 0 || typmod > 6 {
		return 6
	}
	return int(typmod)
}

func date(v, _ []byte) ([]byte, bool) { return v, isDate(v) }

func timeOfDay(typmod int32) Form {
	precision := precisionOf(typmod)
	return func(v, _ []byte) ([]byte, bool) {
		text, rest, ok := cutTime(v, precision)
		return text, ok && len(rest) == 0
	}
}

// cutTimestamp takes a date and a time off the start of v.
func cutTimestamp(v []byte, precision int) (clock, rest []byte, ok bool) {
	if len(v) < 19 || v[10] != ' ' && v[10] != 'T' || !isDate(v[:10]) {
		return nil, nil, false
	}
	return cutTime(v[11:], precision)
}

func timestamp(typmod int32) Form {
	precision := precisionOf(typmod)
	return func(v, scratch []byte) ([]byte, bool) {
		clock, rest, ok := cutTimestamp(v, precision)
		if !ok || len(rest) > 0 {
			return nil, false
		}
		if v[10] == ' ' {
			return v[:11+len(clock)], true
		}
		text := append(append(scratch[:0], v[:10]...), ' ')
		return append(text, clock...), true
	}
}

func timestamptz(typmod int32, o Options) Form {
	precision := precisionOf(typmod)
	return func(v, scratch []byte) ([]byte, bool) {
		clock, rest, ok := cutTimestamp(v, precision)
		if !ok {
			return nil, false
		}
		offset, ok := zone(rest, o)
		if !ok {
			return nil, false
		}
		if offset != 0 {
			return shifted(v, clock, offset, scratch)
		}
		text := append(append(scratch[:0], v[:10]...), ' ')
		return append(append(text, clock...), "+00"...), true
	}
}

// zone returns how far east of Greenwich a zone such as +02, -03:30 or Z is.
func zone(v []byte, o Options) (offset time.Duration, ok bool) {
	switch {
	case len(v) == 0:
		return 0, o.UTC
	case string(v) == "Z":
		return 0, true
	case v[0] != '+' && v[0] != '-':
		return 0, false
	}
	hour, minute := v[1:], []byte("0")
	switch {
	case len(v) == 6 && v[3] == ':':
		hour, minute = v[1:3], v[4:]
	case len(v) == 5:
		hour, minute = v[1:3], v[3:]
	case len(v) != 3:
		return 0, false
	}
	h, ok1 := number(hour)
	m, ok2 := number(minute)
	if !ok1 || !ok2 || h > 14 || m > 59 {
		return 0, false
	}
	offset = time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
	if v[0] == '-' {
		offset = -offset
	}
	return offset, true
}

// shifted returns the time that v's date and clock show so far east of Greenwich,
// in UTC.
func shifted(v, clock []byte, offset time.Duration, scratch []byte) ([]byte, bool) {
	y, _ := number(v[:4])
	mo, _ := number(v[5:7])
	d, _ := number(v[8:10])
	h, _ := number(clock[:2])
	mi, _ := number(clock[3:5])
	s, _ := number(clock[6:8])
	t := time.Date(y, time.Month(mo), d, h, mi, s, 0, time.UTC).Add(-offset)
	if t.Year() < 1 || t.Year() > 9999 {
		return nil, false
	}
	text := t.AppendFormat(scratch[:0], time.DateTime)
	return append(append(text, clock[8:]...), "+00"...), true
}
