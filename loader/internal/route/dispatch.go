package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/server"
	"shardload/loader/failure"
	"shardload/loader/internal/job"
	"shardload/loader/internal/lane"
	"shardload/loader/internal/target"
)

// A target is where the batches of a lane go.
type Destination struct {
	Node     int
	Table    string // quoted, for COPY
	Relation string // what errors call it
	Guard    string // statements that lock it, and then count what is still as it was; "" for none
	Count    int    // what the guard must count
	Lost     error  // what another count means
	Marks    string // the progress table, or its shard beside table; "" for none
	Aside    string // likewise that of rejected records
	Direct   bool   // the coordinator's lock on the table does not see these rows
	Nodes    bool   // what Citus sends on to workers is to find no names but the server's own
}

// A Dispatch knows where each lane's batches go, and finds their shards again
// after they have moved.
type Dispatch struct {
	t        *target.Target
	nodes    *Nodes
	columns  []*catalog.Column // of the input
	lanes    *lane.Lanes
	job      *job.Job
	progress uint32
	aside    uint32 // the table of rejected records, 0 for none
	way      Way
	delay    time.Duration // for which a batch that has no place waits
	ranges   []citus.Shard // of the lanes, where they are shards

	mu      sync.Mutex
	targets []Destination
}

// Options are what a dispatch is told of the load.
type Options struct {
	Columns []*catalog.Column // of the input
	Lanes   *lane.Lanes
	Job     *job.Job
	Way     Way
	Delay   time.Duration // for which a batch that has no place waits
}

// NewDispatch returns the dispatch of a load by that route, and assigns the lanes
// to their nodes.
func NewDispatch(ctx context.Context, t *target.Target, nodes *Nodes, opt Options) (*Dispatch, error) {
	d := &Dispatch{
		t: t, nodes: nodes, columns: opt.Columns, lanes: opt.Lanes, job: opt.Job, way: opt.Way, delay: opt.Delay,
		targets: make([]Destination, opt.Lanes.Options.Lanes),
	}
	for i := range d.targets {
		d.targets[i] = d.through()
	}
	if d.way == ByCoordinator || d.job.AtOnce() {
		return d, nil
	}
	d.ranges = t.Distribution.Shards
	if d.job.InPieces() {
		if err := d.followJob(ctx); err != nil {
			return nil, err
		}
	}
	return d, d.locate(ctx)
}

// followJob makes the ranges those of the job's lanes.
func (d *Dispatch) followJob(ctx context.Context) error {
	d.ranges = make([]citus.Shard, len(d.job.Lanes))
	for i, lane := range d.job.Lanes {
		d.ranges[i] = citus.Shard{Min: lane.Min, Max: lane.Max}
	}
	return d.t.OnControl(ctx, func(conn *pgx.Conn) error {
		err := server.Value(ctx, conn, &d.progress, "SELECT $1::text::regclass::oid", d.job.Progress)
		if err != nil {
			return fmt.Errorf("look for the progress table: %w", err)
		}
		if d.job.Aside == nil {
			return nil
		}
		if err := server.Value(ctx, conn, &d.aside, "SELECT $1::text::regclass::oid", d.job.Aside.Table); err != nil {
			return fmt.Errorf("look for the table of rejected records: %w", err)
		}
		return nil
	})
}

// through returns the target of rows that the coordinator, or the plain server,
// is to place.
func (d *Dispatch) through() Destination {
	t := Destination{
		Table: d.t.Table.SQL(), Relation: d.t.Table.Name,
		Guard: strings.Join(d.t.TableLockSQL(d.columns), "; ") + "; " + sameSQL(d.t.Table, d.columns, true), Count: len(d.columns), Lost: &failure.ChangedError{Table: d.t.Table.SQL()},
	}
	if d.t.Server.Citus != "" {
		// Rows of several shards, all of which else get connections of their own.
		t.Guard = "SET LOCAL citus.multi_shard_modify_mode = 'sequential'; " + t.Guard
		t.Nodes = !d.t.Code
	}
	t.Marks = d.job.Progress
	if d.job.Aside != nil {
		t.Aside = d.job.Aside.Table
	}
	return t
}

// To returns where a batch of the lane goes now.
func (d *Dispatch) To(lane int) Destination {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.targets[lane]
}

// locate reads where the shards are and sends each lane there. A shard that no
// longer exists was split: the load begins anew from the marks, with a lane for
// each part, or, if its input cannot be opened again, the coordinator places the
// lane's rows from then on. So it does for a node that was added after the load
// began.
func (d *Dispatch) locate(ctx context.Context) error {
	var shards, marks, aside []citus.Placement
	err := d.t.OnControl(ctx, func(conn *pgx.Conn) (err error) {
		return server.Tx(ctx, conn, server.Read, func() (err error) {
			if shards, err = citus.Placements(ctx, conn, d.t.Table.OID); err == nil && d.job.InPieces() {
				marks, err = citus.Placements(ctx, conn, d.progress)
			}
			if err == nil && d.aside != 0 {
				aside, err = citus.Placements(ctx, conn, d.aside)
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.job.InPieces() && d.job.In.Repeats && d.split(shards) {
		return &job.StartOverError{Why: "a shard was split"}
	}
	for i := range d.targets {
		t := d.find(i, shards, marks, aside)
		d.targets[i] = t
		d.lanes.Assign(i, t.Node, t.Direct)
	}
	return nil
}

// split reports whether a lane's range is now that of several shards.
func (d *Dispatch) split(shards []citus.Placement) bool {
	for i, r := range d.ranges {
		for _, s := range shards {
			if d.t.Distribution.Kind == citus.Hash && d.job.Lanes[i].Home() && r.Min <= s.Min && s.Max <= r.Max && (s.Min != r.Min || s.Max != r.Max) {
				return true
			}
		}
	}
	return false
}

// find returns the target of a lane: its shard, if there is one of its range, and
// the lane's mark is kept beside it, and so are its rejected records if there may be any.
func (d *Dispatch) find(lane int, shards, marks, aside []citus.Placement) Destination {
	own := func(p citus.Placement) bool {
		return d.t.Distribution.Kind == citus.Single || p.Min == d.ranges[lane].Min && p.Max == d.ranges[lane].Max
	}
	i := slices.IndexFunc(shards, own)
	if i < 0 {
		return d.through()
	}
	at := d.node(shards[i].Group)
	if at == nil {
		return d.through()
	}
	if !d.job.InPieces() {
		return d.at(at, shards[i], nil)
	}
	k := slices.IndexFunc(marks, own)
	if k < 0 || marks[k].Group != shards[i].Group || d.t.Distribution.Kind == citus.Hash && !d.job.Lanes[lane].Home() {
		return d.through()
	}
	to := d.at(at, shards[i], &marks[k])
	if d.aside == 0 || d.way == ByNode {
		return to
	}
	n := slices.IndexFunc(aside, own)
	if n < 0 || aside[n].Group != shards[i].Group {
		return d.through()
	}
	to.Aside = aside[n].Table
	return to
}

// node returns the node of that group, nil if the load does not know it.
func (d *Dispatch) node(group int32) *Node {
	for _, n := range d.nodes.All() {
		if n.group == group {
			return n
		}
	}
	return nil
}

// at returns the target of a shard's rows, and of the mark in the shard beside it
// if there is one.
func (d *Dispatch) at(n *Node, shard citus.Placement, mark *citus.Placement) Destination {
	if d.way == ByNode {
		t := d.through()
		// A batch may wait for whoever waits at the fence: TRUNCATE locks the
		// workers' tables before the coordinator's. So it is not direct.
		if t.Node = n.Index; n.Index > 0 {
			t.Guard = strings.Join(d.t.TableLockSQL(d.columns), "; ") + "; " + sameSQL(d.t.Table, d.columns, false)
		}
		return t
	}
	t := Destination{Node: n.Index, Table: shard.Table, Relation: relationOf(shard.Table), Direct: true, Count: 1, Lost: ErrGone}
	locked := []int64{shard.ID}
	if mark != nil {
		t.Marks, t.Count = mark.Table, 2
		locked = append(locked, mark.ID)
	}
	t.Guard = citus.GuardSQL(d.t.Distribution.Colocation, locked...)
	return t
}

// relationOf returns the name of a table without its schema and quotes.
func relationOf(table string) string {
	quoted, start := false, 0
	for i, c := range table {
		switch {
		case c == '"':
			quoted = !quoted
		case c == '.' && !quoted:
			start = i + 1
		}
	}
	name := table[start:]
	if strings.HasPrefix(name, `"`) {
		name = strings.ReplaceAll(strings.Trim(name, `"`), `""`, `"`)
	}
	return name
}

// Remap finds the shard of a batch that was not where it was sent. If it is not
// found in ten seconds the coordinator places the lane's rows.
func (d *Dispatch) Remap(ctx context.Context, b *lane.Batch) error {
	if b.Tries++; b.Tries > 1 {
		select {
		case <-time.After(d.delay):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if b.Tries > 2*fault.RemapTries {
		homeless := fmt.Sprintf("a batch of %s finds no place", d.t.Table.SQL())
		if !d.job.InPieces() {
			return errors.New(homeless + ": no server has its shard, as far as they say; what was stored before stays")
		}
		return &job.StartOverError{Why: homeless}
	}
	if b.Tries > fault.RemapTries {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.targets[b.Lane] = d.through()
		d.lanes.Assign(b.Lane, 0, false)
		return nil
	}
	d.t.Log.Debug("a shard is not where it was; reading the map again", "lane", b.Lane)
	var now *citus.Distribution
	err := d.t.OnControl(ctx, func(conn *pgx.Conn) (err error) {
		now, err = citus.Distribute(ctx, conn, d.t.Table.OID)
		return err
	})
	if err != nil {
		return err
	}
	if was := d.t.Distribution; now.Kind != was.Kind || now.Column != was.Column || now.Colocation != was.Colocation {
		return &failure.ChangedError{Table: d.t.Table.SQL(), How: "it is distributed in another way"}
	}
	return d.locate(ctx)
}

// Gone reports whether err says that the target is not where it was.
func (t Destination) Gone(err *pgconn.PgError) bool {
	return errors.Is(t.Lost, ErrGone) && fault.Gone(err) || fault.ShardGone(err)
}

// ErrGone says that a batch is not stored where its lane was.
var ErrGone = errors.New("the shard has moved")
