package loader

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
	"strings"
	"sync"
	"unicode/utf8"
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
}

// bytes returns the original record.
func (e *rejectEntry) bytes() []byte {
	if e.Record != nil {
		return []byte(*e.Record)
	}
	return e.Base64
}

// A span is a range of a file's bytes.
type span struct{ start, end int64 }

// A rejectLog is the file of a job's rejected records. It begins to exist with the
// first of them and is never empty: whoever finds it knows whose it is. What is
// written of a batch is on disk before the batch is committed; if that then fails,
// it is cut out again. Its methods may be called from several goroutines.
type rejectLog struct {
	dir, table, job, input string
	note                   func(path string) error // called when the path is known; nil for nobody

	mu      sync.Mutex
	path    string // "" as long as there is no file
	f       *os.File
	size    int64
	pending map[*batch]span // of batches of which it is not known whether they are stored
}

// file returns the path of the file, "" if there is none.
func (g *rejectLog) file() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.path
}

// paths returns the n-th choice of names, from 1.
func (g *rejectLog) paths(n int) (jsonl, csv string) {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`/\:`, r) {
			return '_'
		}
		return r
	}, g.table) + ".rejects"
	if n > 1 {
		name += fmt.Sprintf(".%d", n)
	}
	name = filepath.Join(g.dir, name)
	return name + ".jsonl", name + ".csv"
}

// csvOf returns the name of the file of original records beside that one.
func csvOf(jsonl string) string { return strings.TrimSuffix(jsonl, ".jsonl") + ".csv" }

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeBoth removes a file of rejected records and the one beside it.
func removeBoth(jsonl string) error {
	return errors.Join(removeIfThere(csvOf(jsonl)), removeIfThere(jsonl))
}

// tempPrefix begins the names of the job's files that have no other name yet.
func (g *rejectLog) tempPrefix() string { return ".shardload-rejects-" + g.job + "-" }

// tempFile makes such a file, readable for its owner alone.
func (g *rejectLog) tempFile(dir string) (*os.File, error) {
	return os.CreateTemp(dir, g.tempPrefix()+"*") // mode 0600
}

// sweep removes such files that killed runs have left in dir.
func (g *rejectLog) sweep(dir string) error {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), g.tempPrefix()) {
			err = errors.Join(err, removeIfThere(filepath.Join(dir, f.Name())))
		}
	}
	return err
}

// replace makes the file at path what write writes, all of it or nothing.
func (g *rejectLog) replace(path string, write func(io.Writer) error) (err error) {
	tmp, err := g.tempFile(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeIfThere(tmp.Name()))
		}
	}()
	w := bufio.NewWriterSize(tmp, 64<<10)
	err = write(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
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
		if err := errors.Join(os.Remove(g.f.Name()), syncDir(filepath.Dir(jsonl))); err != nil || g.note == nil {
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
		err = errors.Join(err, removeBoth(g.path))
	}
	g.f, g.path, g.size = nil, "", 0
	return err
}

// write writes the entries of a batch, which each gives to the function that it is
// called with, and waits until they are on disk. What was written when it was last
// tried is cut out.
func (g *rejectLog) write(b *batch, lane int32, each func(func(cause, origin, []byte) error) error) (err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.cut(b); err != nil || b.rejects() == 0 {
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
	err = each(func(c cause, at origin, record []byte) error {
		e := rejectEntry{Job: g.job, Lane: lane, Mark: [2]int64{b.to.Chunk, b.to.Records}, Input: g.input, Line: at.line, Offset: at.offset,
			Column: c.column, SQLState: c.sqlState, Reason: c.reason}
		if text := string(record); utf8.ValidString(text) {
			e.Record = &text
		} else {
			e.Base64 = record
		}
		return out.Encode(&e)
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
	return fmt.Errorf("keep rejected records (--rejects names another directory): %w", err)
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

// settle makes what was written of b last: b is stored.
func (g *rejectLog) settle(b *batch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.pending, b)
}

// undo cuts out what was written of b, which is not stored.
func (g *rejectLog) undo(b *batch) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return keepError(g.cut(b))
}

// cut cuts out what was written of b when it was last tried.
func (g *rejectLog) cut(b *batch) error {
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
	if g.f, err = os.OpenFile(g.path, os.O_RDWR, 0); err != nil {
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
