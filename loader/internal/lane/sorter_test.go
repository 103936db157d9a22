package lane

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"shardload/internal/pgcopy"
)

// TestSectionIsSorted holds that rows are sent in the order of their keys, those of
// equal keys in the order of the input, whole wherever they lie on the pages.
func TestSectionIsSorted(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for _, maxKey := range []uint64{1, 50, 1 << 63} {
		l := New(Options{Lanes: 1, Memory: 8 << 20, Batch: 8 << 20, Nodes: 1, Streams: 1, Sorted: true})
		type row struct {
			key  uint64
			data []byte
		}
		var rows []row
		for i := range 3000 {
			data := fmt.Appendf(nil, "%d:%s;", i, bytes.Repeat([]byte{'x'}, r.IntN(60)))
			if i%500 == 0 {
				data = append(data, bytes.Repeat([]byte{'y'}, 3*MaxPage)...)
			}
			rows = append(rows, row{r.Uint64N(maxKey), data})
			if err := l.Add(context.Background(), 0, NotationBinary, data, &Origin{Line: int64(i)}, rows[i].key); err != nil {
				t.Fatal(err)
			}
		}
		l.End()
		b, err := l.Next(context.Background(), 0)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortStableFunc(rows, func(a, b row) int { return bytes.Compare(big(a.key), big(b.key)) })
		want := pgcopy.AppendHeader(nil)
		for _, row := range rows {
			want = append(want, row.data...)
		}
		want = pgcopy.AppendTrailer(want)
		var s Sorter
		order := s.Sort(&b.Sections[0])
		for name, wrap := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader} {
			got, err := io.ReadAll(wrap(NewReader(&b.Sections[0], order)))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("keys below %d, %s: %d bytes, %v; want %d others", maxKey, name, len(got), err, len(want))
			}
		}
	}
}

func big(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
