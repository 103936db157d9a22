package pgcsv

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

// benchRecords is about a chunk of records, each with quotes or a few.
func benchRecords(quoted bool) []byte {
	var b []byte
	for i := 0; len(b) < ChunkSize-200; i++ {
		name := "a plain value"
		if quoted && i%4 == 0 {
			name = `"a ""quoted"", value"`
		}
		b = fmt.Appendf(b, "%d,%d,%s,http://example.com/%d,12.50,2020-01-01 00:00:00\n", i, i%100, name, i)
	}
	return b
}

func BenchmarkScan(b *testing.B) {
	for _, quoted := range []bool{false, true} {
		data := benchRecords(quoted)
		b.Run(fmt.Sprintf("quotes=%v", quoted), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			var s Scanner
			var fields []Field
			for b.Loop() {
				for s.Reset(data, LF, 1); s.Next(); {
					fields = s.AppendFields(fields[:0])
				}
			}
		})
	}
}

func BenchmarkCut(b *testing.B) {
	data := bytes.Repeat(benchRecords(true), 8)
	b.SetBytes(int64(len(data)))
	var buf []byte
	for b.Loop() {
		c := NewChunker(bytes.NewReader(data), 1<<24)
		for {
			var err error
			if buf, err = c.Next(buf); err == io.EOF {
				break
			}
		}
	}
}
