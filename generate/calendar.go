package generate

import (
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

// A date is a day as PostgreSQL writes it before a time: "2015-01-01 ".
type date [len("2015-01-01 ")]byte

// newCalendar returns all days that a row can be created or updated on.
func newCalendar() []date {
	calendar := make([]date, calendarDays)
	for i := range calendar {
		copy(calendar[i][:], epoch().AddDate(0, 0, i).Format("2006-01-02 "))
	}
	return calendar
}

// appendTime appends a time as 2015-01-01 00:00:00.
func (d *Dataset) appendTime(dst []byte, seconds int64) []byte {
	s := uint32(seconds)
	dst = append(dst, d.calendar[s/day][:]...)
	s %= day
	h, m := s/3600*2, s/60%60*2
	s = s % 60 * 2
	return append(dst, digits[h], digits[h+1], ':', digits[m], digits[m+1], ':', digits[s], digits[s+1])
}

// year returns the year of a time.
func (d *Dataset) year(seconds int64) int64 {
	y := &d.calendar[seconds/day]
	return int64(y[0]-'0')*1000 + int64(y[1]-'0')*100 + int64(y[2]-'0')*10 + int64(y[3]-'0')
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
