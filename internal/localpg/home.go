package localpg

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// A home is the directory of a cluster:
//
//	coordinator/ worker1/ …          data directories, 0700, owned by the servers' user
//	coordinator.log worker1.log …    what the servers say, 0600
//	pgpass                           the password for the user who started the cluster, 0600
//	pgpass.servers                   the same for the servers' user, since Citus connects
//	cluster.json                     what is needed to find the cluster again
//	lock                             held while somebody starts or owns the cluster
type home struct {
	dir       string
	account   account
	temporary bool     // made for one Start, removed by its Stop
	made      []string // the directories that did not exist before, dir being the last
	locked    *os.File // nil when not locked
}

func (h home) path(name string) string { return filepath.Join(h.dir, name) }
func (h home) passfile() string        { return h.path("pgpass") }
func (h home) serversPassfile() string {
	if !h.account.switched {
		return h.passfile()
	}
	return h.path("pgpass.servers")
}

// makeHome finds or makes the directory of a cluster, a temporary one in temp if dir
// is empty, and locks it.
func makeHome(dir, temp string) (home, error) {
	acc, err := serverAccount()
	if err != nil {
		return home{}, err
	}
	h := home{account: acc}
	if dir == "" {
		err = h.makeTemporary(temp)
	} else {
		err = h.makeAt(dir)
	}
	if err == nil {
		err = h.lock()
	}
	if err != nil && !errors.Is(err, ErrRunning) {
		err = errors.Join(err, h.removeMade())
	}
	return h, err
}

// makeAt makes h.dir of a directory that is empty, holds a cluster or does not
// exist.
func (h *home) makeAt(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if at := h.account.barrier(dir); at != "" && at != dir {
		return fmt.Errorf("directory %s: user %s, as whom PostgreSQL runs, cannot enter %s: choose a directory elsewhere",
			dir, h.account.name, at)
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := h.mkdirAll(dir); err != nil {
			return err
		}
	case err != nil:
		return err
	case len(entries) > 0 && !holdsCluster(entries):
		return fmt.Errorf("directory %s: is not empty, and holds no cluster: choose another", dir)
	}
	if err := os.Chmod(dir, h.mode()); err != nil {
		return err
	}
	h.dir, err = filepath.EvalSymlinks(dir) // so that a server is known by its path
	return err
}

// mkdirAll is os.MkdirAll, but what it makes can be entered whatever the umask.
func (h *home) mkdirAll(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := h.mkdirAll(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, h.mode()); err != nil {
		return err
	}
	h.made = append(h.made, dir)
	return os.Chmod(dir, h.mode())
}

// holdsCluster reports whether a directory is a cluster's, if only one that
// somebody is about to make.
func holdsCluster(entries []os.DirEntry) bool {
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return e.Name() == "cluster.json" || e.Name() == "lock" && len(entries) == 1
	})
}

// mode lets another user pass through to the data directories, but list nothing.
func (h *home) mode() os.FileMode {
	if h.account.switched {
		return 0o711
	}
	return 0o700
}

// lock keeps a second process from starting a cluster in the same directory, and
// from taking a temporary directory for one left behind.
func (h *home) lock() error {
	f, err := os.OpenFile(h.path("lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	h.locked = f
	if err := h.tryLock(); err != nil {
		return errors.Join(fmt.Errorf("directory %s: %w", h.dir, ErrRunning), h.unlock())
	}
	return nil
}

func (h *home) tryLock() error {
	return syscall.Flock(int(h.locked.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// unlock lets others start the cluster. It does nothing where nothing is locked.
func (h *home) unlock() error {
	if h.locked == nil {
		return nil
	}
	err := h.locked.Close() // which is what unlocks
	h.locked = nil
	return err
}

// remove undoes makeHome and all that was done in the directory since.
func (h *home) remove() (err error) {
	defer func() { err = errors.Join(err, h.unlock()) }()
	if len(h.made) > 0 {
		return h.removeMade()
	}
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(h.path(e.Name())))
	}
	return err
}

// removeMade removes h.made, with all that is in the last of them.
func (h *home) removeMade() error {
	last := len(h.made) - 1
	if last < 0 {
		return nil
	}
	err := os.RemoveAll(h.made[last])
	for _, parent := range slices.Backward(h.made[:last]) {
		if os.Remove(parent) != nil {
			break // something else has moved in
		}
	}
	return err
}

// writePasswords chooses a password and writes it to the files that the two users
// read it from. Any port and role are let in to it: Citus and tests may connect
// as other roles, and through proxies.
func (h *home) writePasswords() (password string, err error) {
	password = rand.Text()
	line := loopback + ":*:*:*:" + password + "\n"
	if err := writePrivate(h.passfile(), line, account{}); err != nil {
		return "", err
	}
	if h.account.switched {
		err = writePrivate(h.serversPassfile(), line, h.account)
	}
	return password, err
}

// writePrivate writes a file that only owner can read.
func writePrivate(name, text string, owner account) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Chmod(0o600), owner.own(name), f.Close())
}

// dsn returns the URL of a database on the server at port. The empty password is
// there so that PGPASSWORD, meant for some other server, does not hide the file.
func (h home) dsn(port int, database string) string {
	// Query escaping writes a blank as +, which libpq does not read back.
	file := strings.ReplaceAll(url.QueryEscape(h.passfile()), "+", "%20")
	file = strings.ReplaceAll(file, "%2F", "/")
	return fmt.Sprintf("postgresql://%s@%s:%d/%s?sslmode=disable&password=&passfile=%s",
		superuser, loopback, port, url.PathEscape(database), file)
}
