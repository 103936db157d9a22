package generate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"shardload/internal/regular"
)

// A journal says which files of an unfinished dataset are finished. Its first line
// is the manifest without files, each further line one file.
type journal struct {
	dir, path string
	file      *os.File
	known     map[string]File // by name; of this dataset, but perhaps changed since
	begun     map[string]bool // names of files that were about to be put in their places
}

// A journalLine is a line of the journal but the first.
type journalLine struct {
	File
	// Begun says that the file is only begun: a run that is killed then leaves it
	// there or not.
	Begun bool `json:"begun,omitempty"`
}

// openJournal begins the journal of the dataset in dir that head describes. Files
// that an earlier journal or manifest knows are in it: if there is one, it is of the
// same dataset.
func openJournal(dir string, head Manifest, entries []os.DirEntry, makes func(name string) bool) (*journal, error) {
	j := &journal{dir: dir, path: filepath.Join(dir, head.journalName()), known: map[string]File{}, begun: map[string]bool{}}
	if m, err := readManifest(filepath.Join(dir, head.name())); err == nil {
		j.learn(m)
	}
	if m, begun, err := readLines(j.path); err == nil {
		j.learn(m)
		for _, name := range begun {
			j.begun[name] = true
		}
	}
	for _, e := range entries {
		if name := e.Name(); makes(name) && !manifestName.MatchString(name) && !j.knows(name) {
			return nil, fileError(filepath.Join(dir, name), errOthers)
		}
	}
	err := replaceFile(j.path, func(w io.Writer) error {
		e := json.NewEncoder(w)
		err := e.Encode(head)
		for _, name := range slices.Sorted(maps.Keys(j.begun)) {
			err = errors.Join(err, e.Encode(journalLine{File: File{Name: name}, Begun: true}))
		}
		for _, name := range slices.Sorted(maps.Keys(j.known)) {
			err = errors.Join(err, e.Encode(j.known[name]))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if j.file, err = regular.OpenFile(j.path, os.O_WRONLY|os.O_APPEND|syscall.O_NOFOLLOW, 0); err != nil {
		return nil, fileError(j.path, err)
	}
	return j, nil
}

// learn notes the files of m.
func (j *journal) learn(m Manifest) {
	for _, f := range m.Files {
		j.known[f.Name] = f
	}
}

// knows reports whether a file of that name is the dataset's, or may be.
func (j *journal) knows(name string) bool {
	if _, ok := j.known[name]; ok || j.begun[name] {
		return true
	}
	for _, f := range j.known {
		if f.Dirty != nil && f.Dirty.List == name {
			return true
		}
	}
	return false
}

// readJournal returns an unfinished dataset's manifest.
func readJournal(path string) (Manifest, error) {
	m, _, err := readLines(path)
	return m, err
}

// readLines returns an unfinished dataset's manifest, and the names of files that
// were begun. A last line that is cut, by a machine that failed, is none.
func readLines(path string) (m Manifest, begun []string, err error) {
	file, err := regular.Open(path)
	if err != nil {
		return Manifest{}, nil, err
	}
	defer func() { _ = file.Close() }()
	decoder := json.NewDecoder(file)
	if err := decoder.Decode(&m); err != nil {
		return Manifest{}, nil, fmt.Errorf("%s: %w", path, err)
	}
	for {
		var line journalLine
		if decoder.Decode(&line) != nil {
			break
		}
		if line.Begun {
			begun = append(begun, line.Name)
		} else {
			m.Files = append(m.Files, line.File)
		}
	}
	if err := m.validate(); err != nil {
		return Manifest{}, nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, begun, nil
}

// begin notes that files are about to be put in their places.
func (j *journal) begin(names ...string) error {
	for _, name := range names {
		if err := json.NewEncoder(j.file).Encode(journalLine{File: File{Name: name}, Begun: true}); err != nil {
			return fileError(j.path, err)
		}
	}
	if err := j.file.Sync(); err != nil {
		return fileError(j.path, err)
	}
	return nil
}

// add notes that a file is finished.
func (j *journal) add(f File) error {
	if err := errors.Join(json.NewEncoder(j.file).Encode(f), j.file.Sync()); err != nil {
		return fileError(j.path, err)
	}
	return nil
}

// kept returns the finished file of that name, if it has all that out asks for.
// Otherwise it returns a File without a name. It is an error if the file has changed.
func (j *journal) kept(ctx context.Context, name string, out Output) (File, error) {
	f, ok := j.known[name]
	if ok && j.changed(f) {
		return File{}, fileError(filepath.Join(j.dir, name), errOthers)
	}
	if !ok || f.Checksums == nil && !out.NoChecksums || !j.sized(f) {
		return File{}, nil
	}
	file, err := regular.Open(filepath.Join(j.dir, name))
	if err != nil {
		return File{}, nil // it is written anew, or that fails
	}
	defer func() { _ = file.Close() }()
	sum := newDigest(io.Discard, false)
	buf := make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return File{}, context.Cause(ctx)
		}
		n, err := file.Read(buf)
		if _, err := sum.Write(buf[:n]); err != nil {
			return File{}, err
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return File{}, nil
		}
		if err != nil {
			break
		}
	}
	if sum.crc32c() != f.CRC32C {
		return File{}, fileError(filepath.Join(j.dir, name), errOthers)
	}
	return f, nil
}

// changed reports whether a file is there, but not of its size.
func (j *journal) changed(f File) bool {
	info, err := os.Lstat(filepath.Join(j.dir, f.Name))
	return err == nil && (!info.Mode().IsRegular() || info.Size() != f.Bytes)
}

// sized reports whether a file and its list have the size that they should.
func (j *journal) sized(f File) bool {
	has := func(name string, bytes int64) bool {
		info, err := os.Stat(filepath.Join(j.dir, name))
		return err == nil && info.Mode().IsRegular() && info.Size() == bytes
	}
	return has(f.Name, f.Bytes) && (f.Dirty == nil || has(f.Dirty.List, f.Dirty.Bytes))
}

// others returns the finished files of tables that are not to be written.
func (j *journal) others(writing []division) []File {
	var files []File
	for _, f := range j.known {
		ours := slices.ContainsFunc(writing, func(v division) bool { return v.part.Name() == f.Table })
		if !ours && j.sized(f) {
			files = append(files, f)
		}
	}
	return files
}

// close closes the journal and leaves it where it is.
func (j *journal) close() error { return j.file.Close() }
