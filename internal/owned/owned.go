// Package owned knows which directories are ours. Such a directory has a mark in
// it, a file that only this program writes: with a random id, and with the number
// that the file system gave the directory, so that a copy is none of ours. Nothing
// is removed where there is no mark, where others could have written it, or what
// has a name that we do not give.
//
// All is done below an open directory: whoever puts a link in its place meanwhile
// leads nobody elsewhere.
package owned

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"shardload/internal/regular"
)

// MarkName is the name of the file that makes a directory ours.
const MarkName = ".shardload.mark"

const markVersion = 1

// A Kind says what a directory is for.
type Kind string

// A Mark says whose a directory is, and what for.
type Mark struct {
	Version int       `json:"version"`
	ID      string    `json:"id"` // random
	Kind    Kind      `json:"kind"`
	Inode   uint64    `json:"inode"` // of the directory: a copy has another one
	Made    bool      `json:"made"`  // whether the directory was made for this; else it was there, and empty
	At      time.Time `json:"at"`
}

var (
	// ErrNoMark is returned for a directory without a mark.
	ErrNoMark = errors.New("it has no mark of ours")
	// ErrInUse is returned where another process holds the lock.
	ErrInUse = errors.New("another process uses it")
	// ErrGone is returned where the mark is no longer the one that was found.
	ErrGone = errors.New("it was removed meanwhile")
)

// A RefusedError says why a directory is not touched.
type RefusedError struct{ Path, Why string }

func (e *RefusedError) Error() string { return fmt.Sprintf("directory %s: %s", e.Path, e.Why) }

// A LeftError names what stayed in a directory, since it is not ours.
type LeftError struct {
	Path  string
	Names []string
}

func (e *LeftError) Error() string {
	return fmt.Sprintf("directory %s: it stays, with what others have put there: %s", e.Path, strings.Join(e.Names, ", "))
}

// A Dir is an open directory of ours.
type Dir struct {
	Path string // absolute, without links
	Root *os.Root
	Mark Mark

	lock *os.File // the mark, while it is locked
}

// Make makes a new directory in parent with a name that begins with prefix, marks
// and locks it.
func Make(parent, prefix string, kind Kind, mode fs.FileMode) (*Dir, error) {
	parent, err := real(parent)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(parent, prefix+strings.ToLower(rand.Text()))
	if err := os.Mkdir(path, 0o700); err != nil {
		return nil, err
	}
	d, err := Claim(path, kind, true)
	if err == nil {
		if err = d.Root.Chmod(".", mode); err == nil {
			err = d.Lock()
		}
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(path)) // what is in it stays
	}
	return d, nil
}

// Claim marks an empty directory of this user's. made says that it was made for
// this. It returns an fs.ErrExist if somebody else has just done so.
func Claim(path string, kind Kind, made bool) (*Dir, error) {
	d, info, err := open(path)
	if err != nil {
		return nil, err
	}
	d.Mark = Mark{Version: markVersion, ID: strings.ToLower(rand.Text()), Kind: kind, Inode: inode(info), Made: made, At: time.Now().UTC().Truncate(time.Second)}
	if err := d.writeMark(d.Root.Link); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Open opens a directory that must be ours. It returns an ErrNoMark if it has no
// mark, and a RefusedError if the mark proves nothing.
func Open(path string) (*Dir, error) {
	d, info, err := open(path)
	if err != nil {
		return nil, err
	}
	if err := d.readMark(info); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// open opens a directory, and refuses one into which others may write.
func open(path string) (*Dir, fs.FileInfo, error) {
	path, err := real(path)
	if err != nil {
		return nil, nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := root.Stat(".")
	if err == nil {
		err = Private(path, info)
	}
	if err != nil {
		return nil, nil, errors.Join(err, root.Close())
	}
	return &Dir{Path: path, Root: root}, info, nil
}

func real(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// Private returns a RefusedError if the directory belongs to somebody else, or
// others may write to it: they could make us write, through links, where they may
// not.
func Private(path string, info fs.FileInfo) error {
	switch owner, ok := uid(info); {
	case !ok:
		return &RefusedError{Path: path, Why: "nobody knows whose it is"}
	case owner != os.Geteuid():
		return &RefusedError{Path: path, Why: "it belongs to another user"}
	case info.Mode().Perm()&0o022 != 0:
		return &RefusedError{Path: path, Why: fmt.Sprintf("others may write to it (mode %04o; chmod go-w mends that)", info.Mode().Perm())}
	}
	return nil
}

func (d *Dir) writeMark(publish func(part, name string) error) error {
	text, err := json.Marshal(d.Mark)
	if err != nil {
		return err
	}
	return d.write(MarkName, append(text, '\n'), 0o600, nil, publish)
}

// readMark reads the mark of a directory with that info.
func (d *Dir) readMark(info fs.FileInfo) error {
	refuse := func(why string) error { return &RefusedError{Path: d.Path, Why: why} }
	text, err := ReadSmall(d.Root, MarkName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return refusal{d.Path}
	case err != nil:
		return refuse(fmt.Sprintf("its mark %s cannot be read: %v", MarkName, err))
	}
	mark, err := d.Root.Lstat(MarkName)
	if err != nil {
		return err
	}
	if owner, ok := uid(mark); !ok || owner != os.Geteuid() || mark.Mode().Perm()&0o077 != 0 {
		return refuse("its mark " + MarkName + " is not as this program writes it")
	}
	err = json.Unmarshal(text, &d.Mark)
	if err != nil || d.Mark.Version != markVersion || !validID.MatchString(d.Mark.ID) {
		return refuse("its mark " + MarkName + " is none of this program's")
	}
	if d.Mark.Inode != inode(info) {
		return refuse("its mark is another directory's: it is a copy, or was moved from another file system (move it back)")
	}
	return nil
}

var validID = regexp.MustCompile(`^[a-z2-7]{26}$`)

// A refusal is an ErrNoMark that names the directory.
type refusal struct{ path string }

func (r refusal) Error() string { return "directory " + r.path + ": " + ErrNoMark.Error() }
func (r refusal) Unwrap() error { return ErrNoMark }

// Replace makes the file name of text, all of it or nothing, for owner if one is
// given. What stood there is replaced, a link too, and never written through.
func (d *Dir) Replace(name string, text []byte, mode fs.FileMode, owner func(*os.File) error) error {
	return d.write(name, text, mode, owner, d.Root.Rename)
}

func (d *Dir) write(name string, text []byte, mode fs.FileMode, owner func(*os.File) error, publish func(part, name string) error) error {
	part := "." + strings.TrimPrefix(name, ".") + "." + strings.ToLower(rand.Text()) + ".part"
	f, err := d.Root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil && owner != nil {
		err = owner(f)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = publish(part, name)
	}
	if gone := d.Root.Remove(part); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// partName is what the names of files are like that Replace has not finished.
var partName = regexp.MustCompile(`^\..+\.[a-z2-7]{26}\.part$`)

// IsMarkPart reports whether a file of that name is a mark that is being written.
func IsMarkPart(name string) bool {
	return partName.MatchString(name) && strings.HasPrefix(name, MarkName+".")
}

// smallFile bounds what ReadSmall reads.
const smallFile = 1 << 20

// ReadSmall reads a short regular file, which may be somebody's who means ill: no
// link is followed, no pipe waited for, no end of it that never comes.
func ReadSmall(root *os.Root, name string) ([]byte, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: it is no regular file", name)
	}
	f, err := regular.OpenIn(root, name, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	if after, err := f.Stat(); err != nil || !os.SameFile(before, after) {
		return nil, errors.Join(err, fmt.Errorf("%s: it is another file than a moment ago", name))
	}
	return io.ReadAll(io.LimitReader(f, smallFile))
}

// Lock keeps others from taking the directory for one that was left behind. It
// returns an ErrInUse if another process has it, and an ErrGone if the directory is
// no longer what was opened.
func (d *Dir) Lock() error {
	f, err := regular.OpenIn(d.Root, MarkName, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrGone
	}
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrInUse
		}
		return errors.Join(err, f.Close())
	}
	locked, err1 := f.Stat()
	named, err2 := os.Lstat(filepath.Join(d.Path, MarkName))
	if err1 != nil || err2 != nil || !os.SameFile(locked, named) {
		return errors.Join(ErrGone, f.Close())
	}
	d.lock = f
	return nil
}

// Locked reports whether this Dir has the lock.
func (d *Dir) Locked() bool { return d.lock != nil }

// Unlock lets others take the lock.
func (d *Dir) Unlock() error {
	if d.lock == nil {
		return nil
	}
	err := d.lock.Close() // which is what unlocks
	d.lock = nil
	return err
}

// Close lets go of the directory, and of its lock.
func (d *Dir) Close() error { return errors.Join(d.Unlock(), d.Root.Close()) }

// Release makes the directory its user's: the mark goes, all else stays.
func (d *Dir) Release() error { return errors.Join(d.Root.Remove(MarkName), d.Close()) }

// Remove removes what known says is ours, one by one, then the mark, and the
// directory if it was made for this. It returns a LeftError if something else is
// there, which stays, and closes the Dir.
func (d *Dir) Remove(known func(fs.DirEntry) bool) (err error) {
	defer func() { err = errors.Join(err, d.Close()) }()
	left, err := RemoveKnown(d.Root, func(e fs.DirEntry) bool {
		return e.Name() != MarkName && (partName.MatchString(e.Name()) && e.Type().IsRegular() || known(e))
	})
	if err != nil {
		return err
	}
	left = slices.DeleteFunc(left, func(name string) bool { return name == MarkName })
	here, err := d.Root.Stat(".")
	if err != nil {
		return err
	}
	if err := d.Root.Remove(MarkName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(left) > 0 {
		return &LeftError{d.Path, left}
	}
	if !d.Mark.Made {
		return nil
	}
	if now, err := os.Lstat(d.Path); err != nil || !os.SameFile(here, now) {
		return nil // it was moved meanwhile; it is empty
	}
	return os.Remove(d.Path) // of a directory that is not empty nothing is removed
}

// RemoveKnown removes the entries of a directory that known says are ours, and
// returns the names of the others. Links are removed, not followed.
func RemoveKnown(root *os.Root, known func(fs.DirEntry) bool) (left []string, err error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	entries, err := dir.ReadDir(-1)
	if err = errors.Join(err, dir.Close()); err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !known(e) {
			left = append(left, e.Name())
			continue
		}
		if e.IsDir() {
			err = errors.Join(err, root.RemoveAll(e.Name()))
		} else {
			err = errors.Join(err, root.Remove(e.Name()))
		}
	}
	slices.Sort(left)
	return left, err
}

func stat(info fs.FileInfo) (*syscall.Stat_t, bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	return s, ok
}

func uid(info fs.FileInfo) (int, bool) {
	s, ok := stat(info)
	if !ok {
		return 0, false
	}
	return int(s.Uid), true
}

func inode(info fs.FileInfo) uint64 {
	if s, ok := stat(info); ok {
		return s.Ino
	}
	return 0
}
