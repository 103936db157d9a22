// Package bench measures how fast rows get into a table: by the loader over its
// routes, streams and batch sizes, beside what bounds it (reading and encoding
// alone, sending alone) and what people use instead of it.
//
// Everything runs on the same rows, in a schema that the benchmark makes and drops
// again, and on the same clock: from the start of an arm to its end, with the same
// duties. The runs of all arms are interleaved, in another order in each round, so
// that what the machine does meanwhile meets them alike; before each run the table
// is emptied and the servers write a checkpoint, and after it the rows are counted.
// What is measured is kept as it is, with what explains it; statistics come
// afterwards.
package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"shardload/internal/bench/meter"
	"shardload/internal/citus"
	"shardload/internal/server"
	"shardload/internal/term"
	"shardload/loader"
)

// A Bench is a benchmark that is set up: the caller must Close it.
type Bench struct {
	site
	loaders loaders
	rivals  rivals
	meter   *meter.Meter
	all     []*Arm // in the order of the report
	arms    []*Arm // that are still run

	fastest float64 // seconds, of the runs that stored rows
	report  Report
}

// Open connects, makes tables and input files, and finds out which arms can run.
func Open(ctx context.Context, cfg Config) (b *Bench, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	b = &Bench{site: site{cfg: cfg, files: map[Point]*inputFile{}}}
	if b.conn, err = b.connect(ctx); err != nil {
		return nil, err
	}
	b.cfg.Conn = server.LinkOf(b.conn.PgConn()).Keep(cfg.Conn)
	b.loaders = loaders{site: &b.site}
	if b.rivals, err = newRivals(&b.site); err != nil {
		return nil, errors.Join(err, b.Close(ctx))
	}
	if err := b.prepare(ctx); err != nil {
		return nil, errors.Join(err, b.Close(ctx))
	}
	return b, nil
}

// prepare makes everything that the runs need.
func (b *Bench) prepare(ctx context.Context) error {
	version, err := citus.Version(ctx, b.conn)
	if err != nil {
		return err
	}
	if b.citus = version != ""; !b.citus {
		b.cfg.Shards = []int{0}
	}
	if b.meter, err = meter.New(ctx, b.conn, b.citus); err != nil {
		return err
	}
	if b.report.Environment, err = describe(ctx, b.conn, b.meter); err != nil {
		return err
	}
	var made []Point
	if b.place, err = newPlace(ctx, b.conn, b.citus); err != nil {
		return err
	}
	for _, in := range inputs(b.cfg.points([]loader.Route{loader.RouteCoordinator})) {
		of := Point{Shape: in.Shape, Shards: in.Shards}
		if slices.Contains(made, of) {
			continue
		}
		if err := b.place.makeTable(ctx, of); err != nil {
			return err
		}
		made = append(made, of)
	}
	if err := b.chooseArms(ctx); err != nil {
		return err
	}
	return nil
}

// chooseArms makes the list of arms.
func (b *Bench) chooseArms(ctx context.Context) error {
	routes, err := b.chooseRoutes(ctx)
	if err != nil {
		return err
	}
	points := b.loaders.distinct(b.cfg.points(routes))
	for _, p := range points {
		if err := b.makeFile(ctx, p); err != nil {
			return err
		}
	}
	points = b.tellApart(points)
	for _, p := range points {
		b.add(b.loaders.arm(p))
		if p.sentAs(points[0]) {
			b.add(b.loaders.wireArm(p))
		}
	}
	for _, in := range inputs(points) {
		p := points[0]
		p.Shape, p.Shards, p.Rows, p.Order = in.Shape, in.Shards, in.Rows, in.Order
		b.add(b.loaders.sinkArm(p))
		others, missing := b.rivals.arms(in, points[0].AllStreams)
		for _, a := range others {
			b.add(a)
		}
		for _, s := range missing {
			if b.cfg.wanted(s.Arm) {
				b.skip(s.Arm, s.Why)
			}
		}
	}
	b.all = slices.Clone(b.arms)
	if len(b.arms) == 0 {
		return errors.New("no arm of that name can run here")
	}
	return nil
}

// tellApart returns the points without those that would be other points' runs once more: where a
// batch has room for all rows of a lane, a larger one has the same. Lanes are taken to be alike.
func (b *Bench) tellApart(points []Point) []Point {
	return slices.DeleteFunc(slices.Clone(points), func(p Point) bool {
		lanes := max(b.loaders.lanes[p.Route], 1)
		if p.Route == loader.RouteShard {
			lanes = p.Shards
		}
		lane := b.file(p).bytes / int64(lanes)
		same := p != points[0] && slices.ContainsFunc(points, func(other Point) bool {
			smaller := other.Batch
			other.Batch = p.Batch
			return other == p && smaller < p.Batch && smaller >= lane
		})
		if same && b.cfg.wanted(armName(loaderName, p)) {
			b.skip(labelOf(armName(loaderName, p), KindLoader, p, &points[0]),
				fmt.Sprintf("a lane has about %s: smaller batches hold all of it already", term.Bytes(lane)))
		}
		return same
	})
}

// chooseRoutes returns the routes to measure.
func (b *Bench) chooseRoutes(ctx context.Context) ([]loader.Route, error) {
	routes, cannot := b.loaders.routes(ctx, Point{Shape: b.cfg.Shapes[0], Shards: b.cfg.Shards[0]})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if len(b.cfg.Routes) > 0 {
		can := routes
		routes = slices.DeleteFunc(slices.Clone(b.cfg.Routes), func(r loader.Route) bool { return !slices.Contains(can, r) })
	}
	for _, s := range cannot {
		if b.citus || len(b.cfg.Routes) > 0 { // without Citus nobody misses the other routes
			b.skip(s.Arm, s.Why)
		}
	}
	if len(routes) == 0 {
		return nil, fmt.Errorf("none of the routes can be measured here: %s", cannot[0].Why)
	}
	return routes, nil
}

// add adds an arm if it is wanted.
func (b *Bench) add(a *Arm) {
	if b.cfg.wanted(a.Name) {
		b.arms = append(b.arms, a)
	}
}

func (b *Bench) skip(arm, why string) {
	s := Skip{arm, why}
	if !slices.Contains(b.report.Skipped, s) {
		b.report.Skipped = append(b.report.Skipped, s)
	}
}

// Arms returns what will be measured.
func (b *Bench) Arms() []Arm {
	arms := make([]Arm, len(b.arms))
	for i, a := range b.arms {
		arms[i] = *a
	}
	return arms
}

// Close drops the schema and closes the connection. It does so after ctx has
// ended, too.
func (b *Bench) Close(ctx context.Context) error {
	var err error
	if b.place != nil {
		err = b.place.drop(ctx, b.connect)
	}
	server.CloseSoon(b.conn.PgConn())
	return err
}
