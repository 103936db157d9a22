package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

// A cpuLimit keeps processes, and what they start, below a share of a core.
type cpuLimit struct{ dir string }

// limitPeriod is how often the kernel gives a group its share anew: short, so that
// a limited server is a slow one and not one that stops and goes.
const limitPeriod = 20 * time.Millisecond

// newCPULimit makes a control group of that name below root, of version 1 or 2,
// whose processes may use so many cores together. The caller removes it once they
// have ended.
func newCPULimit(root, name string, cores float64) (limit *cpuLimit, err error) {
	period := limitPeriod.Microseconds()
	quota := int64(cores * float64(period))
	var base string
	settings := map[string]string{}
	switch version(root) {
	case 2:
		base = root
		// Without it the group would have no cpu.max. Where it is there already this
		// changes nothing.
		if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+cpu"), 0); err != nil {
			return nil, err
		}
		settings["cpu.max"] = fmt.Sprintf("%d %d", quota, period)
	case 1:
		base = filepath.Join(root, "cpu")
		settings["cpu.cfs_period_us"] = strconv.FormatInt(period, 10)
		settings["cpu.cfs_quota_us"] = strconv.FormatInt(quota, 10)
	default:
		return nil, fmt.Errorf("%s has no control groups for the CPU", root)
	}
	limit = &cpuLimit{filepath.Join(base, name)}
	if err := os.Mkdir(limit.dir, 0o755); err != nil {
		return nil, err
	}
	for _, file := range []string{"cpu.max", "cpu.cfs_period_us", "cpu.cfs_quota_us"} {
		if value, ok := settings[file]; ok {
			if err := os.WriteFile(filepath.Join(limit.dir, file), []byte(value), 0); err != nil {
				return nil, errors.Join(err, limit.remove())
			}
		}
	}
	return limit, nil
}

// version returns which version of control groups limits the CPU there, 0 for none.
func version(root string) int {
	controllers, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err == nil && strings.Contains(" "+strings.TrimSpace(string(controllers))+" ", " cpu ") {
		return 2
	}
	if _, err := os.Stat(filepath.Join(root, "cpu", "cgroup.procs")); err == nil {
		return 1
	}
	return 0
}

// add puts a process and its children into the group. A process that starts another
// meanwhile may leave that one out, so they are looked for until there is no new one.
func (l *cpuLimit) add(pid int) error {
	procs := filepath.Join(l.dir, "cgroup.procs")
	if err := os.WriteFile(procs, []byte(strconv.Itoa(pid)), 0); err != nil {
		return err
	}
	added := map[int]bool{}
	for found := true; found; {
		found = false
		all, err := procfs.AllProcs()
		if err != nil {
			return err
		}
		for _, p := range all {
			stat, err := p.Stat()
			if err != nil || stat.PPID != pid || added[p.PID] {
				continue
			}
			added[p.PID], found = true, true
			// A child that has ended meanwhile needs no limit.
			if err := os.WriteFile(procs, []byte(strconv.Itoa(p.PID)), 0); err != nil && !ended(p.PID) {
				return err
			}
		}
	}
	return nil
}

func ended(pid int) bool {
	_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	return errors.Is(err, os.ErrNotExist)
}

// remove removes the group, which takes a moment after its last process has ended.
func (l *cpuLimit) remove() error {
	const patience, pause = 100, 20 * time.Millisecond
	var err error
	for range patience {
		if err = os.Remove(l.dir); err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
		time.Sleep(pause)
	}
	return err
}
