package localpg

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	tempPrefix = "shardload-pg-"

	// sweepAge spares a directory that is just being made and not yet locked.
	sweepAge = time.Minute
)

// makeTemporary makes h.dir in the first directory for temporary files, temp before
// others, that the servers' user can enter: root's own may be closed to others.
func (h *home) makeTemporary(temp string) error {
	parent, err := h.temporaryParent(temp)
	if err != nil {
		return err
	}
	sweep(parent)
	dir, err := os.MkdirTemp(parent, tempPrefix)
	if err != nil {
		return err
	}
	h.dir, h.temporary, h.made = dir, true, []string{dir}
	return os.Chmod(dir, h.mode())
}

func (h *home) temporaryParent(temp string) (string, error) {
	for _, dir := range []string{cmp.Or(temp, os.TempDir()), os.TempDir(), "/tmp", "/var/tmp"} {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", err
		}
		real, err := filepath.EvalSymlinks(abs) // so that a server is known by its path
		if err == nil && h.account.barrier(real) == "" {
			return real, nil
		}
	}
	return "", fmt.Errorf("directory %s: does not exist, or user %s, as whom PostgreSQL runs, cannot enter it:"+
		" set TMPDIR to one that is open to all", os.TempDir(), h.account.name)
}

// sweep removes from parent what processes that were killed left behind: their
// temporary directories, and any server that still runs in one. It is a courtesy,
// so whatever stands in its way is left alone.
func sweep(parent string) {
	dirs, _ := filepath.Glob(filepath.Join(parent, tempPrefix+"*")) // the pattern is well formed
	for _, dir := range dirs {
		if !abandoned(dir) {
			continue
		}
		h := home{dir: dir, made: []string{dir}}
		f, err := os.OpenFile(h.path("lock"), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		h.locked = f
		if h.tryLock() == nil {
			h.endServers()
			_ = h.remove()
		}
		_ = h.unlock()
	}
}

// abandoned reports whether dir is old enough to be swept, and this user's own.
func abandoned(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || time.Since(info.ModTime()) < sweepAge {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// endServers ends whatever server runs in h.
func (h *home) endServers() {
	files, _ := filepath.Glob(h.path("*/postmaster.pid"))
	for _, file := range files {
		if p, ok := findPostmaster(filepath.Dir(file)); ok {
			srv := server{proc: p}
			_ = srv.stop(true)
		}
	}
}
