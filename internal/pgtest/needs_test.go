package pgtest

import "testing"

func TestBefore(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{{"11.3-1", "12.0", true}, {"12.0-1", "12.0", false}, {"13.2-1", "12.0", false}, {"12.1-1", "12.10", true}, {"9.5", "12.0", true}} {
		if got := before(tt.a, tt.b); got != tt.want {
			t.Errorf("%s before %s: %t", tt.a, tt.b, got)
		}
	}
}
