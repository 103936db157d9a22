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
)

// A journal says which files of an unfinished dataset are finished. Its first line
// is the manifest without files, each further line one file.
type journal struct {
	dir, path string
	file      *os.File
	known     map[string]File // by name; of this dataset, but perhaps changed since
}

// openJournal begins the journal of the dataset in dir that head describes. Files
// that an earlier journal or manifest knows are in it: if there is one, it is of the
// same dataset.
func openJournal(dir string, head Manifest) (*journal, error) {
	j := &journal{dir: dir, path: filepath.Join(dir, head.journalName()), known: map[string]File{}}
	if m, err := readManifest(filepath.Join(dir, head.name())); err == nil {
		j.learn(m)
	}
	if m, err := readJournal(j.path); err == nil {
		j.learn(m)
	}
	err := writeFile(j.path, func(w io.Writer) error {
		e := json.NewEncoder(w)
		err := e.Encode(head)
		for _, name := range slices.Sorted(maps.Keys(j.known)) {
			err = errors.Join(err, e.Encode(j.known[name]))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if j.file, err = os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0); err != nil {
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

// readJournal returns an unfinished dataset's manifest. A last line that is cut,
// by a machine that failed, is none.
func readJournal(path string) (Manifest, error) {
	file, err := os.Open(path)
	if err != nil {
		return Manifest{}, err
	}
	defer file.Close()
	var m Manifest
	decoder := json.NewDecoder(file)
	if err := decoder.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", path, err)
	}
	for {
		var f File
		if decoder.Decode(&f) != nil {
			break
		}
		m.Files = append(m.Files, f)
	}
	if err := m.validate(); err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// add notes that a file is finished.
func (j *journal) add(f File) error {
	if err := errors.Join(json.NewEncoder(j.file).Encode(f), j.file.Sync()); err != nil {
		return fileError(j.path, err)
	}
	return nil
}

// kept returns the finished file of that name, if its bytes are still what they
// were and it has all that out asks for. Otherwise it returns a File without a
// name.
func (j *journal) kept(ctx context.Context, name string, out Output) (File, error) {
	f, ok := j.known[name]
	if !ok || f.Checksums == nil && !out.NoChecksums || !j.sized(f) {
		return File{}, nil
	}
	file, err := os.Open(filepath.Join(j.dir, name))
	if err != nil {
		return File{}, nil // it is written anew, or that fails
	}
	defer file.Close()
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
		return File{}, nil
	}
	return f, nil
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
