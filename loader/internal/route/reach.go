package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/server"
	"shardload/loader/failure"
	"shardload/loader/internal/target"
)

// An Obstacle says why a route cannot be taken. The loader takes the next one, or
// stops if the route was asked for by name.
type Obstacle string

// ReachShards adds the nodes that hold shards to l.nodes. It returns what keeps
// rows from going there.
func (ns *Nodes) ReachShards(ctx context.Context) (Obstacle, error) {
	switch d := ns.t.Distribution; {
	case ns.t.Server.Citus == "":
		return "the server has no Citus", nil
	case d.Kind != citus.Hash && d.Kind != citus.Single:
		return Obstacle(fmt.Sprintf("the table is %s, not distributed by hash", d.Kind)), nil
	case d.Replicated:
		return "the table's shards are replicated, and the coordinator keeps the copies alike", nil
	}
	ids, err := citus.Identities(ctx, ns.t.Conn)
	if err != nil {
		return "", err
	}
	return ns.reachNodes(ctx, ns.t.Cluster.Nodes, ids)
}

// reachNodes connects to each node that may hold shards, to all at once. One that cannot be
// used is enough to go through the coordinator: a shard may move there.
func (ns *Nodes) reachNodes(ctx context.Context, nodes []citus.Node, ids map[string]string) (Obstacle, error) {
	list, ob, err := ns.usable(ctx, nodes, ids)
	errs := make([]error, len(list))
	var trying sync.WaitGroup
	for i, to := range list {
		trying.Go(func() { errs[i] = ns.try(ctx, to) })
	}
	trying.Wait()
	ns.list = append(ns.list, list...)
	for i, failed := range errs {
		name := list[i].at.Load().address
		switch {
		case failed == nil:
			continue
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		case fault.Is(failed, fault.Starting):
			return "", fmt.Errorf("node %s: %w", name, failed)
		}
		return Obstacle(fmt.Sprintf("node %s cannot be used from here: %v", name, failed)), nil
	}
	return ob, err
}

// usable returns the nodes that may hold shards, up to the first of which it is known that it
// cannot be used, and what reachNodes says of that one.
func (ns *Nodes) usable(ctx context.Context, nodes []citus.Node, ids map[string]string) (list []*Node, ob Obstacle, err error) {
	for _, n := range nodes {
		name := n.Address()
		switch {
		case n.Role != "primary":
			continue
		case !n.Active:
			return list, Obstacle("node " + name + " is not active"), nil
		case !n.Synced:
			return list, Obstacle("node " + name + " does not have the cluster's metadata; SELECT start_metadata_sync_to_all_nodes()"), nil
		case n.Group == 0:
			continue // the first node
		case ids[name] == "":
			ob, err = ns.unreached(ctx, n)
			return list, ob, err
		}
		at, err := ns.whereIs(n)
		if err != nil { // there is no way to it that the user's words allow
			return list, Obstacle(fmt.Sprintf("node %s cannot be used from here: %v", name, err)), nil
		}
		to := &Node{Index: len(ns.list) + len(list), group: n.Group, identity: ids[name], whoIs: ns.whoIs, Patience: target.Patience{Limit: ns.t.Limit}, watch: ns.t.Watch}
		to.at.Store(at)
		list = append(list, to)
	}
	return list, "", nil
}

// unreached says what it means that the coordinator cannot reach a node: one that has shards
// of the table must be waited for, whatever the route.
func (ns *Nodes) unreached(ctx context.Context, n citus.Node) (Obstacle, error) {
	shards, err := citus.Placements(ctx, ns.t.Conn, ns.t.Table.OID)
	if err != nil {
		return "", err
	}
	problem := "the coordinator cannot reach node " + n.Address()
	if !slices.ContainsFunc(shards, func(p citus.Placement) bool { return p.Group == n.Group }) {
		return Obstacle(problem), nil
	}
	return "", &fault.PassingError{
		Err:    &failure.PreflightError{Problem: problem + ", which has shards of the table", Do: "start it, and run the same command again"},
		Awaits: "node " + n.Address() + ", which the coordinator cannot reach",
	}
}

// errUnreachable says that the coordinator does not reach a node, for now.
var errUnreachable = &fault.PassingError{Err: errors.New("the coordinator cannot reach it")}

// whoIs asks the coordinator for the identity of the node of that name, on a connection of its
// own: whoever connects to a node may have the control connection, and others wait for it who
// have the node.
func (ns *Nodes) whoIs(ctx context.Context, name string) (id string, err error) {
	conn, err := ns.t.Connect(ctx)
	if err != nil {
		return "", err
	}
	defer server.CloseSoon(conn.PgConn())
	ids, err := citus.Identities(ctx, conn)
	if err == nil && ids[name] == "" {
		err = errUnreachable
	}
	return ids[name], err
}

// try makes sure that a node can be reached, and keeps the connection for a
// stream.
func (ns *Nodes) try(ctx context.Context, n *Node) error {
	ctx, cancel := context.WithTimeout(ctx, fault.ReachTimeout)
	defer cancel()
	conn, err := n.Connect(ctx)
	if err != nil {
		return err
	}
	n.live++
	n.Release(conn)
	return nil
}
