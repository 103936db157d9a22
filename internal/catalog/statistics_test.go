package catalog

import "testing"

// TestStale holds the rule by which statistics are made anew.
func TestStale(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		is   Statistics
		rows int64
		want bool
	}{
		{Statistics{}, 50, false},
		{Statistics{}, 51, true},
		{Statistics{Missing: true}, 0, true},
		{Statistics{Rows: 1000}, 150, false},
		{Statistics{Rows: 1000}, 151, true},
		{Statistics{Rows: 1000, Since: 100}, 51, true},
		{Statistics{Rows: 1_000_000_000}, 100_000_000, false},
	} {
		if got := c.is.Stale(c.rows); got != c.want {
			t.Errorf("%+v and %d rows: stale %t", c.is, c.rows, got)
		}
	}
	if s, err := ReadStatistics("1 20 3"); err != nil || s != (Statistics{true, 20, 3}) {
		t.Errorf("%+v, error %v", s, err)
	}
	if s, err := ReadStatistics("none"); err == nil {
		t.Errorf("%+v is read from nothing", s)
	}
}
