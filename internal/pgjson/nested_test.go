package pgjson

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Keys that are left out are named where a value of theirs is nested: whether the scanner meets
// them where it expects them or not, and however many there are.
func TestNoteNested(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`{"a":{},"f":[],"b":1,"c":"[]"}` + "\n")
	for range 3 {
		b.WriteString(`{"a":1,"f":1,"b":1,"c":null}` + "\n")
	}
	b.WriteString(`{"a":1,"f":1,"b":[1],"c":"{}"}` + "\n" + `{"d\u0041":{"x":[]}}` + "\n")
	for i := range 2 * maxLeftOut {
		fmt.Fprintf(&b, `{"k%d":[]}`+"\n", i)
	}
	var got []string
	s := NewScanner([]Field{{Name: "f"}}, func(string) error { return nil })
	s.NoteNested(func(key string) { got = append(got, key) })
	for s.Reset([]byte(b.String()), Lines, true); s.Next(); {
		if s.err != nil {
			t.Fatal(s.err)
		}
	}
	if !slices.Equal(got[:3], []string{"a", "b", "dA"}) || len(got) != maxLeftOut-1 || got[4] != "k1" {
		t.Errorf("%d keys: %.60q", len(got), fmt.Sprint(got))
	}
}
