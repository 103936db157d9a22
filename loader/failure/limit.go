package failure

import (
	"fmt"
	"strconv"
	"strings"

	"shardload/internal/term"
)

// An ErrorLimit says how many records of a job may be rejected. The zero value
// allows none: the first bad record stops the load.
type ErrorLimit struct {
	Records int64   // at most so many, or
	Percent float64 // if not 0, so much of the records read so far
}

// percentFrom is the number of records after which a percentage is judged for the
// first time before the end.
const percentFrom = 10_000

// ParseErrorLimit reads a limit as the command line has it: "100" or "0.5%".
func ParseErrorLimit(s string) (ErrorLimit, error) {
	bad := fmt.Errorf("%q: want a number of records, such as 100, or a share of them, such as 0.5%%", s)
	if share, ok := strings.CutSuffix(s, "%"); ok {
		p, err := strconv.ParseFloat(share, 64)
		if err != nil || !(p >= 0 && p <= 100) {
			return ErrorLimit{}, bad
		}
		return ErrorLimit{Percent: p}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return ErrorLimit{}, bad
	}
	return ErrorLimit{Records: n}, nil
}

// String returns the limit as ParseErrorLimit reads it.
func (m ErrorLimit) String() string {
	if m.Percent > 0 {
		return strconv.FormatFloat(m.Percent, 'g', -1, 64) + "%"
	}
	return strconv.FormatInt(m.Records, 10)
}

// None reports whether no record may be rejected.
func (m ErrorLimit) None() bool { return m == ErrorLimit{} }

// Exceeded reports whether rejected of read records are too many. A percentage of
// the first few records says little, unless they are all there are.
func (m ErrorLimit) Exceeded(rejected, read int64, all bool) bool {
	if m.Percent == 0 {
		return rejected > m.Records
	}
	return (all || read >= percentFrom) && float64(rejected)*100 > m.Percent*float64(read)
}

// A TooManyError reports that more records would have to be rejected than
// Config.MaxErrors allows.
type TooManyError struct {
	Limit    ErrorLimit
	Rejected int64
	Read     int64    // records so far
	Last     RowError // the one that was too much; without Err where all were counted at the end
	File     string   // with what was rejected before, "" if nothing is kept
}

// Advice names the setting.
func (e *TooManyError) Advice() string { return "Config.MaxErrors" }

func (e *TooManyError) Error() string {
	text := fmt.Sprintf("%s of the %s read so far cannot be stored, more than %s %s allows", term.Plural(e.Rejected, "record"), term.Count(e.Read), e.Advice(), e.Limit)
	if e.Last.Err != nil {
		text += "; the last one: " + e.Last.where() + ": " + e.Last.Err.Error()
	}
	if e.File != "" {
		text += "; others are in " + e.File
	}
	return text + "; allow more of them and go on: what is kept aside can be mended and loaded"
}

// Unwrap returns the last record, if there is one that was too much.
func (e *TooManyError) Unwrap() error {
	if e.Last.Err == nil {
		return nil
	}
	return &e.Last
}

// A Reason is why records of a job were rejected, and how often.
type Reason struct {
	SQLState string `json:"sqlstate"`
	Column   string `json:"column,omitempty"` // "" if whole records are at fault
	Records  int64  `json:"records"`
	Line     int64  `json:"line"`    // of the first of them
	Example  string `json:"example"` // why that one was rejected
}
