package pgcopy_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Values near the hand-made ones, thousands in one COPY. Unlike the fuzz tests
// this covers the modifiers of types.
func TestRandomValues(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	for i, c := range known(t, conn, append(scalarCases(), arrayCases()...)) {
		if c.json || len(c.sure) == 0 {
			continue // most random JSON is refused
		}
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t, conn, c.name, allOpts)
			texts := slices.Concat(c.sure, c.unsure)
			texts = slices.DeleteFunc(texts, func(s string) bool { return len(s) > 200 })
			r := rand.New(rand.NewPCG(1, uint64(i)))
			sure := map[string]bool{}
			for range 5_000 {
				s := mutate(r, texts)
				if _, ok := p.enc(nil, []byte(s)); ok {
					sure[s] = true
				}
			}
			if len(sure) < 20 {
				t.Errorf("only %d random values are sure", len(sure))
			}
			p.check(t, slices.Sorted(maps.Keys(sure)))
		})
	}
}

// mutate returns one of texts with a few changes, made of what is in the others.
func mutate(r *rand.Rand, texts []string) string {
	s := texts[r.IntN(len(texts))]
	for range 1 + r.IntN(3) {
		other := texts[r.IntN(len(texts))]
		at := r.IntN(len(s) + 1)
		end := min(at+1, len(s))
		switch r.IntN(6) {
		case 0: // remove a byte
			s = s[:at] + s[end:]
		case 1, 2: // replace a byte, most often by a digit
			s = s[:at] + string('0'+rune(r.IntN(10))) + s[end:]
		case 3: // insert a digit
			s = s[:at] + string('0'+rune(r.IntN(10))) + s[at:]
		case 4: // replace a byte by one of another text
			if other != "" {
				i := r.IntN(len(other))
				s = s[:at] + other[i:i+1] + s[end:]
			}
		case 5: // the tail of another text
			s = s[:at] + other[min(at, len(other)):]
		}
	}
	return strings.Clone(s)
}
