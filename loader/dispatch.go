package loader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
)

// A target is where the batches of a lane go.
type target struct {
	node     int
	table    string // quoted, for COPY
	relation string // what errors call it
	guard    string // statements that lock it, and then count what is still as it was; "" for none
	count    int    // what the guard must count
	lost     error  // what another count means
	marks    string // the progress table, or its shard beside table; "" for none
	direct   bool   // the coordinator's lock on the table does not see these rows
}

// A dispatch knows where each lane's batches go, and finds their shards again
// after they have moved.
type dispatch struct {
	l        *Loader
	lay      *layout
	lanes    *lanes
	job      *job // nil if no progress is kept
	progress uint32
	route    Route
	ranges   []citus.Shard // of the lanes, where they are shards

	mu      sync.Mutex
	targets []target
}

// newDispatch returns the dispatch of a load by that route, and assigns the lanes
// to their nodes.
func (l *Loader) newDispatch(ctx context.Context, ld *load, route Route) (*dispatch, error) {
	d := &dispatch{l: l, lay: ld.lay, lanes: ld.lanes, job: ld.job, route: route, targets: make([]target, ld.lay.router.lanes)}
	for i := range d.targets {
		d.targets[i] = d.through()
	}
	if route == RouteCoordinator || ld.whole {
		return d, nil
	}
	d.ranges = l.distribution.Shards
	if d.job != nil {
		if err := d.followJob(ctx); err != nil {
			return nil, err
		}
	}
	return d, d.locate(ctx)
}

// followJob makes the ranges those of the job's lanes.
func (d *dispatch) followJob(ctx context.Context) error {
	d.ranges = make([]citus.Shard, len(d.job.lanes))
	for i, lane := range d.job.lanes {
		d.ranges[i] = citus.Shard{Min: lane.Min, Max: lane.Max}
	}
	return d.l.onControl(ctx, func(conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, "SELECT $1::text::regclass::oid", d.job.Progress).Scan(&d.progress)
		if err != nil {
			return fmt.Errorf("look for the progress table: %w", err)
		}
		return nil
	})
}

// through returns the target of rows that the coordinator, or the plain server,
// is to place.
func (d *dispatch) through() target {
	t := target{table: d.l.table.SQL(), relation: d.l.table.Name,
		guard: d.l.lockSQL(d.l.table.SQL()) + "; " + d.lay.sameSQL(true), count: len(d.lay.columns), lost: &ChangedError{Table: d.l.table.SQL()}}
	if d.l.server.Citus != "" {
		// Rows of several shards, all of which else get connections of their own.
		t.guard = "SET LOCAL citus.multi_shard_modify_mode = 'sequential'; " + t.guard
	}
	if d.job != nil {
		t.marks = d.job.Progress
	}
	return t
}

// target returns where a batch of the lane goes now.
func (d *dispatch) target(lane int) target {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.targets[lane]
}

// locate reads where the shards are and sends each lane there. A shard that no
// longer exists was split: the load begins anew from the marks, with a lane for
// each part, or, if its input cannot be opened again, the coordinator places the
// lane's rows from then on. So it does for a node that was added after the load
// began.
func (d *dispatch) locate(ctx context.Context) error {
	var shards, marks []citus.Placement
	err := d.l.onControl(ctx, func(conn *pgx.Conn) (err error) {
		if shards, err = citus.Placements(ctx, conn, d.l.table.OID); err == nil && d.job != nil {
			marks, err = citus.Placements(ctx, conn, d.progress)
		}
		return err
	})
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.job != nil && d.job.repeats && d.split(shards) {
		return &startOverError{"a shard was split"}
	}
	for i := range d.targets {
		t := d.find(i, shards, marks)
		d.targets[i] = t
		d.lanes.assign(i, t.node, t.direct)
	}
	return nil
}

// split reports whether a lane's range is now that of several shards.
func (d *dispatch) split(shards []citus.Placement) bool {
	for i, r := range d.ranges {
		for _, s := range shards {
			if d.l.distribution.Kind == citus.Hash && d.job.lanes[i].Home() && r.Min <= s.Min && s.Max <= r.Max && (s.Min != r.Min || s.Max != r.Max) {
				return true
			}
		}
	}
	return false
}

// find returns the target of a lane: its shard, if there is one of its range, and
// the lane's mark is kept beside it.
func (d *dispatch) find(lane int, shards, marks []citus.Placement) target {
	own := func(p citus.Placement) bool {
		return d.l.distribution.Kind == citus.Single || p.Min == d.ranges[lane].Min && p.Max == d.ranges[lane].Max
	}
	i := slices.IndexFunc(shards, own)
	if i < 0 {
		return d.through()
	}
	at := d.node(shards[i].Group)
	if at == nil {
		return d.through()
	}
	if d.job == nil {
		return d.at(at, shards[i], nil)
	}
	k := slices.IndexFunc(marks, own)
	if k < 0 || marks[k].Group != shards[i].Group || d.l.distribution.Kind == citus.Hash && !d.job.lanes[lane].Home() {
		return d.through()
	}
	return d.at(at, shards[i], &marks[k])
}

// node returns the node of that group, nil if the load does not know it.
func (d *dispatch) node(group int32) *node {
	for _, n := range d.l.nodes {
		if n.group == group {
			return n
		}
	}
	return nil
}

// at returns the target of a shard's rows, and of the mark in the shard beside it
// if there is one.
func (d *dispatch) at(n *node, shard citus.Placement, mark *citus.Placement) target {
	if d.route == RouteNode {
		t := d.through()
		// A batch may wait for whoever waits at the fence: TRUNCATE locks the
		// workers' tables before the coordinator's. So it is not direct.
		if t.node = n.index; n.index > 0 {
			t.guard = d.l.lockSQL(d.l.table.SQL()) + "; " + d.lay.sameSQL(false)
		}
		return t
	}
	t := target{node: n.index, table: shard.Table, relation: relationOf(shard.Table), direct: true, count: 1, lost: errGone}
	locked := []int64{shard.ID}
	if mark != nil {
		t.marks, t.count = mark.Table, 2
		locked = append(locked, mark.ID)
	}
	t.guard = citus.GuardSQL(d.l.distribution.Colocation, locked...)
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

// Coordinator and workers learn of a move one after the other, so a map read at
// once may still be the old one. Tests change the delay.
const remapTries = 40

var remapDelay = 250 * time.Millisecond

// remap finds the shard of a batch that was not where it was sent. If it is not
// found in ten seconds the coordinator places the lane's rows.
func (d *dispatch) remap(ctx context.Context, b *batch) error {
	if b.tries++; b.tries > 1 {
		select {
		case <-time.After(remapDelay):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if b.tries > 2*remapTries {
		homeless := fmt.Sprintf("a batch of %s finds no place", d.l.table.SQL())
		if d.job == nil {
			return errors.New(homeless + ": no server has its shard, as far as they say; what was stored before stays")
		}
		return &startOverError{homeless}
	}
	if b.tries > remapTries {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.targets[b.lane] = d.through()
		d.lanes.assign(b.lane, 0, false)
		return nil
	}
	d.l.cfg.Log.Debug("a shard is not where it was; reading the map again", "lane", b.lane)
	var now *citus.Distribution
	err := d.l.onControl(ctx, func(conn *pgx.Conn) (err error) {
		now, err = citus.Distribute(ctx, conn, d.l.table.OID)
		return err
	})
	if err != nil {
		return err
	}
	if was := d.l.distribution; now.Kind != was.Kind || now.Column != was.Column || now.Colocation != was.Colocation {
		return &ChangedError{Table: d.l.table.SQL()}
	}
	return d.locate(ctx)
}

// A ChangedError reports that somebody changed what the table is while it was
// being loaded. Rows that were on their way meanwhile may be missing.
type ChangedError struct{ Table string }

func (e *ChangedError) Error() string {
	return fmt.Sprintf("%s was changed or rebuilt while it was being loaded; check what it holds with shardload verify, or load it anew with --replace", e.Table)
}
