package decode

import "testing"

// TestNamesMoment holds in which texts a word for the moment is found.
func TestNamesMoment(t *testing.T) {
	t.Parallel()
	for v, want := range map[string]bool{
		"now": true, " NOW ": true, "\tToday\n": true, "today 10:00": true, "10:00today": true, "{now}": true, "[yesterday,tomorrow)": true, `(1,"now")`: true,
		`{n\ow}`: true, `{"\n\o\w"}`: true, `[n"o"w,)`: true, `{{"(1,\"now\")"}}`: true, "2026-01-01 now": true,
		"": false, "no": false, "nowhere": false, "snow": false, "knows": false, "2026-01-01": false, "n o w": false, `nö"w`: false, `now\x`: false,
	} {
		if got := namesMoment([]byte(v)); got != want {
			t.Errorf("%q: %t", v, got)
		}
	}
}
