package localpg

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"shardload/internal/owned"
)

const tempPrefix = "shardload-pg-"

// makeTemporary makes h.dir in temp, or in another directory for temporary files that
// the servers' user can enter.
func (h *home) makeTemporary(temp string) error {
	parent, err := h.account.tempDir(temp)
	if err != nil {
		return err
	}
	sweep(h.account, parent)
	h.temporary = true
	if h.own, err = owned.Make(parent, tempPrefix, kindTemporary, h.account.dirMode()); err == nil {
		h.dir = h.own.Path
	}
	return err
}

// sweep removes from parent what processes that were killed left behind: their
// temporary directories, and any server that still runs in one. It is a courtesy,
// so whatever stands in its way is left alone.
func sweep(acc account, parent string) {
	for _, d := range owned.Abandoned(tempPrefix, kindTemporary, parent) {
		_ = removeAbandoned(acc, d)
	}
}

// removeAbandoned removes a directory that owned.Abandoned has found.
func removeAbandoned(acc account, d *owned.Dir) error {
	h := home{dir: d.Path, own: d, account: acc, temporary: true}
	if err := h.endServers(); err != nil {
		return errors.Join(err, d.Close())
	}
	return h.remove()
}

// Leftovers returns the directories of temporary clusters that processes have left
// behind which were killed.
func Leftovers(parents ...string) []owned.Leftover {
	var list []owned.Leftover
	for _, d := range owned.Abandoned(tempPrefix, kindTemporary, parents...) {
		list = append(list, owned.Leftover{Path: d.Path, Kind: kindTemporary, Made: d.Mark.At})
		_ = d.Close() // it is opened again to be removed
	}
	return list
}

// RemoveLeftover removes what Leftovers has found, if it is still nobody's, and ends
// the servers in it.
func RemoveLeftover(l owned.Leftover) error {
	acc, err := serverAccount()
	if err != nil {
		return err
	}
	for _, d := range owned.Abandoned(tempPrefix, kindTemporary, filepath.Dir(l.Path)) {
		if d.Path == l.Path {
			return removeAbandoned(acc, d)
		}
		_ = d.Close() // another one
	}
	return &owned.RefusedError{Path: l.Path, Why: "it is not what it was a moment ago"}
}

// endServers ends whatever server runs in h.
func (h *home) endServers() error {
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !dataName.MatchString(e.Name()) || !e.IsDir() {
			continue
		}
		srv := h.server(e.Name(), 0)
		if p, ok := findPostmaster(h.account, srv.dir); ok {
			srv.proc = p
		}
		if err := srv.stop(true); err != nil {
			return err
		}
	}
	return h.becomeVacant()
}

// endTimeout is how long processes of a server that was ended may take to end, too.
const endTimeout = 10 * time.Second

// becomeVacant waits for processes that outlive a server for a moment, and for what initdb
// has begun, which goes on without whoever began that.
func (h *home) becomeVacant() error {
	for end := time.Now().Add(endTimeout); ; time.Sleep(pollInterval) {
		err := h.vacant()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}
