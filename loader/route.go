package loader

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/citus"
)

// An obstacle says why a route cannot be taken. The loader takes the next one, or
// stops if the route was asked for by name.
type obstacle string

// chooseRoute takes the fastest route that table, rights and nodes allow, and
// makes the list of nodes.
func (l *Loader) chooseRoute(ctx context.Context, rights catalog.Rights) error {
	first := &node{patience: patience{limit: l.cfg.RetryFor}}
	first.at.Store(&where{name: "the server", config: keepWarnings(&l.cfg.Conn.Copy().Config)})
	if l.server.Citus != "" {
		first.at.Load().name = "the coordinator"
	}
	l.nodes = []*node{first}
	if l.cfg.Route == RouteCoordinator || l.cfg.Route == RouteAuto && l.server.Citus == "" {
		return nil // nothing to choose
	}
	ob, err := l.reachShards(ctx)
	if err != nil {
		return err
	}
	best := RouteShard
	switch {
	case ob != "":
		best = RouteCoordinator
	case !rights.Owner && !rights.Superuser:
		best = RouteNode
		ob = obstacle(fmt.Sprintf("role %s does not own the table, so it may not lock a shard", rights.Role))
	}
	return l.take(best, ob)
}

// take settles for the route best, or for a slower one that the Config names. ob
// says why there is no faster one than best.
func (l *Loader) take(best Route, ob obstacle) error {
	rank := map[Route]int{RouteCoordinator: 0, RouteNode: 1, RouteShard: 2}
	asked := l.cfg.Route
	if asked != RouteAuto && rank[asked] > rank[best] {
		return l.blocked(ob)
	}
	l.plan.Route = best
	if asked != RouteAuto {
		l.plan.Route, ob = asked, ""
	}
	switch l.plan.Route {
	case RouteShard:
		l.plan.Why += ", which it enters on its own node"
	case RouteNode:
		l.plan.Why += ", and Citus stores them on its node"
	case RouteCoordinator:
		l.nodes = l.nodes[:1]
	}
	if ob != "" {
		l.plan.Why += "; " + string(ob)
	}
	return nil
}

// blocked is the error of a route that was asked for by name.
func (l *Loader) blocked(ob obstacle) error {
	return &PreflightError{fmt.Sprintf("route %s cannot be taken: %s", l.cfg.Route, ob), "--route auto takes the fastest that can"}
}

// reachShards adds the nodes that hold shards to l.nodes. It returns what keeps
// rows from going there.
func (l *Loader) reachShards(ctx context.Context) (obstacle, error) {
	switch d := l.distribution; {
	case l.server.Citus == "":
		return "the server has no Citus", nil
	case d.Kind != citus.Hash && d.Kind != citus.Single:
		return obstacle(fmt.Sprintf("the table is %s, not distributed by hash", d.Kind)), nil
	case d.Replicated:
		return "the table's shards are replicated, and the coordinator keeps the copies alike", nil
	}
	nodes, err := citus.Nodes(ctx, l.control)
	if err != nil {
		return "", err
	}
	ids, err := citus.Identities(ctx, l.control)
	if err != nil {
		return "", err
	}
	return l.reachNodes(ctx, nodes, ids)
}

// reachNodes connects to each node that may hold shards. One that cannot be used
// is enough to go through the coordinator: a shard may move there.
func (l *Loader) reachNodes(ctx context.Context, nodes []citus.Node, ids map[string]string) (obstacle, error) {
	for _, n := range nodes {
		name := n.Address()
		switch {
		case n.Role != "primary":
			continue
		case !n.Active:
			return obstacle("node " + name + " is not active"), nil
		case !n.Synced:
			return obstacle("node " + name + " does not have the cluster's metadata; SELECT start_metadata_sync_to_all_nodes()"), nil
		case n.Group == 0:
			continue // the first node
		case ids[name] == "":
			return obstacle("the coordinator cannot reach node " + name), nil
		}
		at, err := l.whereIs(n)
		if err != nil {
			return "", err
		}
		to := &node{index: len(l.nodes), group: n.Group, identity: ids[name], whoIs: l.whoIs, patience: patience{limit: l.cfg.RetryFor}}
		to.at.Store(at)
		if err := l.try(ctx, to); err != nil {
			if ctx.Err() != nil {
				return "", context.Cause(ctx)
			}
			return obstacle(fmt.Sprintf("node %s cannot be used from here: %v", name, err)), nil
		}
		l.nodes = append(l.nodes, to)
	}
	return "", nil
}

// errUnreachable says that the coordinator does not reach a node, for now.
var errUnreachable = errors.New("the coordinator cannot reach it")

// whoIs asks the coordinator for the identity of the node of that name.
func (l *Loader) whoIs(ctx context.Context, name string) (id string, err error) {
	err = l.onControl(ctx, func(conn *pgx.Conn) error {
		ids, err := citus.Identities(ctx, conn)
		id = ids[name]
		return err
	})
	if err == nil && id == "" {
		err = errUnreachable
	}
	return id, err
}

// reachTimeout is how long a node may take to answer. Addresses that mean nothing
// outside the cluster often lead to where nobody answers at all.
const reachTimeout = 5 * time.Second

// try makes sure that a node can be reached, and keeps the connection for a
// stream.
func (l *Loader) try(ctx context.Context, n *node) error {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	conn, err := n.connect(ctx)
	if err != nil {
		return err
	}
	n.live++
	n.release(conn)
	return nil
}

// chooseFor checks what only the input's columns and values tell: that no column
// is left out which a shard would fill otherwise than the table, and that our hash
// is the server's. It returns the route of this load.
func (l *Loader) chooseFor(ctx context.Context, ld *load, first *chunk, ask *asker) (Route, error) {
	lay, route := ld.lay, l.plan.Route
	if route == RouteCoordinator || ld.whole {
		return RouteCoordinator, nil
	}
	ob := lay.omitted()
	if ob == "" && route == RouteShard {
		var err error
		if ob, err = lay.checkHashes(ctx, first, ask); err != nil {
			return "", err
		}
	}
	if ob == "" {
		return route, nil
	}
	if l.cfg.Route != RouteAuto {
		return "", l.blocked(ob)
	}
	l.cfg.Log.Warn("rows go through the coordinator", "because", string(ob))
	return RouteCoordinator, nil
}

// omitted returns the obstacle of a column that is filled from a sequence. Shards
// do not know it: they would store NULL without a word.
func (lay *layout) omitted() obstacle {
	given := map[string]bool{}
	for _, c := range lay.columns {
		given[c.Name] = true
	}
	for _, c := range lay.table.Columns {
		if !given[c.Name] && c.UsesSequence {
			return obstacle(fmt.Sprintf("column %q is not in the input and is filled from a sequence, which only the coordinator has", c.Name))
		}
	}
	return ""
}

// hashSample is how many of the input's distribution values are hashed by the
// server for comparison.
const hashSample = 100

// checkHashes compares our hashes of the first chunk's values with the server's.
func (lay *layout) checkHashes(ctx context.Context, first *chunk, ask *asker) (obstacle, error) {
	if lay.router.finder == nil || lay.router.keys[0].hash == nil {
		return "", nil
	}
	k := lay.router.keys[0]
	values, ours := lay.sample(first, k)
	theirs, refused, err := ask.hashes(ctx, k.ask, values)
	if refused >= 0 {
		return "", nil // a bad value; the load will name it
	}
	if err != nil {
		return "", err
	}
	for i := range values {
		if ours[i] != theirs[i] {
			return obstacle(fmt.Sprintf("the server hashes values of column %q in another way than shardload", k.column)), nil
		}
	}
	return "", nil
}

// sample returns distribution values of the chunk and our hashes of them.
func (lay *layout) sample(first *chunk, k key) (values []string, hashes []int32) {
	for _, v := range lay.values(first, k, hashSample) {
		if h, sure := k.hash([]byte(v)); sure {
			values = append(values, v)
			hashes = append(hashes, h)
		}
	}
	return values, hashes
}

// values returns different values of a key that the chunk holds, at most n.
func (lay *layout) values(first *chunk, k key, n int) (values []string) {
	var scratch []byte
	seen := map[string]bool{}
	for scan := first.scanner(); scan.Next() && len(values) < n; {
		raw := scan.Record()
		fields := lay.split(nil, raw)
		if len(fields) != len(lay.columns) || fields[k.field].IsNull(raw, lay.null) {
			continue
		}
		var v []byte
		if v, scratch = fields[k.field].Value(raw, scratch); !seen[string(v)] {
			seen[string(v)] = true
			values = append(values, string(v))
		}
	}
	return values
}

// identity returns what must not change while a load by that route runs: which
// table it is, how it is distributed, what the loaded columns are, and that no
// other is filled from a sequence that shards do not have.
func (lay *layout) identity(t *catalog.Table, d *citus.Distribution, route Route) string {
	id := fmt.Sprintf("table %d, %s by %q in colocation group %d", t.OID, d.Kind, d.Column, d.Colocation)
	given := map[string]bool{}
	for _, c := range lay.columns {
		given[c.Name] = true
		if now := t.Column(c.Name); now != nil {
			id += fmt.Sprintf(", %q %s", now.Name, now.Type)
		}
	}
	for i := range t.Columns {
		if c := &t.Columns[i]; route != RouteCoordinator && !given[c.Name] && c.UsesSequence {
			id += fmt.Sprintf(", %q from a sequence", c.Name)
		}
	}
	return id
}

// sameSQL returns the query that counts the loaded columns which the table of that
// name still has. Rows in binary would be stored as other values in a column of
// another type. The table's OID is another on each node; here says that it is ours.
func (lay *layout) sameSQL(here bool) string {
	columns := make([]string, len(lay.columns))
	for i, c := range lay.columns {
		columns[i] = "(" + quoteLiteral(c.Name) + ", " + quoteLiteral(c.Type) + ")"
	}
	sql := fmt.Sprintf(`SELECT count(*) FROM pg_catalog.pg_attribute WHERE attrelid = pg_catalog.to_regclass(%s)
		AND (attname::text, pg_catalog.format_type(atttypid, atttypmod)) IN (%s)`, quoteLiteral(lay.table.SQL()), strings.Join(columns, ", "))
	if here {
		sql += fmt.Sprintf(" AND attrelid = %d::oid", lay.table.OID)
	}
	return sql
}
