package loader

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// A SetTable is a table of a Set, and what is loaded into it, one input after the other.
type SetTable struct {
	Config Config // of its Loader
	Inputs []Input

	loader *Loader
}

// Loader returns what loads the table. The Set closes it.
func (t *SetTable) Loader() *Loader { return t.loader }

// A Set is tables that are loaded one after the other: those to which others refer come
// first.
type Set struct{ tables []*SetTable }

// A SetObserver is told how the load of a Set goes. Each of its functions may be nil.
type SetObserver struct {
	// Begin is told of the table that is loaded next. What it returns is called when all
	// inputs of the table are through, before its statistics are refreshed.
	Begin func(*SetTable) (stored func())
	// Emptying and Analyzing are told of what takes its time: TRUNCATE of all tables, and a
	// table's statistics. What they return is called when that is done.
	Emptying  func() (done func())
	Analyzing func(*SetTable) (done func())
	// Loaded is told of each input of a table after its Load. If the error is a
	// *CompleteError there was nothing to do.
	Loaded func(*SetTable, Input, Result, error)
	// Replacing is told what becomes of tables that are to be emptied: goOn says that an
	// earlier run of the same load has emptied them, and is gone on with. Where it cannot
	// be, because says why, and they are emptied once more.
	Replacing func(goOn bool, because *JobError)
	// Emptied is told that the tables have been emptied: by this run, or by the earlier one
	// that is gone on with.
	Emptied func()
	// Indexing is told that indexes of a table are built which have waited until its rows were
	// stored. Of what it returns built is told, from several goroutines, how many of them are,
	// and done is called when that has ended.
	Indexing func(*SetTable) (built func(n, of int), done func())
}

// SetOptions say how a Set is loaded.
type SetOptions struct {
	// Replace empties all tables first, in one TRUNCATE: afterwards they have the rows of
	// the inputs alone. Where an earlier run that was stopped has emptied them, and they
	// have nothing but what it has stored, the load goes on.
	Replace bool
	// NoAnalyze leaves the tables' statistics as they are. Analyze makes them anew even where few
	// rows of a table were added or changed: else that is done where they are stale, see
	// Loader.Stale.
	NoAnalyze, Analyze bool
	SetObserver
}

// A SetResult says what was loaded into a table of a Set.
type SetResult struct {
	Table   *SetTable
	Inputs  []Result      // of each input that was begun, in turn
	Indexes time.Duration // how long its indexes took that had waited; 0 if none did
	Analyze time.Duration // how long the statistics took
	Waiting bool          // indexes of it wait still
}

// OpenSet opens the Loaders of all tables, so that what would stop one of them is known
// before the first is touched. The tables come into the order in which they are loaded. The
// caller closes the Set.
func OpenSet(ctx context.Context, tables ...*SetTable) (*Set, error) {
	s := &Set{tables: slices.Clone(tables)}
	for i, t := range s.tables {
		l, err := openLoader(ctx, t.Config, opening{thrifty: len(s.tables) > 1, small: t.small(ctx)})
		if err != nil {
			s.tables = s.tables[:i]
			return nil, errors.Join(err, s.Close())
		}
		t.loader = l
	}
	if err := s.order(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// small reports whether all that is loaded into the table is a file that is stored in one transaction.
func (t *SetTable) small(ctx context.Context) bool {
	if len(t.Inputs) != 1 || t.Inputs[0].set != nil || t.Inputs[0].path == "" || !t.Inputs[0].repeats {
		return false
	}
	info, err := os.Stat(t.Inputs[0].path)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	cfg := t.Config.withDefaults()
	feed, err := t.Inputs[0].open(ctx, cfg.reading())
	if err != nil {
		return false // it is said when the file is loaded
	}
	small := cfg.fitsWhole(feed)
	return feed.Close() == nil && small
}

// Tables returns the tables in the order in which they are loaded.
func (s *Set) Tables() []*SetTable { return s.tables }

// Close closes the Loaders.
func (s *Set) Close() error {
	var err error
	for _, t := range s.tables {
		err = errors.Join(err, t.loader.Close())
	}
	return err
}

// order puts tables before those that refer to them. Those that refer to each other in a
// circle, and those that have nothing to do with each other, keep their order.
func (s *Set) order(ctx context.Context) error {
	if len(s.tables) < 2 {
		return nil
	}
	var oids []uint32
	for _, t := range s.tables {
		oids = append(oids, t.loader.target.Table.OID)
	}
	refers := map[uint32][]uint32{} // a table, and those that it refers to
	err := s.tables[0].loader.target.OnControl(ctx, func(conn *pgx.Conn) error {
		return server.Tx(ctx, conn, server.Read, func() error {
			rows, err := conn.Query(ctx, `SELECT conrelid, confrelid FROM pg_constraint
				WHERE contype = 'f' AND conrelid = ANY ($1::oid[]) AND confrelid = ANY ($1::oid[]) AND conrelid <> confrelid`, oids)
			if err != nil {
				return err
			}
			var child, parent uint32
			_, err = pgx.ForEachRow(rows, []any{&child, &parent}, func() error {
				refers[child] = append(refers[child], parent)
				return nil
			})
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("which tables refer to which: %w", err)
	}
	s.tables = parentsFirst(s.tables, func(t *SetTable) uint32 { return t.loader.target.Table.OID }, refers)
	return nil
}

// parentsFirst returns list with each element after those that it refers to.
func parentsFirst[T any](list []T, id func(T) uint32, refers map[uint32][]uint32) (ordered []T) {
	left := slices.Clone(list)
	for len(left) > 0 {
		next := slices.IndexFunc(left, func(t T) bool {
			return !slices.ContainsFunc(left, func(other T) bool { return id(other) != id(t) && slices.Contains(refers[id(t)], id(other)) })
		})
		next = max(next, 0) // a circle: as it came
		ordered = append(ordered, left[next])
		left = slices.Delete(left, next, next+1)
	}
	return ordered
}

// Load loads all inputs of all tables. It stops at the first error; the results say what
// was stored by then. Loads of one Set follow each other.
func (s *Set) Load(ctx context.Context, opt SetOptions) ([]SetResult, error) {
	if opt.Replace {
		return s.loadReplacing(ctx, opt)
	}
	if err := s.checkSelections(ctx); err != nil {
		return nil, err
	}
	return s.load(ctx, opt)
}

// load loads the tables as they are.
func (s *Set) load(ctx context.Context, opt SetOptions) (results []SetResult, err error) {
	for _, t := range s.tables {
		r, err := t.load(ctx, opt)
		if results = append(results, r); err != nil {
			return results, err
		}
	}
	return results, nil
}

// load loads the inputs of t.
func (t *SetTable) load(ctx context.Context, opt SetOptions) (r SetResult, err error) {
	r.Table = t
	defer func() { r.Waiting = t.loader.deferral.waiting }()
	stored := opt.begin(t)
	defer func() { stored() }()
	for _, in := range t.Inputs {
		res, err := t.loader.Load(ctx, in)
		opt.loaded(t, in, res, err)
		if complete, ok := errors.AsType[*CompleteError](err); ok {
			res, err = completed(complete, res.Spent), nil
		}
		if r.Inputs = append(r.Inputs, res); err != nil {
			return r, err
		}
	}
	stored()
	stored = func() {}
	if err := t.buildIndexes(ctx, opt, &r); err != nil {
		return r, err
	}
	err = t.refresh(ctx, opt, &r)
	return r, err
}

// refresh makes the table's statistics anew, if they are stale.
func (t *SetTable) refresh(ctx context.Context, opt SetOptions, r *SetResult) error {
	if opt.NoAnalyze || slices.ContainsFunc(r.Inputs, Result.leftToOthers) {
		return nil
	}
	begun := time.Now()
	defer opt.analyzing(t)()
	all := opt.Analyze || r.Indexes > 0 // indexes of expressions that were built have statistics of their own
	if err := refreshStale(ctx, t.loader, r.stored(), all); err != nil {
		return fmt.Errorf("all rows of %s are stored: %w", t.Config.Table, err)
	}
	r.Analyze = time.Since(begun)
	return nil
}

// refreshStale makes the table's statistics anew after so many rows were stored, if they are stale
// or all are.
func refreshStale(ctx context.Context, l *Loader, rows int64, all bool) error {
	wasEmpty := l.target.Rights.Select && !l.plan.HasRows // else nobody has looked
	if !all && !(wasEmpty && rows > 0) {
		stale, err := l.Stale(ctx, rows)
		if err != nil && ctx.Err() != nil {
			return err
		}
		if err != nil { // ANALYZE says what is wrong, or works
			l.cfg.Log.Debug("the statistics are made anew", "because", err)
		}
		if !stale {
			l.cfg.Log.Info(fmt.Sprintf("%s: its statistics are left as they are: fewer than a tenth of its rows are new", l.cfg.Table))
			return nil
		}
	}
	return l.Analyze(ctx)
}

// stored returns how many rows this load has added or changed, or has found there.
func (r *SetResult) stored() (rows int64) {
	for _, in := range r.Inputs {
		rows += in.Rows
	}
	return rows
}

// leftToOthers reports whether another process has ended the set, and does what comes after its
// rows.
func (r Result) leftToOthers() bool {
	return r.Parts != nil && r.Parts.Others > 0 && !r.Parts.Last
}

// buildIndexes builds what waits, if this load is one of those for which indexes do. Statistics of
// expressions are those of indexes: they come after them.
func (t *SetTable) buildIndexes(ctx context.Context, opt SetOptions, r *SetResult) error {
	if !t.Config.DeferIndexes {
		return nil
	}
	begun := time.Now()
	built, done := opt.indexing(t)
	defer done()
	if err := t.loader.deferral.build(ctx, built); err != nil {
		return fmt.Errorf("all rows of %s are stored: %w", t.Config.Table, err)
	}
	r.Indexes = time.Since(begun)
	return nil
}

// completed returns the result of an input that was loaded completely before: the same records are
// rejected as in the result of the load that has completed it.
func completed(e *CompleteError, spent Spent) Result {
	return Result{Before: e.Rows, Rejected: e.Lately, Rejects: e.Rejects, Updated: e.Updated, Skipped: e.Skipped, Filtered: e.Filtered, Spent: spent}
}

func (o SetObserver) begin(t *SetTable) (stored func()) {
	if o.Begin == nil {
		return func() {}
	}
	return o.Begin(t)
}

func (o SetObserver) emptying() (done func()) {
	if o.Emptying == nil {
		return func() {}
	}
	return o.Emptying()
}

func (o SetObserver) analyzing(t *SetTable) (done func()) {
	if o.Analyzing == nil {
		return func() {}
	}
	return o.Analyzing(t)
}

func (o SetObserver) indexing(t *SetTable) (built func(n, of int), done func()) {
	if o.Indexing == nil {
		return func(int, int) {}, func() {}
	}
	return o.Indexing(t)
}

func (o SetObserver) loaded(t *SetTable, in Input, res Result, err error) {
	if o.Loaded != nil {
		o.Loaded(t, in, res, err)
	}
}

func (o SetObserver) replacing(goOn bool, because *JobError) {
	if o.Replacing != nil {
		o.Replacing(goOn, because)
	}
}

func (o SetObserver) emptied() {
	if o.Emptied != nil {
		o.Emptied()
	}
}
