package pgcopy

import "encoding/binary"

// Times are microseconds, and everything counts from the year 2000.
const (
	usPerSecond = 1_000_000
	usPerMinute = 60 * usPerSecond
	usPerHour   = 60 * usPerMinute
	usPerDay    = 24 * usPerHour

	yearZeroToEpoch = 730_119 // days from 0001-01-01 to 2000-01-01
)

func date(dst, v []byte) ([]byte, bool) {
	if len(v) != dateLen {
		return dst, false
	}
	days, ok := parseDate(v)
	if !ok {
		return dst, false
	}
	return binary.BigEndian.AppendUint64(dst, 4<<32|uint64(uint32(days))), true
}

// timestamp takes a time zone too, and ignores it, as the server does.
func timestamp(dst, v []byte) ([]byte, bool) {
	us, _, _, ok := parseTimestamp(v)
	if !ok {
		return dst, false
	}
	return binary.BigEndian.AppendUint64(append(dst, 0, 0, 0, 8), uint64(us)), true
}

// timestamptz is sure of a time only with its offset from UTC; without one, it
// is that of the session.
func timestamptz(dst, v []byte) ([]byte, bool) {
	us, offset, zoned, ok := parseTimestamp(v)
	if !ok || !zoned {
		return dst, false
	}
	return binary.BigEndian.AppendUint64(append(dst, 0, 0, 0, 8), uint64(us-offset)), true
}

// Lengths of YYYY-MM-DD and of what may follow it.
const (
	dateLen   = len("YYYY-MM-DD")
	minuteLen = len(" HH:MM")
	secondLen = len(":SS")
)

// parseTimestamp parses YYYY-MM-DD[{ |T}HH:MM[:SS[.ffffff]][zone]]: the clock
// time, and how far ahead of UTC the zone is.
func parseTimestamp(v []byte) (us, offset int64, zoned, ok bool) {
	days, ok := parseDate(v)
	if !ok {
		return 0, 0, false, false
	}
	us = int64(days) * usPerDay
	if len(v) == dateLen {
		return us, 0, false, true
	}
	clock, rest, ok := parseClock(v[dateLen:])
	if !ok {
		return 0, 0, false, false
	}
	us += clock
	if len(rest) == 0 {
		return us, 0, false, true
	}
	offset, ok = parseZone(rest)
	return us, offset, true, ok
}

// parseDate parses YYYY-MM-DD at the head of v, the years 0001 to 9999, into days
// since 2000-01-01. With four digits of year in front no DateStyle reads it
// otherwise.
func parseDate(v []byte) (days int, ok bool) {
	if len(v) < dateLen || v[4] != '-' || v[7] != '-' {
		return 0, false
	}
	century, year := twoDigits(v[0], v[1]), twoDigits(v[2], v[3])
	month, day := twoDigits(v[5], v[6]), twoDigits(v[8], v[9])
	if max(century, year) > 99 {
		return 0, false
	}
	year += 100 * century
	if year == 0 || month-1 > 11 || day == 0 || day > daysIn(year, month) {
		return 0, false
	}
	past := int(year - 1)
	days = 365*past + past/4 - past/100 + past/400 - yearZeroToEpoch
	return days + daysBefore(year, month) + int(day) - 1, true
}

// parseClock parses { |T}HH:MM[:SS[.ffffff]] at the head of v and returns what
// follows. An end of day as 24:00 and a leap second are left to the server, and
// so is a fraction that needs rounding.
func parseClock(v []byte) (us int64, rest []byte, ok bool) {
	if len(v) < minuteLen || v[0] != ' ' && v[0] != 'T' || v[3] != ':' {
		return 0, nil, false
	}
	hour, minute := twoDigits(v[1], v[2]), twoDigits(v[4], v[5])
	if hour > 23 || minute > 59 {
		return 0, nil, false
	}
	us = int64(hour)*usPerHour + int64(minute)*usPerMinute
	v = v[minuteLen:]
	if len(v) == 0 || v[0] != ':' {
		return us, v, true
	}
	if len(v) < secondLen {
		return 0, nil, false
	}
	second := twoDigits(v[1], v[2])
	if second > 59 {
		return 0, nil, false
	}
	us += int64(second) * usPerSecond
	v = v[secondLen:]
	if len(v) == 0 || v[0] != '.' {
		return us, v, true
	}
	fraction, rest, ok := parseFraction(v[1:])
	return us + fraction, rest, ok
}

// parseFraction parses the digits of a fraction of a second, one to six, and
// returns what follows.
func parseFraction(v []byte) (us int64, rest []byte, ok bool) {
	unit := int64(usPerSecond)
	i := 0
	for ; i < len(v) && v[i]-'0' <= 9; i++ {
		unit /= 10
		us += int64(v[i]-'0') * unit
	}
	return us, v[i:], i > 0 && unit > 0
}

// parseZone parses Z, ±HH, ±HHMM or ±HH:MM, which must be all of v, into an offset
// east of UTC. Other names of zones are the server's.
func parseZone(v []byte) (offset int64, ok bool) {
	if v[0] == 'Z' {
		return 0, len(v) == 1
	}
	if v[0] != '+' && v[0] != '-' {
		return 0, false
	}
	var hour, minute uint
	switch {
	case len(v) == len("+HH"):
		hour = twoDigits(v[1], v[2])
	case len(v) == len("+HHMM"):
		hour, minute = twoDigits(v[1], v[2]), twoDigits(v[3], v[4])
	case len(v) == len("+HH:MM") && v[3] == ':':
		hour, minute = twoDigits(v[1], v[2]), twoDigits(v[4], v[5])
	default:
		return 0, false
	}
	if hour > 14 || minute > 59 {
		return 0, false
	}
	offset = int64(hour)*usPerHour + int64(minute)*usPerMinute
	if v[0] == '-' {
		offset = -offset
	}
	return offset, true
}

// twoDigits returns the number with these digits, or more than 99 if they are
// none.
func twoDigits(tens, ones byte) uint {
	t, o := uint(tens-'0'), uint(ones-'0')
	if t > 9 || o > 9 {
		return 100
	}
	return 10*t + o
}

func isLeap(year uint) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

// daysIn returns the length of a month, which is 1 to 12.
func daysIn(year, month uint) uint {
	const length = "\x1f\x1c\x1f\x1e\x1f\x1e\x1f\x1f\x1e\x1f\x1e\x1f"
	if month == 2 && isLeap(year) {
		return 29
	}
	return uint(length[month-1])
}

// daysBefore returns how many days of the year precede a month, which is 1 to 12.
func daysBefore(year, month uint) int {
	before := [...]int{0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334}[month-1]
	if month > 2 && isLeap(year) {
		before++
	}
	return before
}
