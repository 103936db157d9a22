package loader

import "testing"

// TestPassed holds that an input is as far as its records are stored, and not as far as it
// is read.
func TestPassed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                                        string
		far, read, offset, records, settled, passed int64
	}{
		{"nothing read", 0, 0, 0, 0, 0, 0},
		{"read, and nothing decoded", 100, 1000, 0, 0, 0, 0},
		{"decoded, and nothing stored", 100, 1000, 1000, 50, 0, 0},
		{"half of it stored", 100, 1000, 1000, 50, 25, 50},
		{"half decoded, half of that stored", 100, 1000, 500, 50, 25, 25},
		{"all stored", 100, 1000, 1000, 50, 50, 100},
		{"earlier runs have stored more than is read", 40, 400, 400, 20, 50, 40},
	} {
		var f front
		f.offset.Store(c.offset)
		f.records.Store(c.records)
		if got := f.passed(c.far, c.read, c.settled); got != c.passed {
			t.Errorf("%s: passed up to %d, want %d", c.name, got, c.passed)
		}
	}
}
