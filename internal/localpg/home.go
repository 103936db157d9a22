package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"shardload/internal/owned"
)

// A home is the directory of a cluster:
//
//	coordinator/ worker1/ …            data directories, 0700, owned by the servers' user
//	coordinator.conf worker1.conf …    their configuration, which the servers' user can only read
//	pg_hba.conf                        who is let in, the same
//	coordinator.log worker1.log …      what the servers say, 0600
//	pgpass                             the password for the user who started the cluster, 0600
//	pgpass.servers                     the same for the servers' user, since Citus connects
//	cluster.json                       what is needed to find the cluster again
//	attached                           there while the cluster ends with the process that holds the lock
//
// and the mark of package owned, the lock of which is held while somebody starts, stops
// or owns the cluster. Where root starts servers that run as another user, that user can
// write to the data directories alone, and root writes nothing in there: through links
// it would write anywhere.
type home struct {
	dir       string
	own       *owned.Dir
	account   account
	temporary bool    // made for one Start, removed by its Stop
	made      newDirs // it, and those above it, as far as they did not exist before
}

// The kinds of directories that hold clusters.
const (
	kindKept      owned.Kind = "cluster"
	kindTemporary owned.Kind = "temporary cluster"
)

const attachedFile = "attached"

func (h home) path(name string) string { return filepath.Join(h.dir, name) }

func (h home) passwords() passwords { return passwords{h.own, h.account} }

// makeHome finds or makes the directory of a cluster, and locks it.
func makeHome(ctx context.Context, cfg Config) (home, error) {
	acc, err := serverAccount()
	if err != nil {
		return home{}, err
	}
	h := home{account: acc}
	if cfg.Dir == "" {
		return h, h.makeTemporary(cfg.Temp)
	}
	for {
		err := h.makeAt(ctx, cfg)
		if err == nil {
			return h, nil
		}
		if h.own != nil {
			err = errors.Join(err, h.own.Close())
			h.own = nil
		}
		if !errors.Is(err, owned.ErrGone) {
			h.made.remove()
			return h, err
		}
	}
}

// makeAt makes h.dir of a directory that is empty, holds a cluster or does not
// exist. What exists keeps its mode.
func (h *home) makeAt(ctx context.Context, cfg Config) error {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return err
	}
	if at := h.account.barrier(dir); at != "" {
		advice := "choose a directory elsewhere"
		if at == dir {
			advice = "chmod +x lets it in, or choose another"
		}
		return fmt.Errorf("directory %s: user %s, as whom PostgreSQL runs, cannot enter %s: %s", dir, h.account.name, at, advice)
	}
	if err := h.made.mkdirAll(dir, h.account.dirMode()); err != nil {
		return err
	}
	if err := h.claim(dir); err != nil {
		return err
	}
	h.dir = h.own.Path // without links, so that a server is known by its path
	return h.lock(ctx, cfg.Waiting)
}

// claim opens dir as ours, or makes it ours if it is empty.
func (h *home) claim(dir string) (err error) {
	h.own, err = owned.Open(dir)
	if errors.Is(err, owned.ErrNoMark) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(entries, func(e os.DirEntry) bool { return !owned.IsMarkPart(e.Name()) && e.Name() != owned.MarkName }) {
			return fmt.Errorf("directory %s: is not empty, and holds no cluster: choose another", dir)
		}
		h.own, err = owned.Claim(dir, kindKept, h.made.has(dir))
		if errors.Is(err, fs.ErrExist) {
			return owned.ErrGone // somebody else was faster: look again
		}
		return err
	}
	if err == nil && h.own.Mark.Kind != kindKept {
		return fmt.Errorf("directory %s: it is a temporary directory of this program: choose another", dir)
	}
	return err
}

// lock waits until nobody else starts or stops the cluster, and keeps others from
// it. It returns an ErrRunning if the cluster belongs to a living process.
func (h *home) lock(ctx context.Context, waiting func()) error {
	for told := false; ; {
		err := h.own.Lock()
		if !errors.Is(err, owned.ErrInUse) {
			return err
		}
		if _, err := h.own.Root.Lstat(attachedFile); err == nil {
			return fmt.Errorf("directory %s: %w", h.dir, ErrRunning)
		}
		if !told && waiting != nil {
			waiting()
		}
		told = true
		select {
		case <-ctx.Done():
			return fmt.Errorf("directory %s: another process starts or stops the cluster: %w", h.dir, context.Cause(ctx))
		case <-time.After(5 * pollInterval):
		}
	}
}

// unlock lets others start the cluster. It does nothing where nothing is locked.
func (h *home) unlock() error {
	if h.own == nil {
		return nil
	}
	return h.own.Unlock()
}

// dsn returns the URL of a database on the server at port. The empty password is
// there so that PGPASSWORD, meant for some other server, does not hide the file.
func (h home) dsn(port int, database string) string {
	// Query escaping writes a blank as +, which libpq does not read back.
	file := strings.ReplaceAll(url.QueryEscape(h.passwords().file()), "+", "%20")
	file = strings.ReplaceAll(file, "%2F", "/")
	return fmt.Sprintf("postgresql://%s@%s:%d/%s?sslmode=disable&password=&passfile=%s",
		superuser, loopback, port, url.PathEscape(database), file)
}
