package pgcopy

import (
	"bytes"
	"testing"
)

// TestASCIIPrefix holds that what is no ASCII, or zero, is found wherever it stands, and that what
// stands behind a value, or does not, changes nothing.
func TestASCIIPrefix(t *testing.T) {
	t.Parallel()
	for n := range 40 {
		for behind := range 10 {
			for _, other := range []byte{0, 0x80, 0xff} {
				data := bytes.Repeat([]byte{'x'}, n+behind)
				for i := n; i < len(data); i++ {
					data[i] = other
				}
				if got := asciiPrefix(data[:n]); got != n {
					t.Errorf("%d bytes of ASCII before %d of %#x: %d", n, behind, other, got)
				}
				for at := range n {
					data[at] = other
					if got := asciiPrefix(data[:n]); got > at || got < at-7 {
						t.Errorf("%#x at %d of %d: %d", other, at, n, got)
					}
					data[at] = 'x'
				}
			}
		}
	}
}
