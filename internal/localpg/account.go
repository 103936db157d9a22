package localpg

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// An account is the user as whom servers run.
type account struct {
	name     string
	uid      int
	gid      int
	switched bool // another user than the one who runs this process
}

// serverAccount returns this process's own user, or for root the user postgres,
// or nobody.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "_postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err := errors.Join(err1, err2); err != nil {
			return account{}, fmt.Errorf("user %s: %w", name, err)
		}
		return account{name: name, uid: uid, gid: gid, switched: true}, nil
	}
	return account{}, errors.New("postgresql: does not run as root, and there is no user postgres or nobody:" +
		" create one, or run as an ordinary user")
}

// credential returns what a program needs to run as a; nil means as this process.
func (a account) credential() *syscall.Credential {
	if !a.switched {
		return nil
	}
	return &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
}

// ownFile gives an open file to a.
func (a account) ownFile(f *os.File) error {
	if !a.switched {
		return nil
	}
	return f.Chown(a.uid, a.gid)
}

// readable lets a read an open file of this process's user, and write nothing.
func (a account) readable(f *os.File) error {
	if !a.switched {
		return nil
	}
	return errors.Join(f.Chown(os.Geteuid(), a.gid), f.Chmod(0o640))
}

// owns reports whether a file or directory is a's.
func (a account) owns(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == a.uid
}

// barrier returns the directory on the way to dir, or dir itself, that a cannot
// enter; "" if there is none. Directories that do not exist are no barrier.
func (a account) barrier(dir string) string {
	if !a.switched {
		return ""
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	for at := dir; ; at = filepath.Dir(at) {
		if info, err := os.Stat(at); err == nil && !a.enters(info) {
			return at
		}
		if at == filepath.Dir(at) {
			return ""
		}
	}
}

func (a account) enters(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	switch mode := info.Mode(); {
	case int(stat.Uid) == a.uid:
		return mode&0o100 != 0
	case int(stat.Gid) == a.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}

// dirMode lets another user pass through to the data directories, but list nothing.
func (a account) dirMode() os.FileMode {
	if a.switched {
		return 0o711
	}
	return 0o700
}

// tempDir returns the first directory for temporary files, temp before others, that a can
// enter: root's own may be closed to others.
func (a account) tempDir(temp string) (string, error) {
	for _, dir := range []string{cmp.Or(temp, os.TempDir()), os.TempDir(), "/tmp", "/var/tmp"} {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", err
		}
		real, err := filepath.EvalSymlinks(abs) // so that a server is known by its path
		if err == nil && a.barrier(real) == "" {
			return real, nil
		}
	}
	return "", fmt.Errorf("directory %s: does not exist, or user %s, as whom PostgreSQL runs, cannot enter it:"+
		" set TMPDIR to one that is open to all", os.TempDir(), a.name)
}
