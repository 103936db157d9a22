package loader

import (
	"context"
	"fmt"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/input"
	"shardload/loader/failure"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/route"
)

// chooseRoute takes the fastest route that table, rights and nodes allow.
func (pl *planner) chooseRoute(ctx context.Context) error {
	if err := pl.nodes.CheckNodeMap(); err != nil {
		return err
	}
	if pl.cfg.Route == RouteCoordinator || pl.cfg.Route == RouteAuto && pl.target.Server.Citus == "" {
		return nil // nothing to choose
	}
	if pl.cfg.Route == RouteAuto && pl.small {
		pl.plan.Why = "the file is small, and all of it is stored in one transaction"
		return nil
	}
	ob, err := pl.nodes.ReachShards(ctx)
	if err != nil {
		return err
	}
	best := RouteShard
	switch {
	case ob != "":
		best = RouteCoordinator
	case !pl.target.Rights.Insert:
		best = RouteCoordinator
		ob = route.Obstacle(fmt.Sprintf("role %s has rights on single columns alone", pl.target.Rights.Role))
	case !pl.target.MayLock():
		best = RouteNode
		ob = route.Obstacle(fmt.Sprintf("role %s does not own the table, so it may not lock a shard", pl.target.Rights.Role))
	}
	return pl.take(best, ob)
}

// take chooses the route best, or a slower one that the Config names. ob says why
// there is no faster one than best.
func (pl *planner) take(best Route, ob route.Obstacle) error {
	rank := map[Route]int{RouteCoordinator: 0, RouteNode: 1, RouteShard: 2}
	asked := pl.cfg.Route
	if asked != RouteAuto && rank[asked] > rank[best] {
		return blocked(pl.cfg.Route, ob)
	}
	pl.plan.Route = best
	if asked != RouteAuto {
		pl.plan.Route, ob = asked, ""
	}
	switch pl.plan.Route {
	case RouteShard:
		pl.plan.Why += ", which it enters on its own node"
	case RouteNode:
		pl.plan.Why += ", and Citus stores them on its node"
	case RouteCoordinator:
		pl.nodes.Alone()
	}
	if ob != "" {
		pl.plan.Why += "; " + string(ob)
	}
	return nil
}

// blocked is the error of a route that was asked for by name.
func blocked(asked Route, ob route.Obstacle) error {
	return &failure.PreflightError{Problem: fmt.Sprintf("route %s cannot be taken: %s", asked, ob), Do: "Config.Route auto takes the fastest that can"}
}

// chooseFor checks what only the input's columns and values tell: that no column
// is left out which a shard would fill otherwise than the table, and that our hash
// is the server's. It returns the route of this load.
func (ld *load) chooseFor(ctx context.Context, first *input.Chunk, ask *decode.Asker) (Route, error) {
	l := ld.l
	lay, by := ld.Layout, l.plan.Route
	switch {
	case ld.whole, by == RouteCoordinator && l.target.Distribution.Kind != citus.Hash:
		return RouteCoordinator, nil
	case by == RouteCoordinator:
		differs, err := lay.CheckHashes(ctx, first, ask)
		ld.Hashed = err == nil && differs == ""
		return by, err
	}
	ob := omitted(lay.Loaded, lay.Table)
	if lay.Router.Filled {
		ob = route.Obstacle(fmt.Sprintf("column %q decides the shard of a row, is not in the input, and is filled by the server", l.target.Distribution.Column))
	}
	if ob == "" && by == RouteShard {
		differs, err := lay.CheckHashes(ctx, first, ask)
		if err != nil {
			return "", err
		}
		ob = route.Obstacle(differs)
	}
	if ob == "" {
		return by, nil
	}
	if l.cfg.Route != RouteAuto {
		return "", blocked(l.cfg.Route, ob)
	}
	ld.log.Warn("rows go through the coordinator", "because", string(ob))
	return RouteCoordinator, nil
}

// omitted returns the obstacle of a column that is filled from a sequence. Shards
// do not know it: they would store NULL without a word.
func omitted(columns []*catalog.Column, table *catalog.Table) route.Obstacle {
	given := map[string]bool{}
	for _, c := range columns {
		given[c.Name] = true
	}
	for _, c := range table.Columns {
		if !given[c.Name] && c.UsesSequence {
			return route.Obstacle(fmt.Sprintf("column %q is not in the input and is filled from a sequence, which only the coordinator has", c.Name))
		}
	}
	return ""
}

// way returns the route as the rooms have it.
func (r Route) way() route.Way {
	switch r {
	case RouteShard:
		return route.ByShard
	case RouteNode:
		return route.ByNode
	}
	return route.ByCoordinator
}
