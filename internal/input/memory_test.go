package input

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"shardload/internal/pgcsv"
)

// TestMemoryIsUsedAgain holds that small files, of which a set may have many, cost no new memory
// each: a chunk gives all of its memory back, without its header, too, and what has ended takes
// none.
func TestMemoryIsUsedAgain(t *testing.T) {
	t.Parallel()
	c := &Chunk{Data: append(make([]byte, 0, 100), "id\n1\n2\n"...), EOL: pgcsv.LF}
	c.Behind(3)
	if got := cap(c.Buffer()); got != 100 {
		t.Errorf("a chunk without its header gives back %d bytes of 100", got)
	}

	chunker := pgcsv.NewChunker(strings.NewReader("1\n"), 1<<20)
	data, err := chunker.Next(nil)
	if string(data) != "1\n" || err != nil {
		t.Fatalf("%q, error %v", data, err)
	}
	if end, err := chunker.Next(nil); cap(end) != 0 || err == nil {
		t.Errorf("after its end a stream takes %d bytes, error %v", cap(end), err)
	}
}

// TestClosedSource holds that nothing is read from a Source that is closed: another one has its
// buffer.
func TestClosedSource(t *testing.T) {
	t.Parallel()
	s, err := New("closed", bytes.NewReader(bytes.Repeat([]byte("x"), 1<<20)), Auto)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.Read(make([]byte, 10)); n != 10 || err != nil {
		t.Fatalf("read %d bytes, error %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Read(make([]byte, 10)); n != 0 || !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read %d bytes after it was closed, error %v", n, err)
	}
}
