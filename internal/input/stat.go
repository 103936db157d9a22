package input

import (
	"os"
	"time"

	"shardload/internal/ledger"
)

// A Stat is what the file system says of a file.
type Stat struct {
	Size     int64
	Modified int64 // when it was changed last, in nanoseconds since 1970
	// TimeTells says that a change of the file now would give it another time: it has had
	// this one for long enough.
	TimeTells     bool
	Device, Inode uint64 // 0 where there are none
	Tag           string // of an object in a store, which has another content by another one
}

// The grains of the clocks by which file systems set times: the kernel's tick, and what
// the coarsest of them have.
const (
	fineGrain   = 20 * time.Millisecond
	coarseGrain = 2 * time.Second
)

func statOf(info os.FileInfo, now time.Time) Stat {
	s := Stat{Size: info.Size(), Modified: info.ModTime().UnixNano()}
	grain := fineGrain
	if s.Modified%int64(time.Millisecond) == 0 {
		grain = coarseGrain
	}
	s.TimeTells = now.Sub(info.ModTime()) > grain
	s.Device, s.Inode = numbersOf(info)
	return s
}

// Stat returns what the file system said of the file when it was opened. ok is false
// if the Source cannot be read at any place.
func (s *Source) Stat() (stat Stat, ok bool) { return s.opened, s.object != nil }

// hints returns what is kept of a Stat in a job.
func (s Stat) hints() ledger.Hints {
	if !s.TimeTells {
		return ledger.Hints{}
	}
	return ledger.Hints{Modified: s.Modified, Device: s.Device, Inode: s.Inode, Tag: s.Tag}
}

// Touched reports whether the file may have been changed since it was opened.
func (s *Source) Touched() (bool, error) {
	if s.object == nil {
		return false, nil
	}
	now, err := s.object.Stat()
	if err != nil {
		return false, namedBy(s.Name, err)
	}
	return !s.opened.TimeTells || now.Size != s.opened.Size || now.Modified != s.opened.Modified, nil
}
