package parquettext

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/parquet-go/parquet-go/format"
)

// A unit is what times are counted in: that many a second.
type unit int64

const (
	millis unit = 1e3
	micros unit = 1e6
	nanos  unit = 1e9
)

func unitOf(u format.TimeUnit) unit {
	switch u.Value.(type) {
	case *format.MilliSeconds:
		return millis
	case *format.MicroSeconds:
		return micros
	case *format.NanoSeconds:
		return nanos
	}
	return 0
}

const secondsPerDay = 86400

// timeForm is of times of day. They are in UTC if adjusted, which only a column with a time
// zone can hold.
func timeForm(l *leaf, u unit, adjusted bool) (form, error) {
	kind := format.Int64
	if u == millis {
		kind = format.Int32
	}
	if u == 0 {
		return form{}, fmt.Errorf("column %q: its unit of time is unknown", l.path)
	}
	w := func(dst, v []byte) ([]byte, error) {
		n := int64(0)
		if len(v) == 4 {
			n = int64(int32(binary.LittleEndian.Uint32(v)))
		} else {
			n = int64(binary.LittleEndian.Uint64(v))
		}
		if n < 0 || n > secondsPerDay*int64(u) {
			return dst, fmt.Errorf("%d is no time of day", n)
		}
		return appendClock(dst, n/int64(u), n%int64(u), u), nil
	}
	f := stringLike(w)
	if adjusted {
		f.zoned = suffixed(w, "+00")
	}
	return l.need(f, kind)
}

// timestampForm is of moments, if adjusted, or of dates with a time on the wall.
func timestampForm(l *leaf, u unit, adjusted bool) (form, error) {
	if u == 0 {
		return form{}, fmt.Errorf("column %q: its unit of time is unknown", l.path)
	}
	w := func(dst, v []byte) ([]byte, error) {
		return appendTimestamp(dst, int64(binary.LittleEndian.Uint64(v)), u), nil
	}
	f := form{text: w, json: quoted(isoOf(w)), plain: true}
	if adjusted {
		f = form{text: moment(w, "+00"), json: quoted(isoOf(moment(w, "+00:00"))), plain: true}
	}
	f.unit, f.adjusted = u, adjusted
	return l.need(f, format.Int64)
}

// moment returns w, which writes timestamps, with the time zone before what says that they
// are before Christ.
func moment(w writer, zone string) writer {
	return func(dst, v []byte) ([]byte, error) {
		dst, err := w(dst, v)
		if n := len(dst) - len(beforeChrist); n > 0 && string(dst[n:]) == beforeChrist {
			return append(append(dst[:n], zone...), beforeChrist...), err
		}
		return append(dst, zone...), err
	}
}

// appendTimestamp appends the time at, counted since 1970.
func appendTimestamp(dst []byte, at int64, u unit) []byte {
	second := at / int64(u)
	part := at - second*int64(u)
	if part < 0 {
		part += int64(u)
		second--
	}
	day := second / secondsPerDay
	if second -= day * secondsPerDay; second < 0 {
		second += secondsPerDay
		day--
	}
	dst, before := appendDay(dst, day)
	dst = appendClock(append(dst, ' '), second, part, u)
	if before {
		dst = append(dst, beforeChrist...)
	}
	return dst
}

func date(dst, v []byte) ([]byte, error) {
	dst, before := appendDay(dst, int64(int32(binary.LittleEndian.Uint32(v))))
	if before {
		dst = append(dst, beforeChrist...)
	}
	return dst, nil
}

// beforeChrist follows the dates of which it is true.
const beforeChrist = " BC"

// The day 1970-01-01 in the Julian count of days.
const julianEpoch = 2_440_588

// int96 appends the timestamp that old writers store as the nanoseconds of a day, and the
// Julian day.
func int96(dst, v []byte) ([]byte, error) {
	part := int64(binary.LittleEndian.Uint64(v))
	day := int64(int32(binary.LittleEndian.Uint32(v[8:])))
	if part < 0 || part > secondsPerDay*int64(nanos) {
		return dst, fmt.Errorf("%d nanoseconds are more than a day has", part)
	}
	day += part / (secondsPerDay * int64(nanos)) // some write the end of a day so
	part %= secondsPerDay * int64(nanos)
	dst, before := appendDay(dst, day-julianEpoch)
	dst = appendClock(append(dst, ' '), part/int64(nanos), part%int64(nanos), nanos)
	if before {
		dst = append(dst, beforeChrist...)
	}
	return dst, nil
}

// appendDay appends the date of a day counted since 1970-01-01, and says whether its year
// is one before Christ.
//
// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
func appendDay(dst []byte, day int64) (out []byte, before bool) {
	day += 719_468 // since 0000-03-01
	era := day / 146_097
	if day < 0 {
		era = (day - 146_096) / 146_097
	}
	inEra := uint64(day - era*146_097)
	yearOfEra := (inEra - inEra/1460 + inEra/36_524 - inEra/146_096) / 365
	inYear := inEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	shifted := (5*inYear + 2) / 153
	dom := inYear - (153*shifted+2)/5 + 1
	year, month := int64(yearOfEra)+era*400, shifted+3
	if month > 12 {
		month -= 12
		year++
	}
	if before = year < 1; before {
		year = 1 - year
	}
	if year > 9999 {
		dst = strconv.AppendInt(dst, year, 10)
	} else {
		dst = appendTwo(appendTwo(dst, uint64(year)/100), uint64(year)%100)
	}
	return appendTwo(append(appendTwo(append(dst, '-'), month), '-'), dom), before
}

// appendClock appends a time of day, with as many digits of its fraction as are not zero.
func appendClock(dst []byte, second, part int64, u unit) []byte {
	s := uint64(second)
	hours := s / 3600
	if hours > 99 { // of an interval
		dst = strconv.AppendUint(dst, hours/100, 10)
		hours %= 100
	}
	dst = append(appendTwo(dst, hours), ':')
	dst = append(appendTwo(dst, s/60%60), ':')
	dst = appendTwo(dst, s%60)
	if part == 0 {
		return dst
	}
	dst = append(dst, '.')
	for unit := int64(u) / 10; part > 0; unit /= 10 {
		dst = append(dst, byte('0'+part/unit))
		part %= unit
	}
	return dst
}

// appendTwo appends a number of two digits.
func appendTwo(dst []byte, n uint64) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

// interval appends an interval of months, days and milliseconds as PostgreSQL writes it in
// its own style.
func interval(dst, v []byte) ([]byte, error) {
	months, days, ms := binary.LittleEndian.Uint32(v), binary.LittleEndian.Uint32(v[4:]), binary.LittleEndian.Uint32(v[8:])
	start := len(dst)
	for _, part := range []struct {
		n    uint32
		name string
	}{{months / 12, "year"}, {months % 12, "mon"}, {days, "day"}} {
		if part.n == 0 {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ' ')
		}
		dst = append(append(strconv.AppendUint(dst, uint64(part.n), 10), ' '), part.name...)
		if part.n != 1 {
			dst = append(dst, 's')
		}
	}
	if ms > 0 || len(dst) == start {
		if len(dst) > start {
			dst = append(dst, ' ')
		}
		dst = appendClock(dst, int64(ms)/1000, int64(ms)%1000, millis)
	}
	return dst, nil
}
