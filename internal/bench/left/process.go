// Package left knows what benchmarks and tunings leave behind when they are killed: schemas
// and tables, programs, control groups. Each has a mark that nothing else has.
package left

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
)

// A Leftover is something that a benchmark or a tuning has left behind which was
// killed.
type Leftover struct {
	What  string    `json:"what"`
	Name  string    `json:"name"`
	Made  time.Time `json:"made,omitzero"`
	InUse string    `json:"in_use,omitempty"` // by whom, or why it is left alone; "" if nobody needs it
}

// ParentEnv names, in the environment of each program that a benchmark runs, the
// process that runs it.
const ParentEnv = "SHARDLOAD_BENCH_PARENT"

// Self names this process, as no later one is named: by its number and start.
func Self() string { return processName(os.Getpid()) }

func processName(pid int) string {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return strconv.Itoa(pid)
	}
	stat, err := p.Stat()
	if err != nil {
		return strconv.Itoa(pid)
	}
	return fmt.Sprintf("%d.%d", pid, stat.Starttime)
}

// lives reports whether the process of that name runs.
func lives(name string) bool {
	number, _, _ := strings.Cut(name, ".")
	pid, err := strconv.Atoi(number)
	return err == nil && processName(pid) == name && syscall.Kill(pid, 0) == nil
}

// Programs returns the programs of this user's that benchmarks have started which are
// no more. Only Linux tells.
func Programs() []Leftover {
	var list []Leftover
	for pid, name := range orphans() {
		list = append(list, Leftover{What: "program", Name: fmt.Sprintf("process %d, %s", pid, name)})
	}
	return list
}

// EndPrograms ends what Programs returns.
func EndPrograms() error {
	var errs []error
	for pid := range orphans() {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("process %d: %w", pid, err))
		}
	}
	return errors.Join(errs...)
}

// orphans returns the names of those processes, by their numbers.
func orphans() map[int]string {
	found := map[int]string{}
	all, _ := procfs.AllProcs() // none where there is no /proc
	for _, p := range all {
		environ, err := p.Environ() // of others' processes it cannot be read
		if err != nil || p.PID == os.Getpid() || !isMine(fmt.Sprintf("/proc/%d", p.PID)) {
			continue
		}
		stat, err := p.Stat()
		if err != nil {
			continue // it has ended meanwhile
		}
		for _, entry := range environ {
			if parent, ok := strings.CutPrefix(entry, ParentEnv+"="); ok && !lives(parent) {
				found[p.PID] = stat.Comm
			}
		}
	}
	return found
}

// isMine reports whether a file or directory is this user's.
func isMine(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// GroupPrefix begins the names of control groups: then comes the process, and a
// number.
const GroupPrefix = "shardload-bench-"

var groupName = regexp.MustCompile(`^` + GroupPrefix + `([0-9]+\.[0-9]+)-[0-9]+$`)

// CGroups is where Linux keeps its control groups.
const CGroups = "/sys/fs/cgroup"

// Groups returns the control groups that simulated scale-outs have left behind.
func Groups() []Leftover { return groupsIn(CGroups) }

func groupsIn(root string) []Leftover {
	var list []Leftover
	for _, base := range []string{root, filepath.Join(root, "cpu")} {
		entries, err := os.ReadDir(base)
		if err != nil {
			continue
		}
		for _, e := range entries {
			m := groupName.FindStringSubmatch(e.Name())
			if m == nil || !e.IsDir() {
				continue
			}
			l := Leftover{What: "control group", Name: filepath.Join(base, e.Name())}
			if lives(m[1]) {
				l.InUse = "process " + m[1]
			}
			list = append(list, l)
		}
	}
	return list
}

// RemoveGroup removes a control group that Groups has found. The kernel refuses one
// that has processes.
func RemoveGroup(l Leftover) error {
	if m := groupName.FindStringSubmatch(filepath.Base(l.Name)); m == nil || lives(m[1]) {
		return fmt.Errorf("%s: it is in use", l.Name)
	}
	if err := syscall.Rmdir(l.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "remove", Path: l.Name, Err: err}
	}
	return nil
}
