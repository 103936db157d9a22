package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/server"
	"shardload/loader/failure"
	"shardload/loader/internal/target"
)

// An Obstacle says why a route cannot be taken. The loader takes the next one, or
// stops if the route was asked for by name.
type Obstacle string

// ReachShards adds the nodes that hold shards to ns. It returns what keeps rows from going
// there.
func (ns *Nodes) ReachShards(ctx context.Context) (Obstacle, error) {
	switch d := ns.t.Distribution; {
	case ns.t.Server.Citus == "":
		return "the server has no Citus", nil
	case d.Kind != citus.Hash && d.Kind != citus.Single:
		return Obstacle(fmt.Sprintf("the table is %s, not distributed by hash", d.Kind)), nil
	case d.Replicated:
		return "the table's shards are replicated, and the coordinator keeps the copies alike", nil
	}
	list, ob := ns.usable(ns.t.Cluster.Nodes)
	if ob != "" {
		return ob, nil
	}
	return ns.reachNodes(ctx, list)
}

// usable returns the nodes that may hold shards, or of one of them why it cannot be used.
func (ns *Nodes) usable(nodes []citus.Node) (list []*Node, ob Obstacle) {
	for _, n := range nodes {
		name := n.Address()
		switch {
		case n.Role != "primary":
			continue
		case !n.Active:
			return nil, Obstacle("node " + name + " is not active")
		case !n.Synced:
			return nil, Obstacle("node " + name + " does not have the cluster's metadata; SELECT start_metadata_sync_to_all_nodes()")
		case n.Group == 0:
			continue // the first node
		}
		at, err := ns.whereIs(n)
		if err != nil { // there is no way to it that the user's words allow
			return nil, Obstacle(fmt.Sprintf("node %s cannot be used from here: %v", name, err))
		}
		to := &Node{Index: len(ns.list) + len(list), group: n.Group, whoIs: ns.whoIs, Patience: target.Patience{Limit: ns.t.Limit, Waits: ns.t.Watch.Waits}, watch: ns.t.Watch}
		to.at.Store(at)
		list = append(list, to)
	}
	return list, ""
}

// reachNodes connects to each of the nodes, to all at once, and asks the coordinator meanwhile
// who they are. One that cannot be used is enough to go through the coordinator: a shard may
// move there.
func (ns *Nodes) reachNodes(ctx context.Context, list []*Node) (Obstacle, error) {
	who := &identities{known: make(chan struct{})}
	failed := make([]error, len(list))
	var trying sync.WaitGroup
	for i, to := range list {
		to.whoIs = who.of
		trying.Go(func() { failed[i] = ns.try(ctx, to, who) })
	}
	who.list, who.err = citus.Identities(ctx, ns.t.Conn)
	close(who.known)
	trying.Wait()
	for _, to := range list {
		to.whoIs = ns.whoIs // from now on it may have become another server
	}
	ns.list = append(ns.list, list...)
	if who.err != nil {
		return "", who.err
	}
	for i, err := range failed {
		name := list[i].at.Load().address
		switch {
		case err == nil:
			continue
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		case who.list[name] == "":
			return ns.unreached(ctx, list[i])
		case fault.Is(err, fault.Starting):
			return "", fmt.Errorf("node %s: %w", name, err)
		}
		return Obstacle(fmt.Sprintf("node %s cannot be used from here: %v", name, err)), nil
	}
	return "", nil
}

// identities are the answer of citus.Identities, once it is known.
type identities struct {
	known chan struct{} // closed then
	list  map[string]string
	err   error
}

// of returns the identity of the node of that name.
func (ids *identities) of(ctx context.Context, name string) (string, error) {
	select {
	case <-ids.known:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	if ids.err == nil && ids.list[name] == "" {
		return "", errUnreachable
	}
	return ids.list[name], ids.err
}

// unreached says what it means that the coordinator cannot reach a node: one that has shards
// of the table must be waited for, whatever the route.
func (ns *Nodes) unreached(ctx context.Context, n *Node) (Obstacle, error) {
	shards, err := citus.Placements(ctx, ns.t.Conn, ns.t.Table.OID)
	if err != nil {
		return "", err
	}
	name := n.at.Load().address
	problem := "the coordinator cannot reach node " + name
	if !slices.ContainsFunc(shards, func(p citus.Placement) bool { return p.Group == n.group }) {
		return Obstacle(problem), nil
	}
	return "", &fault.PassingError{
		Err:    &failure.PreflightError{Problem: problem + ", which has shards of the table", Do: "start it, and run the same command again"},
		Awaits: "node " + name + ", which the coordinator cannot reach",
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

// try makes sure that a node can be reached, and keeps the connection for a stream. It ends
// when it is known that the coordinator does not reach the node, and some time after the
// coordinator has answered.
func (ns *Nodes) try(ctx context.Context, n *Node, who *identities) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		if _, err := who.of(ctx, n.at.Load().address); err != nil {
			cancel(err)
			return
		}
		silent := time.AfterFunc(fault.ReachTimeout, func() { cancel(errSilent) })
		<-ctx.Done()
		silent.Stop()
	}()
	conn, err := n.Connect(ctx)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	n.live++
	n.Release(conn)
	return nil
}

// errSilent says that a node does not answer.
var errSilent = fmt.Errorf("it has not answered within %s", fault.ReachTimeout)
