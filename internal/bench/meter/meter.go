// Package meter reads what a load uses, of this machine and of the servers: CPU time, and
// write-ahead log. Where something cannot be known it says nothing.
package meter

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/procfs"

	"shardload/internal/server"
)

// A Usage is what a run used, or what was used until a moment. Fields are nil
// where nothing is known.
type Usage struct {
	ClientCPU *float64 // seconds
	ServerCPU *float64 // seconds
	WAL       *int64   // bytes, of all nodes
}

// Since returns what was used after before.
func (u Usage) Since(before Usage) Usage {
	return Usage{Minus(u.ClientCPU, before.ClientCPU), Minus(u.ServerCPU, before.ServerCPU), Minus(u.WAL, before.WAL)}
}

// Minus returns the difference, nil where one of the two is not known.
func Minus[T float64 | int64](a, b *T) *T {
	if a == nil || b == nil {
		return nil
	}
	d := *a - *b
	return &d
}

// A Meter reads what has been used so far.
type Meter struct {
	conn  *pgx.Conn
	citus bool
	// Blind says why the coordinator cannot ask the workers, nil if it can.
	Blind error
	// postmasters are the process ids of all nodes' postmasters; empty where one of
	// them does not run on this machine.
	postmasters []int
}

// New finds out what can be measured. citus says that the server is the coordinator of a
// cluster.
func New(ctx context.Context, conn *pgx.Conn, citus bool) (*Meter, error) {
	m := &Meter{conn: conn, citus: citus}
	// Any process of a server tells its postmaster: its parent. The checkpointer
	// stays, if this role may see which it is; a worker's connection may be gone by
	// the time that it is looked at.
	const who = `SELECT pg_catalog.concat(coalesce((SELECT pg_catalog.min(pid) FROM pg_catalog.pg_stat_activity WHERE backend_type OPERATOR(pg_catalog.=) 'checkpointer'),
		pg_catalog.pg_backend_pid()), ' ', pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())::bigint)`
	answers, err := m.Ask(ctx, who)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	m.Blind = err
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

// Ask asks every node for one text, the coordinator first.
func (m *Meter) Ask(ctx context.Context, sql string) ([]string, error) {
	var first string
	if err := server.Value(ctx, m.conn, &first, sql); err != nil {
		return nil, err
	}
	answers := []string{first}
	if !m.citus {
		return answers, nil
	}
	err := server.Tx(ctx, m.conn, server.Read, func() error {
		rows, err := m.conn.Query(ctx, "SELECT nodename || ':' || nodeport, success, result FROM pg_catalog.run_command_on_workers($1::text)", sql)
		if err != nil {
			return err
		}
		var node, result string
		var ok bool
		_, err = pgx.ForEachRow(rows, []any{&node, &ok, &result}, func() error {
			if !ok {
				return fmt.Errorf("node %s: %s", node, result)
			}
			answers = append(answers, result)
			return nil
		})
		return err
	})
	return answers, err
}

// Here reports whether all servers run on this machine.
func (m *Meter) Here() bool { return len(m.postmasters) > 0 }

// Read returns what was used until now.
func (m *Meter) Read(ctx context.Context) Usage {
	return Usage{ClientCPU: clientCPU(), ServerCPU: m.serverCPU(), WAL: m.WAL(ctx)}
}

// WAL returns how much write-ahead log the nodes have made, nil where the role may
// not know.
func (m *Meter) WAL(ctx context.Context) *int64 {
	if m.Blind != nil {
		return nil
	}
	answers, err := m.Ask(ctx, "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')::bigint::pg_catalog.text")
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
func (m *Meter) serverCPU() *float64 {
	if len(m.postmasters) == 0 {
		return nil
	}
	all, err := procfs.AllProcs()
	if err != nil {
		return nil
	}
	var sum float64
	for _, p := range all {
		stat, err := p.Stat()
		if err != nil {
			continue // it has ended meanwhile
		}
		switch {
		case slices.Contains(m.postmasters, stat.PID):
			sum += stat.CPUTime() + float64(stat.CUTime+stat.CSTime)/clockTicks
		case slices.Contains(m.postmasters, stat.PPID):
			sum += stat.CPUTime()
		}
	}
	return &sum
}

// clockTicks is the kernel's USER_HZ: what /proc counts in a second.
const clockTicks = 100

// statOf returns what /proc knows of a process.
func statOf(pid int) (procfs.ProcStat, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return procfs.ProcStat{}, err
	}
	return p.Stat()
}

// postmaster returns the process id of the postmaster that a node's answer leads
// to, if it is a process of this machine: its start must be what the node says.
func postmaster(answer string) (pid int, ok bool) {
	var child int
	var started int64
	if _, err := fmt.Sscan(answer, &child, &started); err != nil {
		return 0, false
	}
	p, err := statOf(child)
	if err != nil || !strings.Contains(p.Comm, "postgres") {
		return 0, false
	}
	parent, err := statOf(p.PPID)
	if err != nil {
		return 0, false
	}
	since, err := parent.StartTime()
	if err != nil {
		return 0, false
	}
	if off := int64(since) - started; off < -5 || off > 5 {
		return 0, false
	}
	return p.PPID, true
}
