package pgcsv

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// skipping cuts in after n lines, and returns what was skipped and the rest.
func skipping(in io.Reader, n, size int) (skipped, rest string, err error) {
	c := newChunker(in, size, 64)
	c.SetSkip(n)
	for {
		chunk, err := c.Next(nil)
		if errors.Is(err, io.EOF) {
			return skipped, rest, nil
		}
		if err != nil {
			return skipped, rest, err
		}
		at := c.Skipped()
		if rest != "" && at > 0 {
			return skipped, rest, errors.New("a later chunk has lines to be skipped")
		}
		skipped += string(chunk[:at])
		rest += string(chunk[at:])
	}
}

// Lines before the records may hold anything, such as half of a quoted value, and end as they
// like. They stand in the first chunk, wherever that ends.
func TestSkip(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in, skipped string
		n           int
		fails       bool
	}{
		{"it's \"so\na,b\n1,2\n", "it's \"so\n", 1, false},
		{"x\r\n\r\na\r\nb\r\n", "x\r\n\r\n", 2, false},
		{"x\ry\ra\n\"b\nc\"\n", "x\ry\r", 2, false},
		{"x\r\na\n", "x\r\n", 1, false},
		{"x\n\na\n", "x\n", 1, false},
		{"x\r", "", 1, false}, // nothing is left
		{"x", "", 1, false},
		{"", "", 3, false},
		{"x\ny\n", "", 3, true},
		{"a\n", "", 0, false},
		{strings.Repeat("x", 100) + "\na\n", "", 1, true},
	} {
		for size := 1; size < len(tt.in)+2; size++ {
			for _, r := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in)), iotest.DataErrReader(strings.NewReader(tt.in))} {
				skipped, rest, err := skipping(r, tt.n, size)
				_, short := errors.AsType[*SkipError](err)
				if short != tt.fails || !tt.fails && err != nil {
					t.Fatalf("%q without %d lines, in chunks of %d: error %v", tt.in, tt.n, size, err)
				}
				if !tt.fails && skipped != tt.skipped || tt.skipped != "" && skipped+rest != tt.in {
					t.Fatalf("%q without %d lines, in chunks of %d: %q are skipped, %q are left", tt.in, tt.n, size, skipped, rest)
				}
			}
		}
	}
}

// FuzzSkip holds that whatever is skipped, the rest is cut as if it stood alone.
func FuzzSkip(f *testing.F) {
	f.Add([]byte("note: \"\na,\"b\nc\"\n"), uint8(1), uint8(3))
	f.Fuzz(func(t *testing.T, in []byte, n, size uint8) {
		skipped, rest, err := skipping(bytes.NewReader(in), int(n), int(size)+1)
		if err != nil || skipped == "" {
			return
		}
		if skipped+rest != string(in) {
			t.Fatalf("%q: %q are skipped, %q are left", in, skipped, rest)
		}
		_, alone, err := skipping(strings.NewReader(rest), 0, int(size)+1)
		if err != nil || alone != rest {
			t.Fatalf("%q alone: %q, %v", rest, alone, err)
		}
	})
}
