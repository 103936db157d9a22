package localpg

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"shardload/internal/owned"
)

// remove removes all that was made in the directory, and the directory if it was
// made for the cluster. What is not ours stays, and is named by an
// owned.LeftError. No server may run in it.
func (h *home) remove() error {
	left, err := h.removeData()
	if err != nil {
		return err
	}
	err = h.own.Remove(func(e fs.DirEntry) bool {
		if dataName.MatchString(e.Name()) {
			return e.IsDir() && !slices.ContainsFunc(left, func(name string) bool { return strings.HasPrefix(name, e.Name()+"/") })
		}
		return homeName.MatchString(e.Name()) && e.Type().IsRegular()
	})
	if others, ok := errors.AsType[*owned.LeftError](err); ok {
		others.Names = slices.DeleteFunc(others.Names, func(name string) bool {
			return slices.ContainsFunc(left, func(inside string) bool { return strings.HasPrefix(inside, name+"/") })
		})
		others.Names = append(others.Names, left...)
		return others
	}
	h.made.remove()
	return err
}

// What this package and the servers call what they make.
var (
	homeName   = regexp.MustCompile(`^(cluster\.json|pgpass|pgpass\.servers|initdb\.password|pg_hba\.conf|attached|(coordinator|worker[0-9]+)\.(log|conf))$`)
	dataName   = regexp.MustCompile(`^(coordinator|worker[0-9]+)$`)
	serverName = regexp.MustCompile(`^(base|global|log|pg_[a-z]+(_[a-z]+)?(\.conf)?|server\.(crt|key)|PG_VERSION|postgresql(\.auto)?\.conf(\.tmp)?|` +
		`postmaster\.(pid|opts)|current_logfiles(\.tmp)?|(backup_label|tablespace_map)(\.old)?|(recovery|standby)\.signal)$`)
)

// removeData empties the data directories of what servers make in there, and
// returns what else they hold.
func (h *home) removeData() (left []string, err error) {
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !dataName.MatchString(e.Name()) || !e.IsDir() {
			continue
		}
		others, err := h.emptyData(e.Name())
		if err != nil {
			return nil, err
		}
		for _, name := range others {
			left = append(left, e.Name()+"/"+name)
		}
	}
	return left, nil
}

func (h *home) emptyData(name string) (left []string, err error) {
	before, err := h.own.Root.Lstat(name)
	if err != nil {
		return nil, err
	}
	sub, err := h.own.Root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sub.Close()) }()
	if after, err := sub.Stat("."); err != nil || !os.SameFile(before, after) || !h.account.owns(after) {
		return []string{"."}, err
	}
	return owned.RemoveKnown(sub, func(e fs.DirEntry) bool { return serverName.MatchString(e.Name()) })
}
