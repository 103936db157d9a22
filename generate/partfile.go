package generate

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"shardload/internal/regular"
)

// Until a file is whole it is a part file, hidden beside its place: .ads.csv.X.part,
// X at random. A run that is killed leaves its part file behind, which may be a
// large one, and the next run removes it.

// createPart makes the part file of the file of that name. It is locked until it is
// closed, which tells it from one left behind.
func createPart(name string) (*os.File, error) {
	hidden := fmt.Sprintf(".%s.%s.part", filepath.Base(name), strconv.FormatUint(rand.Uint64(), 36))
	f, err := os.OpenFile(filepath.Join(filepath.Dir(name), hidden), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	tryLock(f) // where files have no locks, what is left behind stays
	return f, nil
}

var partName = regexp.MustCompile(`^\.(.+)\.[0-9a-z]+\.part$`)

// removeLeftovers removes the part files in dir that no process is writing, of files
// that ours says are the caller's.
func removeLeftovers(dir string, entries []os.DirEntry, ours func(name string) bool) error {
	for _, e := range entries {
		m := partName.FindStringSubmatch(e.Name())
		if m == nil || !ours(m[1]) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		f, err := regular.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			continue // it went in between, or is not ours after all
		}
		if tryLock(f) {
			err = os.Remove(path)
		}
		_ = f.Close() // nothing was written
		if err != nil {
			return fileError(path, err)
		}
	}
	return nil
}
