package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// A usage is what a run used, or what was used until a moment. Fields are nil
// where nothing is known.
type usage struct {
	clientCPU *float64 // seconds
	serverCPU *float64 // seconds
	wal       *int64   // bytes, of all nodes
}

// since returns what was used after before.
func (u usage) since(before usage) usage {
	return usage{minus(u.clientCPU, before.clientCPU), minus(u.serverCPU, before.serverCPU), minus(u.wal, before.wal)}
}

func minus[T float64 | int64](a, b *T) *T {
	if a == nil || b == nil {
		return nil
	}
	d := *a - *b
	return &d
}

// A meter reads what has been used so far.
type meter struct {
	conn  *pgx.Conn
	citus bool
	// blind says why the coordinator cannot ask the workers, nil if it can.
	blind error
	// postmasters are the process ids of all nodes' postmasters; empty where one of
	// them does not run on this machine.
	postmasters []int
}

// newMeter finds out what can be measured.
func newMeter(ctx context.Context, conn *pgx.Conn, citus bool) (*meter, error) {
	m := &meter{conn: conn, citus: citus}
	// Any process of a server tells its postmaster: its parent. The checkpointer
	// stays, if this role may see which it is; a worker's connection may be gone by
	// the time that it is looked at.
	const who = `SELECT coalesce((SELECT min(pid) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'checkpointer'), pg_catalog.pg_backend_pid())
		|| ' ' || extract(epoch FROM pg_catalog.pg_postmaster_start_time())::bigint`
	answers, err := m.ask(ctx, who)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	m.blind = err
	for _, answer := range answers {
		pid, ok := postmaster(answer)
		if !ok {
			m.postmasters = nil
			break
		}
		m.postmasters = append(m.postmasters, pid)
	}
	return m, nil
}

// ask asks every node for one text.
func (m *meter) ask(ctx context.Context, sql string) ([]string, error) {
	var first string
	if err := m.conn.QueryRow(ctx, sql).Scan(&first); err != nil {
		return nil, err
	}
	if !m.citus {
		return []string{first}, nil
	}
	rows, err := m.conn.Query(ctx, "SELECT nodename || ':' || nodeport, success, result FROM pg_catalog.run_command_on_workers($1::text)", sql)
	if err != nil {
		return nil, err
	}
	answers := []string{first}
	var node, result string
	var ok bool
	_, err = pgx.ForEachRow(rows, []any{&node, &ok, &result}, func() error {
		if !ok {
			return fmt.Errorf("node %s: %s", node, result)
		}
		answers = append(answers, result)
		return nil
	})
	return answers, err
}

// read returns what was used until now.
func (m *meter) read(ctx context.Context) usage {
	return usage{clientCPU: clientCPU(), serverCPU: m.serverCPU(), wal: m.wal(ctx)}
}

// wal returns how much write-ahead log the nodes have made, nil where the role may
// not know.
func (m *meter) wal(ctx context.Context) *int64 {
	if m.blind != nil {
		return nil
	}
	answers, err := m.ask(ctx, "SELECT (pg_catalog.pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint::text")
	if err != nil {
		return nil
	}
	var sum int64
	for _, answer := range answers {
		n, err := strconv.ParseInt(answer, 10, 64)
		if err != nil {
			return nil
		}
		sum += n
	}
	return &sum
}

// clientCPU returns the CPU seconds of this process and of the programs that it
// has run.
func clientCPU() *float64 {
	var sum float64
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) != nil {
			return nil
		}
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
	}
	return &sum
}

// serverCPU returns the CPU seconds of the postmasters and of all processes that
// they have started. Those that have ended are counted with the postmaster.
func (m *meter) serverCPU() *float64 {
	if len(m.postmasters) == 0 {
		return nil
	}
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	var ticks int64
	for _, file := range files {
		p, err := readProcess(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		for _, pid := range m.postmasters {
			switch pid {
			case p.pid:
				ticks += p.cpu + p.childrenCPU
			case p.parent:
				ticks += p.cpu
			}
		}
	}
	sum := float64(ticks) / clockTicks
	return &sum
}

// clockTicks is the kernel's USER_HZ: what /proc counts in a second.
const clockTicks = 100

// A processStat is what /proc knows of a process. Times are in clock ticks.
type processStat struct {
	pid, parent      int
	name             string
	cpu, childrenCPU int64
	started          int64 // after the machine
}

// readProcess reads a file /proc/PID/stat.
func readProcess(file string) (processStat, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return processStat{}, err
	}
	return parseProcess(string(text))
}

// parseProcess understands the line of /proc/PID/stat. The name is in parentheses
// and may hold any character.
func parseProcess(line string) (p processStat, err error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return p, errors.New("not the state of a process")
	}
	fields := strings.Fields(line[end+1:])
	if len(fields) < 20 {
		return p, errors.New("not the state of a process")
	}
	number := func(s string) int64 {
		n, e := strconv.ParseInt(s, 10, 64)
		err = errors.Join(err, e)
		return n
	}
	p.pid = int(number(strings.TrimSpace(line[:open])))
	p.name = line[open+1 : end]
	// The third field of the line is the first here.
	p.parent = int(number(fields[1]))
	p.cpu = number(fields[11]) + number(fields[12])
	p.childrenCPU = number(fields[13]) + number(fields[14])
	p.started = number(fields[19])
	return p, err
}

// postmaster returns the process id of the postmaster that a node's answer leads
// to, if it is a process of this machine: its start must be what the node says.
func postmaster(answer string) (pid int, ok bool) {
	var child int
	var started int64
	if _, err := fmt.Sscan(answer, &child, &started); err != nil {
		return 0, false
	}
	p, err := readProcess(fmt.Sprintf("/proc/%d/stat", child))
	if err != nil || !strings.Contains(p.name, "postgres") {
		return 0, false
	}
	parent, err := readProcess(fmt.Sprintf("/proc/%d/stat", p.parent))
	if err != nil {
		return 0, false
	}
	boot, err := bootTime()
	if err != nil {
		return 0, false
	}
	if off := boot + parent.started/clockTicks - started; off < -5 || off > 5 {
		return 0, false
	}
	return p.parent, true
}

// bootTime returns when the machine was started, in seconds since 1970.
func bootTime() (int64, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "btime "); ok {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, errors.New("/proc/stat has no btime")
}
