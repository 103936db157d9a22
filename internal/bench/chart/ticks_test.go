package chart

import (
	"strings"
	"testing"
)

func TestTicks(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		low, high float64
		want      string
	}{
		{0, 1, "0 0.2 0.4 0.6 0.8 1"},
		{0, 463, "0 100 200 300 400"},
		{0, 0.86, "0 0.2 0.4 0.6 0.8"},
		{0, 1250, "0 200 400 600 800 1000 1200"},
		{0, 90, "0 20 40 60 80"},
		{3, 3, ""},
	} {
		var labels []string
		for _, tick := range (ticker{}).Ticks(tc.low, tc.high) {
			labels = append(labels, tick.Label)
		}
		if got := strings.Join(labels, " "); got != tc.want {
			t.Errorf("ticks from %v to %v: %s, want %s", tc.low, tc.high, got, tc.want)
		}
	}
}
