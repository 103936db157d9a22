package ledger_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"shardload/internal/ledger"
	"shardload/internal/pgtest"
)

// modelKeys is how many values the distribution column of the model's rows may have. A lane is a range of them.
const modelKeys = 24

// A crowd is a set and processes that load it in any order of steps: they claim, store batches, freeze with one half
// stored, wake up, divide lanes, take each other's runs over, give parts back, and die.
type crowd struct {
	t      *testing.T
	rt     *rapid.T
	dsn    string
	conn   *pgx.Conn // of nobody
	target ledger.Target
	set    *ledger.Job
	parts  map[string][][]int // by name: chunks of the keys of their records
	names  []string
	actors []*actor
	ended  int
}

// An actor is a process.
type actor struct {
	c       *crowd
	number  int
	control *pgx.Conn
	batch   *pgx.Conn
	seen    *ledger.Seen
	run     *ledger.Run // as it believes, nil if it has none
	job     *ledger.Job
	lanes   []ledger.Lane // likewise
	claimed []ledger.Claimed
	asleep  *batch // made, and not sent so far
	frozen  *batch // sent, and not committed so far
}

// A batch is what one transaction stores.
type batch struct {
	lane int
	mark string // the statement
	to   ledger.Mark
	rows string // of an INSERT, "" for none
}

func newCrowd(t *testing.T, rt *rapid.T, dsn string, conn *pgx.Conn, target ledger.Target) *crowd {
	c := &crowd{t: t, rt: rt, dsn: dsn, conn: conn, target: target, parts: map[string][][]int{}}
	var parts []ledger.Part
	for i := range rapid.IntRange(1, 5).Draw(rt, "parts") {
		name := fmt.Sprintf("part %d", i)
		c.names, parts = append(c.names, name), append(parts, ledger.Part{Name: name, Size: 1})
		c.parts[name] = rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(0, modelKeys-1), 1, 4), 0, 3).Draw(rt, name)
	}
	pgtest.Exec(t, conn, "TRUNCATE loaded")
	c.set, _ = enterSet(t, conn, target, "set "+ledger.NewID(), parts...)
	for i := range rapid.IntRange(1, 3).Draw(rt, "actors") {
		c.actors = append(c.actors, c.newActor(i))
	}
	return c
}

func (c *crowd) newActor(number int) *actor {
	a := &actor{c: c, number: number}
	a.begin()
	return a
}

// begin starts the process.
func (a *actor) begin() {
	a.control, a.batch = a.connect(), a.connect()
	parts := make([]ledger.Part, len(a.c.names))
	for i, name := range a.c.names {
		parts[i] = ledger.Part{Name: name, Size: 1}
	}
	a.seen = addParts(a.c.t, a.control, a.c.target, a.c.set, parts...)
}

func (a *actor) connect() *pgx.Conn {
	conn, err := pgx.Connect(context.Background(), a.c.dsn)
	a.must(err)
	return conn
}

func (a *actor) must(err error) {
	if err != nil {
		a.c.rt.Fatalf("actor %d: %v", a.number, err)
	}
}

// close ends the process, in the middle of what it does.
func (a *actor) close() {
	_ = a.control.Close(context.Background())
	_ = a.batch.Close(context.Background())
}

// lost forgets the run if err says that it is another one's, and reports whether it is.
func (a *actor) lost(err error) bool {
	if errors.Is(err, ledger.ErrEpoch) || errors.Is(err, ledger.ErrMarksGone) || err != nil && strings.Contains(err.Error(), "does not exist") {
		a.abandon()
		return true
	}
	a.must(err)
	return false
}

func (a *actor) abandon() {
	a.run, a.job, a.lanes, a.claimed, a.asleep = nil, nil, nil, nil, nil
}

// open makes a run, with lanes that are ranges of keys.
func (a *actor) open() {
	lanes := make([]ledger.Lane, 2)
	for i := range lanes {
		lanes[i] = ledger.Lane{Number: int32(i), Min: int32(i * modelKeys / 2), Max: int32((i+1)*modelKeys/2 - 1), Place: ledger.Place{Line: 1}}
	}
	j := &ledger.Job{ID: ledger.NewID()}
	r, err := ledger.OpenRun(context.Background(), a.control, a.c.target, a.c.set, j, lanes, nil, ledger.Owner{Host: "model", PID: a.number}, false)
	if errors.Is(err, ledger.ErrSetGone) {
		return // it is ended
	}
	a.must(err)
	a.run, a.job = r, j
	a.read()
}

// read reads the marks anew.
func (a *actor) read() {
	lanes, err := ledger.Lanes(context.Background(), a.control, a.c.target, a.job)
	if a.lost(err) {
		return
	}
	for _, l := range lanes {
		if l.Epoch != a.run.Epoch {
			a.abandon()
			return
		}
	}
	a.lanes = lanes
}

func (a *actor) claim(most int) {
	parts, err := ledger.Claim(context.Background(), a.control, a.c.target, a.run, a.seen, ledger.Limit{Parts: most})
	if a.lost(err) {
		return
	}
	a.claimed = append(a.claimed, parts...)
}

// end is the mark behind all that is claimed.
func (a *actor) end() ledger.Mark {
	if len(a.claimed) == 0 {
		return ledger.Mark{}
	}
	return ledger.Mark{Chunk: ledger.Chunk(a.claimed[len(a.claimed)-1].Seq+1, 0)}
}

// A record is one of a run, and where it stands.
type record struct {
	at   ledger.Mark
	next ledger.Mark // behind it
	part string
	n    int // in its part
	key  int
}

// records returns those of all claimed parts.
func (a *actor) records() (list []record) {
	for _, p := range a.claimed {
		n := 0
		for chunk, keys := range a.c.parts[p.Name] {
			for i, key := range keys {
				at := ledger.Chunk(p.Seq, int64(chunk))
				list = append(list, record{at: ledger.Mark{Chunk: at, Records: int64(i)}, next: ledger.Mark{Chunk: at, Records: int64(i + 1)}, part: p.Name, n: n, key: key})
				n++
			}
		}
	}
	return list
}

// make makes a batch of a lane: of all its records up to a mark that pick chooses.
func (a *actor) make(lane int, pick func(marks []ledger.Mark) ledger.Mark) *batch {
	l := a.lanes[lane]
	records := a.records()
	var marks []ledger.Mark
	for _, r := range records {
		if l.Mark.Before(r.next) {
			marks = append(marks, r.next)
		}
	}
	if l.Mark.Before(a.end()) {
		marks = append(marks, a.end())
	}
	if len(marks) == 0 {
		return nil
	}
	b := &batch{lane: lane, to: pick(marks)}
	var values []string
	for _, r := range records {
		if !r.at.Before(l.Mark) && r.at.Before(b.to) && l.Min <= int32(r.key) && int32(r.key) <= l.Max {
			values = append(values, fmt.Sprintf("(%d, '%s', %d)", r.key, r.part, r.n))
		}
	}
	if len(values) > 0 {
		b.rows = "; INSERT INTO loaded (k, part, n) VALUES " + strings.Join(values, ", ")
	}
	b.mark = modelMark(a.c.target, a.job.Progress, l, ledger.Step{From: l.Mark, To: b.to, Rows: int64(len(values))})
	return b
}

// modelMark is the statement under test.
var modelMark = markSQL

// send runs all of a batch but its COMMIT. It reports whether the mark was where it was to be.
func (a *actor) send(b *batch) bool {
	ctx := context.Background()
	_, err := a.batch.Exec(ctx, "BEGIN; SET LOCAL application_name = '"+a.run.Application()+"'")
	if err == nil {
		var tag int64
		if tag, err = execute(ctx, a.batch, b.mark); err == nil && tag != 1 {
			_, err = a.batch.Exec(ctx, "ROLLBACK")
			a.must(err)
			return false
		}
	}
	if err == nil {
		_, err = a.batch.Exec(ctx, "SELECT 1"+b.rows)
	}
	if err != nil { // another one has closed the run, or ended the session
		a.reconnect()
		return false
	}
	return true
}

func execute(ctx context.Context, conn *pgx.Conn, sql string) (int64, error) {
	tag, err := conn.Exec(ctx, sql)
	return tag.RowsAffected(), err
}

func (a *actor) reconnect() {
	_ = a.batch.Close(context.Background())
	a.batch = a.connect()
}

// finish commits a batch that was sent, and reads the marks: it may have failed.
func (a *actor) finish() {
	if _, err := a.batch.Exec(context.Background(), "COMMIT"); err != nil {
		a.reconnect()
	}
	if a.run != nil {
		a.read()
	}
}

// store sends b and commits it.
func (a *actor) store(b *batch) {
	if b == nil {
		return
	}
	if a.send(b) {
		a.finish()
	} else if a.run != nil {
		a.read()
	}
}

// storeAll stores all that is claimed.
func (a *actor) storeAll() {
	for i := 0; a.run != nil && i < len(a.lanes); i++ {
		a.store(a.make(i, func(marks []ledger.Mark) ledger.Mark { return marks[len(marks)-1] }))
	}
}

// divide divides a lane, as a split of its shard does.
func (a *actor) divide(lane int, at int32) {
	l := a.lanes[lane]
	if at <= l.Min || at > l.Max {
		return
	}
	next := int32(0)
	for _, other := range a.lanes {
		next = max(next, other.Number+1)
	}
	kept, child := l, l
	kept.Max, child.Min, child.Number, child.Rows = at-1, at, next, 0
	err := pgx.BeginFunc(context.Background(), a.control, func(tx pgx.Tx) error {
		if err := ledger.CheckProgress(context.Background(), tx.Conn(), a.c.target, a.job); err != nil {
			return err
		}
		return ledger.SplitLane(context.Background(), tx, a.c.target, a.job, l, []ledger.Lane{kept, child})
	})
	if err != nil && !strings.Contains(err.Error(), "is not where it was") && !strings.Contains(err.Error(), "duplicate key") {
		a.lost(err)
		return
	}
	a.read()
}

// takeOver takes the run of another one over, or the actor's own, which it has forgotten.
func (a *actor) takeOver(r *ledger.Run) {
	ctx := context.Background()
	found, err := ledger.Find(ctx, a.control, a.c.target, r.Name)
	a.must(err)
	if len(found) == 0 {
		return
	}
	now, parts, err := ledger.TakeOver(ctx, a.control, a.c.target, r, found[0], ledger.Owner{Host: "model", PID: a.number})
	if errors.Is(err, ledger.ErrNotLost) {
		return
	}
	if a.lost(err) {
		return
	}
	a.run, a.job, a.claimed, a.asleep = now, found[0], parts, nil
	a.read()
}

// close closes the run if all of it is stored.
func (a *actor) closeRun() {
	err := closeAt(context.Background(), a.control, a.c.target, a.run, a.job, a.end())
	if err != nil && strings.Contains(err.Error(), "is at {") {
		return
	}
	a.lost(err)
	a.abandon()
}

// free gives a part back, or all from it on.
func (a *actor) free(seq int32, broken bool) {
	ctx := context.Background()
	var err error
	if broken {
		err = ledger.Fail(ctx, a.control, a.c.target, a.run, a.job, seq, "broken")
	} else {
		err = ledger.Release(ctx, a.control, a.c.target, a.run, a.job, seq)
	}
	if errors.Is(err, ledger.ErrReached) || a.lost(err) {
		return
	}
	a.claimed = slices.DeleteFunc(a.claimed, func(p ledger.Claimed) bool { return p.Seq == seq || p.Seq > seq && !broken })
}

func (c *crowd) openRuns() []ledger.RunStanding {
	open, err := ledger.OpenRuns(context.Background(), c.conn, c.target, c.set.ID)
	if err != nil {
		c.rt.Fatal(err)
	}
	return open.Runs
}

// one draws an actor for which ok holds.
func (c *crowd) one(rt *rapid.T, ok func(*actor) bool) *actor {
	var list []int
	for i, a := range c.actors {
		if ok(a) {
			list = append(list, i)
		}
	}
	if len(list) == 0 {
		rt.Skip("none")
	}
	return c.actors[rapid.SampledFrom(list).Draw(rt, "actor")]
}

func idle(a *actor) bool   { return a.run == nil && a.frozen == nil }
func works(a *actor) bool  { return a.run != nil && a.frozen == nil && len(a.lanes) > 0 }
func awake(a *actor) bool  { return works(a) && a.asleep == nil }
func asleep(a *actor) bool { return works(a) && a.asleep != nil }

// steps are what may happen.
func (c *crowd) steps() map[string]func(*rapid.T) {
	someBatch := func(rt *rapid.T, a *actor) *batch {
		lane := rapid.IntRange(0, len(a.lanes)-1).Draw(rt, "lane")
		b := a.make(lane, func(marks []ledger.Mark) ledger.Mark { return rapid.SampledFrom(marks).Draw(rt, "to") })
		if b == nil {
			rt.Skip("all is stored")
		}
		return b
	}
	return map[string]func(*rapid.T){
		"open":   func(rt *rapid.T) { c.one(rt, idle).open() },
		"claim":  func(rt *rapid.T) { c.one(rt, works).claim(rapid.IntRange(1, 3).Draw(rt, "most")) },
		"rewind": func(rt *rapid.T) { c.one(rt, works).seen.Rewind() },
		"batch": func(rt *rapid.T) {
			a := c.one(rt, works)
			a.store(someBatch(rt, a))
		},
		"doze": func(rt *rapid.T) {
			a := c.one(rt, awake)
			a.asleep = someBatch(rt, a)
		},
		"wake": func(rt *rapid.T) {
			a := c.one(rt, asleep)
			b := a.asleep
			a.asleep = nil
			a.store(b)
		},
		"freeze": func(rt *rapid.T) {
			a := c.one(rt, works)
			if b := someBatch(rt, a); a.send(b) {
				a.frozen = b
			} else {
				a.read()
			}
		},
		"thaw": func(rt *rapid.T) {
			a := c.one(rt, func(a *actor) bool { return a.frozen != nil })
			a.frozen = nil
			a.finish()
		},
		"divide": func(rt *rapid.T) {
			a := c.one(rt, works)
			a.divide(rapid.IntRange(0, len(a.lanes)-1).Draw(rt, "lane"), rapid.Int32Range(1, modelKeys-1).Draw(rt, "at"))
		},
		"takeOver": func(rt *rapid.T) {
			runs := c.openRuns()
			if len(runs) == 0 {
				rt.Skip("none")
			}
			run := rapid.SampledFrom(runs).Draw(rt, "run")
			c.one(rt, idle).takeOver(&run.Run)
		},
		// What a sleeper might do harm with: another one gives his parts back, and loads them by a run of its own.
		"rob": func(rt *rapid.T) {
			victim := c.one(rt, awake)
			victim.asleep = someBatch(rt, victim)
			run, err := ledger.ReadRun(context.Background(), c.conn, c.target, victim.run.ID)
			if err != nil || run == nil || !run.Open() {
				rt.Skip("it is closed")
			}
			a := c.one(rt, idle)
			if a.takeOver(run); a.run == nil || len(a.claimed) == 0 {
				return
			}
			first := a.claimed[0]
			for _, p := range a.claimed { // the first one that no lane has reached
				if !slices.ContainsFunc(a.lanes, func(l ledger.Lane) bool { return (ledger.Mark{Chunk: ledger.Chunk(p.Seq, 0)}).Before(l.Mark) }) {
					first = p
					break
				}
			}
			a.free(first.Seq, false)
			a.lost(ledger.Leave(context.Background(), a.control, c.target, a.run, ""))
			a.abandon()
			if a.open(); a.run != nil {
				a.seen.Rewind()
				a.claim(3)
				a.storeAll()
			}
			if rapid.Bool().Draw(rt, "wakes") {
				b := victim.asleep
				victim.asleep = nil
				victim.store(b)
			}
		},
		// Likewise: the lane is divided of which there is a batch.
		"divideAsleep": func(rt *rapid.T) {
			a := c.one(rt, awake)
			b := someBatch(rt, a)
			l := a.lanes[b.lane]
			a.divide(b.lane, rapid.Int32Range(l.Min, l.Max).Draw(rt, "at"))
			if a.run != nil {
				a.asleep = b
			}
		},
		"beat": func(rt *rapid.T) {
			a := c.one(rt, works)
			_, err := ledger.Beat(context.Background(), a.control, c.target, a.run, ledger.Totals{})
			a.lost(err)
		},
		"free": func(rt *rapid.T) {
			a := c.one(rt, func(a *actor) bool { return awake(a) && len(a.claimed) > 0 })
			a.free(rapid.SampledFrom(a.claimed).Draw(rt, "part").Seq, rapid.Bool().Draw(rt, "broken"))
		},
		"leave": func(rt *rapid.T) {
			a := c.one(rt, awake)
			if !a.lost(ledger.Leave(context.Background(), a.control, c.target, a.run, "")) {
				a.abandon()
			}
		},
		"close": func(rt *rapid.T) {
			a := c.one(rt, awake)
			if a.storeAll(); a.run != nil {
				a.closeRun()
			}
		},
		"kill": func(rt *rapid.T) {
			a := c.one(rt, func(*actor) bool { return true })
			a.close()
			a.abandon()
			a.frozen = nil
			a.begin()
		},
		"end": func(rt *rapid.T) { c.end() },
		"":    func(rt *rapid.T) { c.check() },
	}
}

func (c *crowd) end() {
	ended, err := ledger.EndSet(context.Background(), c.conn, c.target, c.set.ID)
	if err != nil {
		c.rt.Fatal(err)
	}
	if ended {
		c.ended++
	}
}

// all returns the rows that the table is to have in the end.
func (c *crowd) all() (rows []string) {
	for name, chunks := range c.parts {
		n := 0
		for _, keys := range chunks {
			for _, key := range keys {
				rows = append(rows, fmt.Sprintf("%s|%d|%d", name, n, key))
				n++
			}
		}
	}
	slices.Sort(rows)
	return rows
}

func (c *crowd) rows() []string {
	rows := pgtest.Query(c.t, c.conn, "SELECT format('%s|%s|%s', part, n, k) FROM loaded")
	slices.Sort(rows)
	return rows
}

// check holds that no row is there twice.
func (c *crowd) check() {
	if rows := c.rows(); len(slices.Compact(slices.Clone(rows))) < len(rows) {
		c.rt.Fatalf("a row is there twice: %q", rows)
	}
}

// conclude lets one process load all that is left, while others are frozen, and holds that all is there once, and is
// still when those have woken up.
func (c *crowd) conclude() {
	ctx := context.Background()
	a := c.newActor(len(c.actors))
	defer a.close()
	if err := ledger.RetryFailed(ctx, a.control, c.target, c.set.ID); err != nil {
		c.rt.Fatal(err)
	}
	for _, r := range c.openRuns() {
		if a.takeOver(&r.Run); a.run == nil {
			c.rt.Fatalf("run %+v was not taken over", r)
		}
		a.drain()
	}
	a.open()
	a.seen.Rewind()
	if a.run != nil {
		a.drain()
	}
	c.end()
	c.verify("in the end")
	for _, other := range c.actors {
		if other.frozen != nil {
			other.frozen = nil
			other.finish()
		}
		if b := other.asleep; b != nil && other.run != nil {
			other.store(b)
		}
		if other.run != nil && len(other.lanes) > 0 {
			other.storeAll()
		}
		if other.run != nil {
			other.closeRun()
		}
	}
	c.verify("when all have woken up")
}

// drain claims all that is left, stores it, and closes the run.
func (a *actor) drain() {
	for before := -1; a.run != nil && before < len(a.claimed); {
		before = len(a.claimed)
		a.claim(100)
	}
	a.storeAll()
	if a.run != nil {
		a.closeRun()
	}
	if a.run != nil {
		a.c.rt.Fatalf("run %+v was not closed: %+v", a.run, a.lanes)
	}
}

func (c *crowd) verify(when string) {
	want := c.all()
	if diff := gocmp.Diff(want, c.rows(), cmpopts.EquateEmpty()); diff != "" {
		c.rt.Errorf("%s: rows (-want +got):\n%s", when, diff)
	}
	stand, err := ledger.Stand(context.Background(), c.conn, c.target, c.set.ID)
	if err != nil {
		c.rt.Fatal(err)
	}
	if !stand.Ended || c.ended != 1 || stand.PartCounts != (ledger.PartCounts{Loaded: len(c.parts)}) {
		c.rt.Errorf("%s: ended %d times, %+v of %d parts", when, c.ended, stand, len(c.parts))
	}
	job := find(c.t, c.conn, c.target, c.set.Name)
	sum := int64(0)
	for _, r := range stand.Runs {
		sum += r.Rows
	}
	if job == nil || job.Rows != int64(len(want)) || sum != job.Rows {
		c.rt.Errorf("%s: the job has %+v, its runs %d rows, want %d", when, job, sum, len(want))
	}
}

// modelChecks is how many lives of a set are tried unless it is said how many: each is some hundred
// transactions.
const modelChecks = 8

// given reports whether the flag of that name was given.
func given(name string) (yes bool) {
	flag.Visit(func(f *flag.Flag) { yes = yes || f.Name == name })
	return yes
}

// TestRunsModel lets processes load a set in any order of steps, and compares what is stored with what is to be.
//
//	go test ./internal/ledger -run TestRunsModel -rapid.checks 1000
func TestRunsModel(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	pgtest.Exec(t, conn, "CREATE TABLE loaded (k int, part text, n int)")
	target := targetOf(t, conn, "loaded")
	checks := 0
	rapid.Check(t, func(rt *rapid.T) {
		if checks++; checks > pgtest.Sized(modelChecks/2, modelChecks) && !given("rapid.checks") {
			return
		}
		c := newCrowd(t, rt, dsn, conn, target)
		defer func() {
			for _, a := range c.actors {
				a.close()
			}
		}()
		rt.Repeat(c.steps())
		c.conclude()
	})
}
