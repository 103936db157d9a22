package loader

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

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
	direct   bool   // the coordinator's lock on the table does not see these rows
}

// A dispatch knows where each lane's batches go, and finds their shards again
// after they have moved.
type dispatch struct {
	l     *Loader
	lay   *layout
	lanes *lanes
	route Route

	mu      sync.Mutex
	targets []target
}

// newDispatch returns the dispatch of a load by that route, and assigns the lanes
// to their nodes.
func (l *Loader) newDispatch(ctx context.Context, lay *layout, lanes *lanes, route Route) (*dispatch, error) {
	d := &dispatch{l: l, lay: lay, lanes: lanes, route: route, targets: make([]target, lay.router.lanes)}
	for i := range d.targets {
		d.targets[i] = d.through()
	}
	if route == RouteCoordinator {
		return d, nil
	}
	return d, d.locate(ctx)
}

// through returns the target of rows that the coordinator, or the plain server,
// is to place.
func (d *dispatch) through() target {
	lock := d.l.lockSQL() + "; "
	return target{table: d.l.table.SQL(), relation: d.l.table.Name,
		guard: lock + d.lay.sameSQL(true), count: len(d.lay.columns), lost: &ChangedError{Table: d.l.table.SQL()}}
}

// target returns where a batch of the lane goes now.
func (d *dispatch) target(lane int) target {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.targets[lane]
}

// locate reads where the shards are and sends each lane there. A shard that no
// longer exists was split: the coordinator places the rows of its lane from then
// on. So it does for a node that was added after the load began.
func (d *dispatch) locate(ctx context.Context) error {
	d.l.controlMu.Lock()
	placements, err := citus.Placements(ctx, d.l.control, d.l.table.OID)
	d.l.controlMu.Unlock()
	if err != nil {
		return err
	}
	at := map[int64]citus.Placement{}
	for _, p := range placements {
		at[p.ShardID] = p
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, s := range d.l.distribution.Shards {
		t := d.through()
		if p, ok := at[s.ID]; ok {
			t = d.at(p)
		}
		d.targets[i] = t
		d.lanes.assign(i, t.node, t.direct)
	}
	return nil
}

// at returns the target of a shard's rows.
func (d *dispatch) at(p citus.Placement) target {
	for _, n := range d.l.nodes {
		if n.group != p.Group {
			continue
		}
		if d.route == RouteNode {
			t := d.through()
			// A batch may wait for whoever waits at the fence: TRUNCATE locks the
			// workers' tables before the coordinator's. So it is not direct.
			if t.node = n.index; n.index > 0 {
				t.guard = d.l.lockSQL() + "; " + d.lay.sameSQL(false)
			}
			return t
		}
		return target{node: n.index, table: p.Table, relation: relationOf(p.Table), direct: true,
			guard: citus.GuardSQL(p.ShardID, d.l.distribution.Colocation), count: 1, lost: errGone}
	}
	return d.through()
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
// once may still be the old one.
const (
	remapTries = 40
	remapDelay = 250 * time.Millisecond
)

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
	if b.tries > remapTries {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.targets[b.lane] = d.through()
		d.lanes.assign(b.lane, 0, false)
		return nil
	}
	d.l.cfg.Log.Debug("a shard is not where it was; reading the map again", "lane", b.lane)
	d.l.controlMu.Lock()
	now, err := citus.Distribute(ctx, d.l.control, d.l.table.OID)
	d.l.controlMu.Unlock()
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
