package reject

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"shardload/internal/pgcsv"
	"shardload/internal/regular"
	"shardload/loader/failure"
)

// A Form is how the records of a run are written, as they were read. It is kept beside the rows.
type Form struct {
	Extension string    `json:"extension"`
	OneLine   bool      `json:"one_line,omitempty"`
	Header    []byte    `json:"header,omitempty"` // with its line break
	EOL       pgcsv.EOL `json:"eol,omitempty"`
}

// Bytes returns what ReadForm reads.
func (f Form) Bytes() ([]byte, error) { return json.Marshal(f) }

// like tells the records that may be in one file from others.
func (f Form) like() string { return f.Extension + "\x00" + string(f.Header) }

// A SetFiles is where the rejected records of a set are written, when it ends.
type SetFiles struct {
	Dir, Table string
	Set        string            // the ID of its job
	Forms      map[string][]byte // of its runs, as Form.Bytes has them
}

// Write writes the files of all records that next gives to the function that it is called with: the list, and
// for each header and format that parts have a file of records as they were. What an earlier process has written
// of the same records, and was killed before they were taken out of the database, is replaced. The path
// is that of the list.
func (s *SetFiles) Write(next func(func(run string, entry []byte) error) error) (path string, reasons []failure.Reason, err error) {
	w, err := s.begin()
	if err != nil {
		return "", nil, keepError(err)
	}
	defer func() { err = errors.Join(err, w.clean()) }()
	if err = next(w.add); err == nil {
		path, err = w.publish()
	}
	if err != nil {
		return "", nil, keepError(err)
	}
	return path, w.sums.Summary(), nil
}

// A setWriter writes the files of a set, under other names first.
type setWriter struct {
	names
	forms map[string]Form // by run
	list  *tempFile
	kinds []*recordsFile
	sums  *Keeper        // of the reasons
	ours  map[string]int // the first lines of lists of the set that are there, and which they are
	old   int            // which of them has these records, 0 for none
}

// A recordsFile has records as they were, of one form.
type recordsFile struct {
	*tempFile
	form Form
	name string // how its name ends
}

// A tempFile is a file that has no name of its own yet.
type tempFile struct {
	*bufio.Writer
	f *os.File
}

func (n names) newTemp(dir string) (*tempFile, error) {
	f, err := n.tempFile(dir)
	if err != nil {
		return nil, err
	}
	return &tempFile{bufio.NewWriterSize(f, 64<<10), f}, nil
}

// begin makes the list, and looks for earlier ones of the set.
func (s *SetFiles) begin() (*setWriter, error) {
	w := &setWriter{names: names{dir: s.Dir, table: s.Table, job: s.Set}, forms: map[string]Form{}, ours: map[string]int{}, sums: &Keeper{reasons: map[[3]string]*failure.Reason{}}}
	extensions := map[string]bool{}
	for run, text := range s.Forms {
		var form Form
		if err := json.Unmarshal(text, &form); err != nil {
			return nil, fmt.Errorf("how records of run %s are written: %w", run, err)
		}
		w.forms[run], extensions[form.Extension] = form, true
	}
	w.extension = slices.Sorted(maps.Keys(extensions))[0]
	dir := cmp.Or(s.Dir, ".")
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = w.sweep(dir)
	}
	if err != nil {
		return nil, err
	}
	for n := 1; ; n++ {
		list, records := w.paths(n)
		line, err := firstLine(list)
		if err == nil {
			w.ours[string(line)] = n
		}
		if errors.Is(err, fs.ErrNotExist) && !isThere(records) {
			break
		}
	}
	w.list, err = w.newTemp(dir)
	return w, err
}

// firstLine returns the first line of a file without its line break.
func firstLine(path string) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	line, err := bufio.NewReader(f).ReadBytes('\n')
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return bytes.TrimSuffix(line, []byte("\n")), err
}

// add writes an entry.
func (w *setWriter) add(run string, entry []byte) error {
	if n := w.ours[string(entry)]; n > 0 {
		w.old = n
	}
	var e rejectEntry
	if err := json.Unmarshal(entry, &e); err != nil {
		return err
	}
	w.sums.count(e.cause(), e.Line)
	if _, err := w.list.Write(append(entry, '\n')); err != nil {
		return err
	}
	to, err := w.of(w.forms[run])
	if err == nil {
		_, err = to.Write(append(e.bytes(to.form.OneLine), lineBreak(to.form.EOL)...))
	}
	return err
}

// of returns the file of records of that form. Those under another header have another one.
func (w *setWriter) of(form Form) (*recordsFile, error) {
	others := 0
	for _, k := range w.kinds {
		if k.form.like() == form.like() {
			return k, nil
		}
		if k.form.Extension == form.Extension {
			others++
		}
	}
	name := form.Extension
	if others > 0 {
		name = fmt.Sprintf(".header%d%s", others+1, form.Extension)
	}
	temp, err := w.newTemp(cmp.Or(w.dir, "."))
	if err != nil {
		return nil, err
	}
	k := &recordsFile{temp, form, name}
	w.kinds = append(w.kinds, k)
	_, err = k.Write(form.Header)
	return k, err
}

// publish gives the files their names, the list first: by it a later process knows what is there.
func (w *setWriter) publish() (path string, err error) {
	files := []*tempFile{w.list}
	for _, k := range w.kinds {
		files = append(files, k.tempFile)
	}
	for _, t := range files {
		if err := errors.Join(t.Flush(), t.f.Sync()); err != nil {
			return "", err
		}
	}
	if path, err = w.publishList(); err != nil {
		return "", err
	}
	for _, k := range w.kinds {
		records := names{extension: k.name}.recordsOf(path)
		if err := os.Rename(k.f.Name(), records); err != nil {
			return "", err
		}
	}
	return path, regular.SyncDir(filepath.Dir(path))
}

// publishList gives the list the first name that is free, or that of the list that it replaces.
func (w *setWriter) publishList() (string, error) {
	if w.old > 0 {
		list, _ := w.paths(w.old)
		path, err := filepath.Abs(list)
		if err == nil {
			err = os.Rename(w.list.f.Name(), path)
		}
		return path, err
	}
	for n := 1; ; n++ {
		list, _ := w.paths(n)
		path, err := filepath.Abs(list)
		if err != nil {
			return "", err
		}
		if slices.ContainsFunc(w.kinds, func(k *recordsFile) bool { return isThere(names{extension: k.name}.recordsOf(path)) }) {
			continue
		}
		err = os.Link(w.list.f.Name(), path)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		return path, err
	}
}

// clean removes what has no name of its own.
func (w *setWriter) clean() error {
	files := []*tempFile{w.list}
	for _, k := range w.kinds {
		files = append(files, k.tempFile)
	}
	var err error
	for _, t := range files {
		err = errors.Join(err, t.f.Close(), removeIfThere(t.f.Name()))
	}
	return err
}
