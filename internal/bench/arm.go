package bench

import (
	"context"
	"slices"
	"strings"

	"shardload/internal/bench/clock"
	"shardload/loader"
)

// A Kind says what an arm is there for.
type Kind string

// The kinds of arms.
const (
	KindLoader Kind = "loader" // shardload as users run it
	KindLimit  Kind = "limit"  // a part of it alone, which bounds it
	KindRival  Kind = "rival"  // another way to load the same rows
)

// An Arm is one thing that is measured.
type Arm struct {
	Name string
	Kind Kind
	Point
	// Settings says what the arm does and with what: a command, or words.
	Settings string

	stores bool // rows are in the table afterwards
	run    func(ctx context.Context) (outcome, error)
}

// An outcome is what an arm itself knows of a run.
type outcome struct {
	clock.Times
	batches []loader.StoredBatch
	// partial says that the time is that of a part of the run alone, to which the
	// run's CPU time does not belong.
	partial bool
}

// seconds returns how long the run took: all of it, or, where steady says so, the copying alone.
func (o outcome) seconds(steady bool) float64 {
	if steady {
		return o.Copy
	}
	return o.Total()
}

// armName returns the name of an arm of that kind at a point.
func armName(kind string, p Point) string { return kind + ":" + string(p.Route) }

// armNames returns the names of all arms that there can be.
func armNames(rivals []Rival) []string {
	var names []string
	for _, kind := range []string{loaderName, wireLimit} {
		for _, route := range []loader.Route{loader.RouteShard, loader.RouteNode, loader.RouteCoordinator} {
			names = append(names, armName(kind, Point{Route: route}))
		}
	}
	names = append(names, nullSink, "psql", "psql-split", "copy-batches", "copy-batches:sequential", "server-file")
	for _, r := range append(knownRivals(), rivals...) {
		names = append(names, r.Name)
	}
	return names
}

// wanted reports whether the user asked for arms of that name.
func (c Config) wanted(name string) bool {
	family, _, _ := strings.Cut(name, ":")
	return len(c.Arms) == 0 || slices.Contains(c.Arms, name) || slices.Contains(c.Arms, family)
}

// A Skip is an arm that was not run, or not to its end.
type Skip struct {
	Arm string `json:"arm"`
	Why string `json:"why"`
}
