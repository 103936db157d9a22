package generate

import (
	"encoding/binary"
	"strconv"
	"time"

	"shardload/schema"
)

// Times are seconds since the first company may have been created. A campaign is
// created after its company, an ad after its campaign, and a row is updated after
// that, each within a number of days.
const (
	day          = 24 * 60 * 60
	companyDays  = 1000
	campaignDays = 700
	adDays       = 200
	updateDays   = 160

	calendarDays = companyDays + campaignDays + adDays + updateDays
)

func epoch() time.Time { return time.Date(2015, time.January, 1, 0, 0, 0, 0, time.UTC) }

// A date is a day.
type date struct {
	text [len("2015-01-01 ")]byte // as PostgreSQL writes it before a time
	year uint8                    // since the first
}

// calendarYears is how many years a calendar is of.
const calendarYears = (calendarDays + 364) / 365

// A calendar has all days that a row can be created or updated on.
type calendar []date

func newCalendar() calendar {
	calendar := make(calendar, calendarDays)
	for i := range calendar {
		on := epoch().AddDate(0, 0, i)
		copy(calendar[i].text[:], on.Format("2006-01-02 "))
		calendar[i].year = uint8(on.Year() - epoch().Year())
	}
	return calendar
}

// appendTime appends a time as 2015-01-01 00:00:00. Its clock is eight bytes, two
// for each number and a colon between, and made like digits8 does.
func (c calendar) appendTime(dst []byte, seconds int64) []byte {
	s := uint32(seconds)
	dst = append(dst, c[s/day].text[:]...)
	s %= day
	v := uint64(s/3600) | uint64(s/60%60)<<24 | uint64(s%60)<<48
	tens := v * 103 >> 10 & 0x000F_00000F_00000F
	return binary.LittleEndian.AppendUint64(dst, (tens|(v-10*tens)<<8)+0x3030_3A_3030_3A_3030)
}

// year returns the year of a time, counted from the first.
func (c calendar) year(seconds int64) uint8 { return c[seconds/day].year }

// years returns the years' numbers.
func years() []string {
	names := make([]string, calendarYears)
	for i := range names {
		names[i] = strconv.Itoa(epoch().Year() + i)
	}
	return names
}

func timestamp(seconds int64) schema.Timestamp {
	return schema.Timestamp{Time: epoch().Add(time.Duration(seconds) * time.Second)}
}

// updated returns when a row was last changed: one in four never was.
func updated(created int64, random uint64) int64 {
	if random&3 == 0 {
		return created
	}
	return created + below(random, updateDays*day)
}
