package decode

import (
	"slices"
	"testing"
)

// TestSettle holds that a record is asked about once for all that are alike, that NULL and the
// empty text are not, and that what is known already is not asked.
func TestSettle(t *testing.T) {
	t.Parallel()
	text := func(s string) []byte { return []byte(s) }
	long := "l" + string(make([]byte, 54))
	records := [][2][]byte{
		{text("a"), text("b")},
		{text("ab"), text("")},
		{text("a"), text("b")},
		{nil, text("x")},
		{text(""), text("x")},
		{nil, text("x")},
		{text(""), text(long)},
		{nil, text(long[1:])},
		{text("known"), nil},
		{text("a"), nil},
		{text("a"), text("")},
	}
	d := &decoder{fieldValues: fieldValues{known: known{}}}
	run := func() (asked []int, same [][2]int, d2 []answer) {
		d.answers = make([]answer, len(records))
		q := &computation{decoder: d, of: &Compute{Alike: true}, values: make([][][]byte, 2), first: map[string]int{}}
		for i, r := range records {
			for n := range r {
				q.values[n] = append(q.values[n], r[n])
			}
			q.settle(i)
			if len(q.values[0]) != len(q.records) || len(q.values[1]) != len(q.records) {
				t.Fatalf("record %d: %d and %d values of %d records", i, len(q.values[0]), len(q.values[1]), len(q.records))
			}
		}
		for i, key := range q.asked {
			if string(q.values[0][i]) == "known" {
				d.known[key] = answer{value: text("told"), told: true}
			}
		}
		return q.records, q.same, d.answers
	}
	asked, same, _ := run()
	if want := []int{0, 1, 3, 4, 6, 7, 8, 9, 10}; !slices.Equal(asked, want) {
		t.Errorf("asked about %v, want %v", asked, want)
	}
	if len(same) != 2 || same[0] != [2]int{2, 0} || same[1] != [2]int{5, 3} {
		t.Errorf("alike are %v", same)
	}
	asked, _, answers := run()
	if want := []int{0, 1, 3, 4, 6, 7, 9, 10}; !slices.Equal(asked, want) || string(answers[8].value) != "told" {
		t.Errorf("asked about %v, want %v; told %q", asked, want, answers[8].value)
	}
}
