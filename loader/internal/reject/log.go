package reject

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"shardload/internal/fault"
	"shardload/internal/regular"
	"shardload/loader/internal/lane"
)

// A rejectEntry is a line of TABLE.rejects.jsonl. Mark is that of the batch: an
// entry counts if the lane's mark in the database is not behind it.
type rejectEntry struct {
	Job      string   `json:"job"`
	Lane     int32    `json:"lane"`
	Mark     [2]int64 `json:"mark"` // chunk, and records in it
	Input    string   `json:"input"`
	Line     int64    `json:"line"`
	Offset   int64    `json:"offset"` // in bytes, decompressed
	Record   *string  `json:"record,omitempty"`
	Base64   []byte   `json:"record_base64,omitempty"` // instead, if it is not UTF-8
	Column   string   `json:"column,omitempty"`
	SQLState string   `json:"sqlstate"`
	Reason   string   `json:"reason"`
	Detail   string   `json:"detail,omitempty"`
}

// bytes returns the original record, on one line if that is asked for.
func (e *rejectEntry) bytes(oneLine bool) []byte {
	record := e.Base64
	if e.Record != nil {
		record = []byte(*e.Record)
	}
	if oneLine {
		return onOneLine(record)
	}
	return record
}

// A span is a range of a file's bytes.
type span struct{ start, end int64 }

// A rejectLog is the file of a job's rejected records. It begins to exist with the
// first of them and is never empty: whoever finds it knows whose it is. What is
// written of a batch is on disk before the batch is committed; if that then fails,
// it is cut out again. Its methods may be called from several goroutines.
type rejectLog struct {
	names
	oneLine bool // of original records
	input   string
	note    func(path string) error // called when the path is known; nil for nobody

	mu      sync.Mutex
	path    string // "" as long as there is no file
	f       *os.File
	size    int64
	pending map[*lane.Batch]span // of batches of which it is not known whether they are stored
}

// file returns the path of the file, "" if there is none.
func (g *rejectLog) file() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.path
}

// create makes the file, which has no name yet, and its directory.
func (g *rejectLog) create() (err error) {
	dir := cmp.Or(g.dir, ".")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	g.f, err = g.tempFile(dir)
	g.size = 0
	return err
}

// publish gives the file the first name that is free, now that there is something in
// it.
func (g *rejectLog) publish() error {
	for n := 1; ; n++ {
		jsonl, csv := g.paths(n)
		jsonl, err := filepath.Abs(jsonl)
		if err != nil {
			return err
		}
		if isThere(csv) {
			continue
		}
		err = os.Link(g.f.Name(), jsonl)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		g.path = jsonl
		if err := errors.Join(os.Remove(g.f.Name()), regular.SyncDir(filepath.Dir(jsonl))); err != nil || g.note == nil {
			return err
		}
		return g.note(jsonl)
	}
}

// discard removes the file, and that of original records if it was written.
func (g *rejectLog) discard() error {
	err := g.f.Close()
	if g.path == "" {
		err = errors.Join(err, removeIfThere(g.f.Name()))
	} else {
		err = errors.Join(err, g.removeBoth(g.path))
	}
	g.f, g.path, g.size = nil, "", 0
	return err
}

// write writes the entries of a batch, which each gives to the function that it is
// called with, and waits until they are on disk. What was written when it was last
// tried is cut out.
func (g *rejectLog) write(b *lane.Batch, number int32, each func(func(lane.Cause, lane.Origin, []byte) error) error) (err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.cut(b); err != nil || b.Rejects() == 0 {
		return keepError(err)
	}
	first := g.f == nil
	if first {
		if err := g.create(); err != nil {
			return keepError(err)
		}
	}
	start := g.size
	w := bufio.NewWriterSize(io.NewOffsetWriter(g.f, start), 64<<10)
	out := json.NewEncoder(&byteCounter{&g.size, w})
	out.SetEscapeHTML(false)
	err = each(func(c lane.Cause, at lane.Origin, record []byte) error {
		e := newEntry(b, number, c, at, record)
		e.Job, e.Input = g.job, cmp.Or(at.Source, g.input)
		return out.Encode(e)
	})
	g.pending[b] = span{start, g.size}
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = g.f.Sync()
	}
	if err == nil && first {
		err = g.publish()
	}
	if err != nil {
		return keepError(errors.Join(err, g.cut(b)))
	}
	return nil
}

// keepError returns err with what was tried.
func keepError(err error) error {
	if err == nil {
		return nil
	}
	return fault.Advise(fmt.Errorf("keep rejected records: %w", err), "Config.RejectsDir names another directory")
}

// A byteCounter counts the bytes that it hands on.
type byteCounter struct {
	n *int64
	w io.Writer
}

func (c *byteCounter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	*c.n += int64(n)
	return n, err
}

// confirm makes what was written of b last: b is stored.
func (g *rejectLog) confirm(b *lane.Batch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.pending, b)
}

// undo cuts out what was written of b, which is not stored.
func (g *rejectLog) undo(b *lane.Batch) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return keepError(g.cut(b))
}

// cut cuts out what was written of b when it was last tried.
func (g *rejectLog) cut(b *lane.Batch) error {
	s, ok := g.pending[b]
	if !ok {
		return nil
	}
	delete(g.pending, b)
	switch {
	case s.end == g.size && s.start == 0:
		return g.discard()
	case s.end == g.size:
		g.size = s.start
		return errors.Join(g.f.Truncate(s.start), g.f.Sync())
	}
	err := g.replace(g.path, func(w io.Writer) error {
		_, err := io.Copy(w, io.MultiReader(io.NewSectionReader(g.f, 0, s.start), io.NewSectionReader(g.f, s.end, g.size-s.end)))
		return err
	})
	if err != nil {
		return err
	}
	length := s.end - s.start
	g.size -= length
	for other, o := range g.pending {
		if o.start >= s.end {
			g.pending[other] = span{o.start - length, o.end - length}
		}
	}
	old := g.f
	if g.f, err = regular.OpenFile(g.path, os.O_RDWR|syscall.O_NOFOLLOW, 0); err != nil {
		g.f = old
		return err
	}
	return old.Close()
}

// close closes the file.
func (g *rejectLog) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.f == nil {
		return nil
	}
	err := g.f.Close()
	g.f = nil
	return err
}
