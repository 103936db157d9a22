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

	"shardload/internal/ledger"
)

// A rejectEntry is a line of TABLE.rejects.jsonl. Mark is that of the batch: an
// entry counts if the lane's mark in the database is not behind it.
type rejectEntry struct {
	Job      string   `json:"job"`
	Lane     int32    `json:"lane"`
	Mark     [2]int64 `json:"mark"` // chunk, and rows of the lane in it
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
// first of them. What is written of a batch is on disk before the batch is
// committed; if that then fails, it is cut out again. Its methods may be called
// from several goroutines.
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

// goOn opens the file that earlier runs of j have begun, in the directory that this
// run is told, and drops what they have not stored. As many entries as rejected must
// be left; they are given to count.
func (g *rejectLog) goOn(j *job, rejected int64, count func(cause, int64)) error {
	path := j.Rejects
	if path == "" {
		path = g.own()
	}
	if path == "" && rejected == 0 {
		return nil
	}
	marks := map[int32]ledger.Mark{}
	for _, l := range j.lanes {
		marks[l.Number] = l.Mark
	}
	to, err := g.destination(path)
	if err != nil {
		return keepError(err)
	}
	kept := int64(0)
	size, err := filterRejects(path, to, func(e *rejectEntry) bool {
		mark, ok := marks[e.Lane]
		if e.Job != g.job || !ok || mark.Before(ledger.Mark{Chunk: e.Mark[0], Rows: e.Mark[1]}) {
			return false
		}
		kept++
		count(cause{column: e.Column, sqlState: e.SQLState, reason: e.Reason}, e.Line)
		return true
	})
	lost, unread := errors.AsType[*unreadError](err)
	switch {
	case err != nil && !unread:
		return keepError(err)
	case err != nil && rejected == 0 && errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return &JobError{j.Name, fmt.Sprintf("an earlier run has rejected %s, and they cannot be read: %v", plural(rejected, "record"), lost.err), "put the file back where it was, or " + anew}
	case kept != rejected:
		return &JobError{j.Name, fmt.Sprintf("an earlier run has rejected %s, but %s has %d of them", plural(rejected, "record"), path, kept), "put the file back as it was, or " + anew}
	case kept == 0:
		return errors.Join(removeIfThere(path), removeIfThere(to))
	}
	if to != path {
		if err := g.moved(path, to); err != nil {
			return keepError(err)
		}
	}
	g.path, g.size = to, size
	g.f, err = os.OpenFile(to, os.O_RDWR, 0)
	return err
}

// destination returns where the entries that earlier runs have left at path belong:
// there, unless this run is told another directory.
func (g *rejectLog) destination(path string) (string, error) {
	dir, err := filepath.Abs(g.dir)
	if err != nil || g.dir == "" || dir == filepath.Dir(path) {
		return path, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	for n := 1; ; n++ {
		jsonl, csv := g.paths(n)
		job, err := firstJob(jsonl)
		if errors.Is(err, fs.ErrNotExist) && !isThere(csv) || err == nil && job == g.job {
			return filepath.Abs(jsonl)
		}
	}
}

// moved notes that the entries are at another place now.
func (g *rejectLog) moved(from, to string) error {
	if g.note != nil {
		if err := g.note(to); err != nil {
			return err
		}
	}
	return removeIfThere(from)
}

// own returns the path of a file that this very job has begun without noting it,
// "" if there is none.
func (g *rejectLog) own() string {
	for n := 1; ; n++ {
		jsonl, csv := g.paths(n)
		job, err := firstJob(jsonl)
		if err == nil && job == g.job {
			return jsonl
		}
		if err != nil && !isThere(csv) {
			return ""
		}
	}
}

// firstJob returns the job of a file's first entry, "" if it has none.
func firstJob(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() // only read
	var e rejectEntry
	_ = json.NewDecoder(f).Decode(&e) // what is no entry is of no job
	return e.Job, nil
}

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

// An unreadError says that a file of rejected records cannot be read.
type unreadError struct{ err error }

func (e *unreadError) Error() string { return e.err.Error() }

func (e *unreadError) Unwrap() error { return e.err }

// filterRejects makes the file to of those entries of the file from that keep wants,
// and returns its size. They may be the same. A last line that was not written to
// its end is dropped.
func filterRejects(from, to string, keep func(*rejectEntry) bool) (size int64, err error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, &unreadError{err}
	}
	defer in.Close() // only read
	err = replaceFile(to, func(out io.Writer) error {
		r := bufio.NewReaderSize(in, 64<<10)
		for {
			line, err := r.ReadBytes('\n')
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return &unreadError{err}
			}
			var e rejectEntry
			if json.Unmarshal(line, &e) != nil || !keep(&e) {
				continue
			}
			size += int64(len(line))
			if _, err := out.Write(line); err != nil {
				return err
			}
		}
	})
	return size, err
}

// replaceFile makes the file at path what write writes, all of it or nothing, and
// readable for its owner alone.
func replaceFile(path string, write func(io.Writer) error) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
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

// create makes the file, under the first name that is free, and its directory.
func (g *rejectLog) create() error {
	if err := os.MkdirAll(cmp.Or(g.dir, "."), 0o700); err != nil {
		return err
	}
	for n := 1; ; n++ {
		jsonl, csv := g.paths(n)
		jsonl, err := filepath.Abs(jsonl)
		if err != nil {
			return err
		}
		if isThere(csv) {
			continue
		}
		f, err := os.OpenFile(jsonl, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		g.path, g.f, g.size = jsonl, f, 0
		return syncDir(filepath.Dir(jsonl))
	}
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
	first := g.path == ""
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
		e := rejectEntry{Job: g.job, Lane: lane, Mark: [2]int64{b.to.Chunk, b.to.Rows}, Input: g.input, Line: at.line, Offset: at.offset,
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
	if err == nil && first && g.note != nil {
		err = g.note(g.path)
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
	if s.end == g.size {
		g.size = s.start
		return errors.Join(g.f.Truncate(s.start), g.f.Sync())
	}
	err := replaceFile(g.path, func(w io.Writer) error {
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

// close closes the file. It removes one in which nothing is.
func (g *rejectLog) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.f == nil {
		return nil
	}
	err := g.f.Close()
	if g.f = nil; g.size == 0 {
		err = errors.Join(err, removeIfThere(g.path))
		g.path = ""
	}
	return err
}
