package schema

import (
	"fmt"
	"strings"
	"time"
)

// A Company is one row of companies. The csv tags are the column names, for
// gocsv.
type Company struct {
	ID        int32     `csv:"id"`
	Name      string    `csv:"name"`
	ImageURL  string    `csv:"image_url"`
	CreatedAt Timestamp `csv:"created_at"`
	UpdatedAt Timestamp `csv:"updated_at"`
}

// A Campaign is one row of campaigns. Without its omitempty gocsv would read a
// NULL budget as 0.
type Campaign struct {
	ID                  int32     `csv:"id"`
	CompanyID           int32     `csv:"company_id"`
	Name                string    `csv:"name"`
	CostModel           string    `csv:"cost_model"`
	State               string    `csv:"state"`
	MonthlyBudget       *int32    `csv:"monthly_budget,omitempty"` // nil is NULL
	BlacklistedSiteURLs TextArray `csv:"blacklisted_site_urls"`
	CreatedAt           Timestamp `csv:"created_at"`
	UpdatedAt           Timestamp `csv:"updated_at"`
}

// An Ad is one row of ads.
type Ad struct {
	ID               int32     `csv:"id"`
	CompanyID        int32     `csv:"company_id"`
	CampaignID       int32     `csv:"campaign_id"`
	Name             string    `csv:"name"`
	ImageURL         string    `csv:"image_url"`
	TargetURL        string    `csv:"target_url"`
	ImpressionsCount int64     `csv:"impressions_count"`
	ClicksCount      int64     `csv:"clicks_count"`
	CreatedAt        Timestamp `csv:"created_at"`
	UpdatedAt        Timestamp `csv:"updated_at"`
}

// TimestampLayout is how a Timestamp is written in CSV: PostgreSQL's ISO output,
// to the second.
const TimestampLayout = "2006-01-02 15:04:05"

// A Timestamp is a timestamp without time zone: a date and a wall-clock time,
// held as if it were UTC.
type Timestamp struct{ time.Time }

// MarshalCSV returns t as PostgreSQL's ISO date style prints it, with a fraction
// of a second only where there is one.
func (t Timestamp) MarshalCSV() (string, error) {
	return t.Format(TimestampLayout + ".999999"), nil
}

// UnmarshalCSV sets t from the ISO form that MarshalCSV writes. Like PostgreSQL
// it rounds to the microsecond and knows no year 0.
func (t *Timestamp) UnmarshalCSV(s string) error {
	at, err := time.Parse(TimestampLayout+".999999", s)
	if err != nil {
		return fmt.Errorf("timestamp %q: want the form %s", s, TimestampLayout)
	}
	at = at.Round(time.Microsecond)
	if at.Year() < 1 || at.Year() > 9999 {
		return fmt.Errorf("timestamp %q: want a year from 1 to 9999", s)
	}
	t.Time = at
	return nil
}

// A TextArray is a one-dimensional array of text without NULL elements. A nil
// TextArray is NULL, which CSV writes as an empty field; an empty one is {}.
type TextArray []string

// MarshalCSV returns a as PostgreSQL writes arrays, or "" for NULL.
func (a TextArray) MarshalCSV() (string, error) {
	if a == nil {
		return "", nil
	}
	var b strings.Builder
	b.WriteByte('{')
	for i, s := range a {
		if i > 0 {
			b.WriteByte(',')
		}
		appendElement(&b, s)
	}
	b.WriteByte('}')
	return b.String(), nil
}

// special are the bytes that an array's element cannot hold without quotes.
const special = "{},\"\\ \t\n\r\v\f"

// appendElement writes s as PostgreSQL's array_out does, quoted only where it
// has to be.
func appendElement(b *strings.Builder, s string) {
	if s != "" && !strings.EqualFold(s, "null") && !strings.ContainsAny(s, special) {
		b.WriteString(s)
		return
	}
	b.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
}

// UnmarshalCSV sets a from an array as PostgreSQL writes it. It takes what MarshalCSV
// and array_out write for one-dimensional arrays without NULLs, needless quotes
// too, and returns an error for everything else.
func (a *TextArray) UnmarshalCSV(s string) error {
	if s == "" {
		*a = nil
		return nil
	}
	if len(s) < 2 || s[0] != '{' || s[len(s)-1] != '}' {
		return fmt.Errorf("array %q: want the form {a,b}", s)
	}
	elements := TextArray{}
	for rest := s[1 : len(s)-1]; rest != ""; {
		element, after, err := cutElement(rest)
		if err != nil {
			return fmt.Errorf("array %q: %w", s, err)
		}
		elements = append(elements, element)
		rest = after
	}
	*a = elements
	return nil
}

// cutElement returns the first element of an array's inside and what follows its
// comma.
func cutElement(s string) (element, rest string, err error) {
	if s[0] != '"' {
		element, rest, more := strings.Cut(s, ",")
		switch {
		case element == "" || more && rest == "":
			return "", "", fmt.Errorf("an empty element must be quoted")
		case strings.EqualFold(element, "null"):
			return "", "", fmt.Errorf("NULL elements are not supported")
		case strings.ContainsAny(element, special):
			return "", "", fmt.Errorf("element %q needs quotes", element)
		}
		return element, rest, nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '"':
			rest = s[i+1:]
			if rest == "" {
				return b.String(), "", nil
			}
			if rest[0] != ',' || len(rest) == 1 {
				return "", "", fmt.Errorf("a comma and an element must follow a closing quote")
			}
			return b.String(), rest[1:], nil
		default:
			b.WriteByte(c)
		}
	}
	return "", "", fmt.Errorf("a quote is left open")
}
