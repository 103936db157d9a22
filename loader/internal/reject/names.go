package reject

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"

	"shardload/internal/regular"
)

// names are where a job keeps its rejected records, and what the files are called.
type names struct {
	dir, table, job string
	extension       string // of the name of the records' file
}

// paths returns the names of that choice, from 1.
func (n names) paths(choice int) (jsonl, records string) {
	name := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || strings.ContainsRune(`/\:`, r) {
			return '_'
		}
		return r
	}, n.table) + ".rejects"
	if choice > 1 {
		name += fmt.Sprintf(".%d", choice)
	}
	name = filepath.Join(n.dir, name)
	return name + ".jsonl", name + n.extension
}

// recordsOf returns the name of the file of original records beside that one.
func (n names) recordsOf(jsonl string) string {
	return strings.TrimSuffix(jsonl, ".jsonl") + n.extension
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

// removeBoth removes a file of rejected records and the one beside it.
func (n names) removeBoth(jsonl string) error {
	return errors.Join(removeIfThere(n.recordsOf(jsonl)), removeIfThere(jsonl))
}

// tempPrefix begins the names of the job's files that have no other name yet.
func (n names) tempPrefix() string { return ".shardload-rejects-" + n.job + "-" }

// tempFile makes such a file, readable for its owner alone.
func (n names) tempFile(dir string) (*os.File, error) {
	return os.CreateTemp(dir, n.tempPrefix()+"*") // mode 0600
}

// sweep removes such files that killed runs have left in dir.
func (n names) sweep(dir string) error {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), n.tempPrefix()) {
			err = errors.Join(err, removeIfThere(filepath.Join(dir, f.Name())))
		}
	}
	return err
}

// replace makes the file at path what write writes, all of it or nothing.
func (n names) replace(path string, write func(io.Writer) error) error {
	return n.put(path, write, os.Rename)
}

// put is replace, by whatever gives the file its name.
func (n names) put(path string, write func(io.Writer) error, publish func(tmp, path string) error) (err error) {
	tmp, err := n.tempFile(filepath.Dir(path))
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
	if err = publish(tmp.Name(), path); err != nil {
		return err
	}
	return regular.SyncDir(filepath.Dir(path))
}

// publishNew gives a file its name, which no other must have, but for one with the
// same bytes: a run that was killed then has written it.
func publishNew(tmp, path string) error {
	err := os.Link(tmp, path)
	if errors.Is(err, fs.ErrExist) {
		ours, err1 := regular.Read(openRegular(tmp))
		there, err2 := regular.Read(openRegular(path))
		if err1 != nil || err2 != nil || !bytes.Equal(ours, there) {
			return fmt.Errorf("%s: another file stands there: move it, and run the same command again", path)
		}
		err = nil
	}
	if err != nil {
		return err
	}
	return removeIfThere(tmp)
}

// openRegular opens a file to read it, which others may have put there: no link is
// followed, and no pipe waited for.
func openRegular(path string) (*os.File, error) {
	return regular.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
}
