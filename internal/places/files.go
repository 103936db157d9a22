package places

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"shardload/internal/input"
)

// Files are what one name means on local disks: a file, a directory or a pattern.
type files struct {
	env    *environment
	said   string
	base   string // the directory of a directory, a pattern or a file
	whole  string // the same with all links resolved, and a slash at its end
	prefix string // of the names of parts
	plain  string // the name of a single file in whole, "" for others
	pattern
}

func newFiles(env *environment, name string) (place, error) {
	f := &files{env: env, said: name}
	info, err := os.Stat(name)
	if err != nil && !IsPattern(name) {
		if plain := plainName(name); plain != name {
			name, f.said = plain, plain
			info, err = os.Stat(plain)
		}
	}
	switch {
	case err == nil && info.IsDir():
		f.base, f.pattern = filepath.Clean(name), everything
	case err == nil:
		return f, f.resolve(name)
	case !IsPattern(name):
		return nil, named(err)
	default:
		base, p, err := splitPattern(filepath.ToSlash(name))
		if err != nil {
			return nil, err
		}
		f.base, f.pattern = filepath.Clean(base), p
	}
	return f, f.resolve("")
}

// resolve finds out where the base really lies, or the file at path.
func (f *files) resolve(path string) error {
	real, err := filepath.Abs(cmp.Or(path, f.base))
	if err != nil {
		return err
	}
	there, err := filepath.EvalSymlinks(real)
	switch {
	case err == nil:
		real = there
	case !errors.Is(err, fs.ErrNotExist): // which has no parts, as list says
		return named(err)
	}
	if path != "" {
		f.base, f.plain = filepath.Dir(path), filepath.Base(real)
		real = filepath.Dir(real)
	}
	f.whole = strings.TrimSuffix(filepath.ToSlash(real), "/") + "/"
	return nil
}

func (f *files) root() string { return f.whole }

func (f *files) under(base string) { f.prefix = strings.TrimPrefix(f.whole, base) }

func (f *files) list(ctx context.Context, yield func(Part) bool) error {
	if f.plain != "" {
		info, err := os.Stat(f.said)
		if err != nil {
			return named(err)
		}
		yield(filePart(f.prefix+f.plain, info))
		return nil
	}
	w := &walk{files: f, ctx: ctx, yield: yield}
	if info, err := os.Stat(f.base); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return f.nothing()
	}
	if err := w.dir(f.base, ""); err != nil || w.stopped {
		return err
	}
	if w.found == 0 {
		return f.nothing()
	}
	return nil
}

// nothing says that there is no part.
func (f *files) nothing() error {
	if f.pattern.whole == everything.whole {
		return fmt.Errorf("%s: holds no files", f.said)
	}
	return fmt.Errorf("%s: there is no such file", f.said)
}

// filePart returns the part that a file is.
func filePart(name string, info fs.FileInfo) Part {
	if !info.Mode().IsRegular() {
		return Part{Name: name, Size: -1}
	}
	return Part{Name: name, Size: info.Size(), Tag: strconv.FormatInt(info.ModTime().UnixNano(), 10)}
}

// locate knows every name that could have been found. That of a single file is the file's.
func (f *files) locate(name string, _ version) (input.Location, bool) {
	if f.plain != "" {
		return input.Path(f.said), name == f.prefix+f.plain
	}
	rest, ok := strings.CutPrefix(name, f.prefix)
	if !ok || !filepath.IsLocal(rest) || !f.matches(rest) {
		return input.Location{}, false
	}
	return input.Path(filepath.Join(f.base, filepath.FromSlash(rest))), true
}

func (f *files) single() (input.Location, bool) { return input.Path(f.said), f.plain != "" }

// A walk goes through directories.
type walk struct {
	*files
	ctx     context.Context
	yield   func(Part) bool
	found   int
	stopped bool
}

// dir goes through the directory at path, the name of which is rel, "" for the base.
func (w *walk) dir(path, rel string) error {
	if err := context.Cause(w.ctx); err != nil {
		return err
	}
	list, err := os.ReadDir(path)
	if err != nil {
		return named(err)
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(sortName(a), sortName(b)) })
	for _, e := range list {
		if err := w.entry(e, filepath.Join(path, e.Name()), rel+e.Name()); err != nil || w.stopped {
			return err
		}
	}
	return nil
}

// sortName makes what lies in directories come where its whole name belongs.
func sortName(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}

// entry takes what is at path, called name.
func (w *walk) entry(e fs.DirEntry, path, name string) error {
	enters, exactly := w.enters(name)
	matches := w.matches(name)
	if !enters && !matches {
		return nil
	}
	left, err := w.leftBehind(name)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	info, err := e.Info()
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		if info, err = os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if !matches {
				return nil
			}
			return fmt.Errorf("%s: is a link to what is not there", path)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist): // it was there a moment ago
		return nil
	case err != nil:
		return named(err)
	case info.IsDir():
		switch {
		case !enters:
			w.env.Skipped(path, "a directory")
			return nil
		case left:
			w.env.Skipped(path, bookkeeping)
			return nil
		case !e.IsDir() && !exactly:
			w.env.Skipped(path, "a link to a directory")
			return nil
		}
		return w.dir(path, name+"/")
	case !matches:
		return nil
	case !info.Mode().IsRegular():
		w.env.Skipped(path, kindOf(info.Mode()))
		return nil
	case left:
		w.env.Skipped(path, bookkeeping)
		return nil
	case !utf8.ValidString(name):
		return fmt.Errorf("%q: its name is not UTF-8, and cannot be kept in the database; rename it", path)
	}
	w.found++
	w.stopped = !w.yield(filePart(w.prefix+name, info))
	return nil
}

// kindOf says what is no file.
func kindOf(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// named returns err with its path, and without the name of the system call.
func named(err error) error {
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", failed.Path, failed.Err)
	}
	return err
}
