package owned

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The kinds of temporary directories of this program. Those of private clusters
// have servers in them: package localpg knows what to do about these.
const (
	Demo  Kind = "demo"
	Tune  Kind = "tune"
	Bench Kind = "bench"
)

// A scratch says what a temporary directory of a kind is called, and what is put
// into it.
type scratch struct {
	kind   Kind
	prefix string
	holds  *regexp.Regexp
}

var scratches = []scratch{
	{Demo, "shardload-demo-", datasetName},
	{Tune, "shardload-tune-", regexp.MustCompile(`^sample\.csv$`)},
	// Inputs by their number of rows and order, and in a scale-out by workers.
	{Bench, "shardload-bench-", regexp.MustCompile(`^[0-9]+(-[a-z]+)*$`)},
}

// datasetName is what files are called that package generate writes.
var datasetName = regexp.MustCompile(`^((companies|campaigns|ads)(\.[0-9]+)?\.(csv|dirty\.jsonl)|manifest\.(json|unfinished\.jsonl)|\.[a-z]+\.[a-z.]+\.[0-9a-z]+\.part)$`)

func scratchOf(kind Kind) scratch {
	return scratches[slices.IndexFunc(scratches, func(s scratch) bool { return s.kind == kind })]
}

// MakeScratch makes a temporary directory of one of the kinds above, which
// RemoveScratch removes.
func MakeScratch(kind Kind, mode fs.FileMode) (*Dir, error) {
	return Make(os.TempDir(), scratchOf(kind).prefix, kind, mode)
}

// RemoveScratch removes a temporary directory of one of the kinds above.
func (d *Dir) RemoveScratch() error {
	s := scratchOf(d.Mark.Kind)
	return d.Remove(func(e fs.DirEntry) bool { return s.holds.MatchString(e.Name()) })
}

// A Leftover is a temporary directory that a process has left behind which was
// killed.
type Leftover struct {
	Path string
	Kind Kind
	Made time.Time
}

// justMade spares a directory that is being made and has no mark or lock yet.
const justMade = time.Minute

// Scratch returns the temporary directories in parents that nobody uses any more.
func Scratch(parents ...string) []Leftover {
	var list []Leftover
	for _, s := range scratches {
		for _, d := range Abandoned(s.prefix, s.kind, parents...) {
			list = append(list, Leftover{d.Path, s.kind, d.Mark.At})
			_ = d.Close() // it is opened again to be removed
		}
	}
	return list
}

// RemoveLeftover removes what Scratch has found, if it is still nobody's.
func RemoveLeftover(l Leftover) error {
	if d := abandoned(l.Path, l.Kind); d != nil {
		return d.RemoveScratch()
	}
	return &RefusedError{Path: l.Path, Why: "it is not what it was a moment ago"}
}

// randomName ends the names that Make gives.
var randomName = regexp.MustCompile(`^[a-z2-7]{26}$`)

// Abandoned opens and locks the directories of that kind in parents whose names
// begin with prefix and that no process uses. One that is empty, of a process that
// was killed before it could mark it, has no lock and a Mark without an id. What
// stands in the way is left alone.
func Abandoned(prefix string, kind Kind, parents ...string) []*Dir {
	var list []*Dir
	for _, parent := range distinct(parents) {
		entries, err := os.ReadDir(parent)
		if err != nil {
			continue
		}
		for _, e := range entries {
			random, ok := strings.CutPrefix(e.Name(), prefix)
			if !ok || !randomName.MatchString(random) || !e.IsDir() {
				continue
			}
			if d := abandoned(filepath.Join(parent, e.Name()), kind); d != nil {
				list = append(list, d)
			}
		}
	}
	return list
}

func abandoned(path string, kind Kind) *Dir {
	d, err := Open(path)
	if errors.Is(err, ErrNoMark) {
		return unmarked(path, kind)
	}
	if err != nil {
		return nil
	}
	if d.Mark.Kind != kind || d.Lock() != nil {
		_ = d.Close() // nothing was written
		return nil
	}
	return d
}

// unmarked opens a directory that is empty, and was not made just now.
func unmarked(path string, kind Kind) *Dir {
	d, info, err := open(path)
	if err != nil {
		return nil
	}
	dir, err := d.Root.Open(".")
	if err == nil {
		names, err := dir.Readdirnames(-1)
		_ = dir.Close() // only read
		empty := !slices.ContainsFunc(names, func(name string) bool { return !IsMarkPart(name) })
		if err == nil && empty && time.Since(info.ModTime()) > justMade {
			d.Mark = Mark{Kind: kind, Made: true, At: info.ModTime()}
			return d
		}
	}
	_ = d.Close() // nothing was written
	return nil
}

// distinct returns directories without links, each once.
func distinct(dirs []string) []string {
	var list []string
	for _, dir := range dirs {
		if dir, err := real(dir); err == nil && !slices.Contains(list, dir) {
			list = append(list, dir)
		}
	}
	return list
}

// TempDirs are where temporary directories of ours may be.
func TempDirs() []string { return []string{os.TempDir(), "/tmp", "/var/tmp"} }
