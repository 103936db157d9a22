package lane

import "testing"

// TestPartsOf holds that marks move with the length of the input, whatever it is cut into.
func TestPartsOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ bytes, usual, want int64 }{
		{1, 0, chunkParts},
		{1 << 20, 1 << 20, chunkParts},
		{3 << 20, 1 << 20, chunkParts},
		{1 << 19, 1 << 20, chunkParts / 2},
		{1, 1 << 20, 1},
		{-5, 1 << 20, 1},
	} {
		if got := partsOf(c.bytes, c.usual); got != c.want {
			t.Errorf("%d bytes of %d are %d parts, want %d", c.bytes, c.usual, got, c.want)
		}
	}
}
