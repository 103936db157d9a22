package lane

import (
	"context"
	"errors"
	"testing"

	"shardload/internal/ledger"
)

// startsAt are where records start.
type startsAt []int

func (s startsAt) Len() int        { return len(s) }
func (s startsAt) Start(i int) int { return s[i] }

// TestSectionKnowsParts holds that each row of a section knows of which part it is, and on which
// line of it, whatever parts its neighbours are of.
func TestSectionKnowsParts(t *testing.T) {
	t.Parallel()
	l := New(Options{Lanes: 1, Memory: 8 << 20, Batch: 8 << 20, Nodes: 1, Streams: 1, Origins: true})
	var want []Spot
	add := func(source string, line int64) {
		want = append(want, Spot{source, line})
		if err := l.Add(context.Background(), 0, NotationRecord, []byte("row"), &Origin{Line: line, Offset: line * 10, Size: 3}, 0); err != nil {
			t.Fatal(err)
		}
	}
	for i, source := range []string{"a.csv", "empty.csv", "b.csv"} {
		if err := l.Front().Turn(&Turn{Source: source, Chunk: int64(i) << 32}); err != nil {
			t.Fatal(err)
		}
		for line := int64(9); line > 0 && source != "empty.csv"; line -= 4 {
			add(source, line)
		}
	}
	l.End()
	b, err := l.Next(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &b.Sections[0]
	refs := p.Refs()
	for i, want := range want {
		if got := p.Spot(int64(i)); got != want || refs[i].Spot() != want || refs[i].Offset != want.Line*10 {
			t.Errorf("row %d is at %v, and %v by its reference, want %v", i, got, refs[i].Origin, want)
		}
	}
	if got, want := b.Span(), (Span{want[0], want[len(want)-1]}); got != want {
		t.Errorf("the batch is from %v, want %v", got, want)
	}
}

// TestTurnProvesMarks holds that a mark which an earlier run has left at the end of a part, or
// within one, is compared with that part, and that one behind the end of a part is refused.
func TestTurnProvesMarks(t *testing.T) {
	t.Parallel()
	const first, second = int64(1) << 32, int64(2) << 32
	ended := ledger.Place{Offset: 100, Line: 5, Records: 4, Sum: 77}
	for name, tt := range map[string]struct {
		mark  ledger.Mark
		place ledger.Place
		other bool
	}{
		"the end of a part":        {ledger.Mark{Chunk: first + 1}, ended, false},
		"another end":              {ledger.Mark{Chunk: first + 1}, ledger.Place{Offset: 100, Line: 5, Records: 4, Sum: 78}, true},
		"a part that was longer":   {ledger.Mark{Chunk: first + 2}, ended, true},
		"the beginning of a part":  {ledger.Mark{Chunk: second}, ledger.Place{Line: 1, Records: 4, Sum: 9}, false},
		"a beginning with another": {ledger.Mark{Chunk: second}, ledger.Place{Line: 1, Records: 4, Sum: 8}, true},
	} {
		l := New(Options{Lanes: 1, Memory: 8 << 20, Batch: 8 << 20, Nodes: 1, Streams: 1})
		l.Resume([]ledger.Lane{{Mark: tt.mark, Place: tt.place}}, true)
		f := l.Front()
		err := f.Turn(&Turn{Source: "a", Chunk: first, Sum: 7})
		for i, data := range [][]byte{[]byte("first"), []byte("second")} {
			if err == nil && i > 0 {
				err = f.Turn(&Turn{Source: "b", Chunk: second, Sum: 9})
			}
			if err == nil {
				err = f.Enter(data, startsAt{0})
			}
			if err == nil {
				l.Finish(ended)
			}
		}
		if err == nil {
			err = f.Prove(true)
		}
		_, other := errors.AsType[*OtherInputError](err)
		if other != tt.other || err != nil && !other {
			t.Errorf("%s: %v", name, err)
		}
	}
}
