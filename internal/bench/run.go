package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
	"shardload/loader"
)

// A Bench is a benchmark that is set up: the caller must Close it.
type Bench struct {
	cfg   Config
	dsn   string // without a password
	conn  *pgx.Conn
	citus bool
	nodes int // to which the loader's streams connect on the routes shard and node
	meter *meter
	place *place
	files map[Point]*inputFile // by rows and order alone
	all   []*Arm               // in the order of the report
	arms  []*Arm               // that are still run

	fastest time.Duration // of the runs that stored rows
	report  Report
}

// Open connects, makes tables and input files, and finds out which arms can run.
func Open(ctx context.Context, cfg Config) (b *Bench, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	b = &Bench{cfg: cfg, dsn: withoutPassword(cfg.DSN), files: map[Point]*inputFile{}}
	if b.conn, err = b.connect(ctx); err != nil {
		return nil, err
	}
	if err := b.prepare(ctx); err != nil {
		return nil, errors.Join(err, b.Close(ctx))
	}
	return b, nil
}

func (b *Bench) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.ConnectConfig(ctx, b.cfg.Conn)
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
	if b.meter, err = newMeter(ctx, b.conn, b.citus); err != nil {
		return err
	}
	if b.report.Environment, err = describe(ctx, b.conn, b.meter); err != nil {
		return err
	}
	if b.place, err = newPlace(ctx, b.conn, b.citus); err != nil {
		return err
	}
	for _, shards := range b.cfg.Shards {
		if err := b.place.makeTable(ctx, shards); err != nil {
			return err
		}
	}
	if err := b.chooseArms(ctx); err != nil {
		return err
	}
	return b.makeFiles(ctx)
}

// chooseArms makes the list of arms.
func (b *Bench) chooseArms(ctx context.Context) error {
	routes, err := b.chooseRoutes(ctx)
	if err != nil {
		return err
	}
	points := b.distinct(b.cfg.points(routes))
	for i, p := range points {
		b.add(b.loaderArm(p))
		if i == 0 || p.Route != points[0].Route && p.settings(&points[0]) == "" {
			b.add(b.wireArm(p))
		}
	}
	for _, in := range inputs(points) {
		p := points[0]
		p.Shards, p.Rows, p.Order = in.Shards, in.Rows, in.Order
		b.add(b.sinkArm(p))
		rivals, missing := b.rivalArms(in, points[0].Streams)
		for _, a := range rivals {
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

// chooseRoutes returns the routes to measure.
func (b *Bench) chooseRoutes(ctx context.Context) ([]loader.Route, error) {
	routes, cannot := b.routes(ctx, b.cfg.Shards[0])
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

// makeFiles writes the inputs of all arms.
func (b *Bench) makeFiles(ctx context.Context) error {
	for _, a := range b.arms {
		key := Point{Rows: a.Rows, Order: a.Order}
		if b.files[key] != nil {
			continue
		}
		b.cfg.Note("writing %s rows, %s", humanize.Comma(a.Rows), a.Order)
		f, err := makeFile(ctx, b.cfg.Dir, b.cfg.Seed, a.Rows, a.Order)
		if err != nil {
			return err
		}
		b.files[key] = f
	}
	return nil
}

// file returns the point's input.
func (b *Bench) file(p Point) *inputFile { return b.files[Point{Rows: p.Rows, Order: p.Order}] }

// Arms returns what will be measured.
func (b *Bench) Arms() []Arm {
	arms := make([]Arm, len(b.arms))
	for i, a := range b.arms {
		arms[i] = *a
	}
	return arms
}

// Run measures all arms, round by round. When ctx ends it returns what it has so far,
// with the error. An arm that fails is not run again, and is among the report's
// Skipped.
func (b *Bench) Run(ctx context.Context) (Report, error) {
	// Each round has an order of its own, so that no arm always follows the same.
	shuffle := rand.New(rand.NewPCG(b.cfg.Seed, 0))
	for round := range b.cfg.Warmup + b.cfg.Repeat {
		turn := slices.Clone(b.arms)
		if round >= b.cfg.Warmup {
			shuffle.Shuffle(len(turn), func(i, j int) { turn[i], turn[j] = turn[j], turn[i] })
		}
		for _, a := range turn {
			if err := b.measure(ctx, a, round); err != nil {
				return b.finish(false), err
			}
		}
	}
	return b.finish(true), nil
}

// finish completes the report.
func (b *Bench) finish(complete bool) Report {
	env := &b.report.Environment
	env.Seed, env.Warmup, env.Repeat = b.cfg.Seed, b.cfg.Warmup, b.cfg.Repeat
	env.Between = b.place.between()
	for i, s := range b.place.statements {
		if i > 0 {
			env.Table += ";\n"
		}
		env.Table += s
	}
	slices.SortStableFunc(b.report.Results, func(x, y Result) int { return b.index(x) - b.index(y) })
	b.report.Complete = complete
	return b.report
}

// index returns where the arm of r stands in the list of all arms.
func (b *Bench) index(r Result) int {
	return slices.IndexFunc(b.all, func(a *Arm) bool { return a.Name == r.Arm && a.Point == r.Point })
}

// measure runs an arm once. It returns an error only if the benchmark cannot go on.
func (b *Bench) measure(ctx context.Context, a *Arm, round int) error {
	table := b.place.table(a.Shards)
	if err := b.place.empty(ctx, b.meter, table); err != nil {
		return err
	}
	file := b.file(a.Point)
	if err := warm(file.path); err != nil {
		return err
	}
	limited, cancel := context.WithTimeoutCause(ctx, b.cfg.Limit, fmt.Errorf("it took longer than %s", b.cfg.Limit))
	defer cancel()
	before := b.meter.read(ctx)
	started := time.Now()
	out, err := a.run(limited)
	used := b.meter.read(ctx).since(before)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		err = b.check(ctx, a, table)
	}
	if err != nil {
		b.drop(a, err.Error())
		return nil
	}
	b.record(a, round, started, out, used)
	return nil
}

// check counts what a run has stored.
func (b *Bench) check(ctx context.Context, a *Arm, table string) error {
	var want int64
	if a.stores {
		want = a.Rows
	}
	got, err := b.place.count(ctx, table)
	if err == nil && got != want {
		err = fmt.Errorf("the table held %d rows afterwards, not %d", got, want)
	}
	return err
}

// slowFactor is how many times as long as the fastest run of all a slow one takes.
const slowFactor = 3

// record keeps a run that went well. One for warm-up does not count, unless it was
// so slow that the arm is not run again.
func (b *Bench) record(a *Arm, round int, started time.Time, out outcome, used usage) {
	if a.stores && (b.fastest == 0 || out.elapsed < b.fastest) {
		b.fastest = out.elapsed
	}
	slow := out.elapsed > b.cfg.Slow && out.elapsed > slowFactor*b.fastest
	run := round - b.cfg.Warmup + 1
	if slow {
		run = max(run, 1)
		b.cfg.Note("%s is slow: it is not run again", a.Name)
		b.remove(a)
	}
	count := "warm-up"
	if run > 0 {
		count = fmt.Sprintf("%d of %d", run, b.cfg.Repeat)
	}
	b.cfg.Note("%-8s  %9s rows/s  %s", count, humanize.Comma(int64(float64(a.Rows)/out.elapsed.Seconds())), a.label(b.base()))
	if run < 1 {
		return
	}
	r := a.result(run, started, b.file(a.Point).bytes, out, used)
	b.report.Results = append(b.report.Results, r)
	b.report.Batches = append(b.report.Batches, a.batches(run, started, out.batches)...)
}

// base returns the point that notes need not repeat.
func (b *Bench) base() *Point { return &b.all[0].Point }

// drop gives an arm up.
func (b *Bench) drop(a *Arm, why string) {
	b.skip(a.Name, why)
	b.cfg.Note("%s is given up: %s", a.Name, why)
	b.remove(a)
}

func (b *Bench) remove(a *Arm) {
	b.arms = slices.DeleteFunc(b.arms, func(other *Arm) bool { return other == a })
}

// Close drops the schema and closes the connection. It does so after ctx has
// ended, too.
func (b *Bench) Close(ctx context.Context) error {
	var err error
	if b.place != nil {
		err = b.place.drop(ctx, b.connect)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = b.conn.Close(ctx) // what was to be done is done
	return err
}
