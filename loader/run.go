package loader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/fault"
	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/internal/pgcsv"
	"shardload/internal/server"
	"shardload/loader/failure"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/job"
	"shardload/loader/internal/lane"
)

// A running is a run of a set while this process has it.
type running struct {
	job.Run
	of    *roster
	given []ledger.Claimed // parts that it has already, if it was taken over
	job   *ledger.Job      // once it is in the ledger
	lost  context.CancelCauseFunc
	begun time.Time
	// closing is set while the run is being closed: who does that is told if it has another owner,
	// and a beat that finds it closed means nothing.
	closing atomic.Bool

	tally
	kept keptOfRun
}

// newRunning returns a run of the set: the one that was taken over with these parts, or a new one.
func (of *roster) newRunning(is *ledger.Run, given []ledger.Claimed) *running {
	r := &running{Run: job.Run{Set: of.set, By: of.by, Alone: of.l.cfg.OnConflict == ConflictUpdate, ID: ledger.NewID(), Is: is}, of: of, given: given, begun: time.Now()}
	if is != nil {
		r.ID = is.ID
	}
	r.Ends = func(at ledger.Place) []ledger.PartRows {
		r.closing.Store(true)
		return r.listEnds(at)
	}
	return r
}

// name returns that of the run's job.
func (r *running) name() string { return ledger.RunName(r.Set.Name, r.ID) }

// attempt loads what the run has, and what it claims, until there are no more parts. After a *PartError
// all before that part is stored.
func (r *running) attempt(ctx context.Context, in Input, c *counts) (err error) {
	samples, err := r.samples(ctx)
	if err != nil || len(samples) == 0 && r.Is == nil {
		return err
	}
	tried := map[Format]bool{}
	for _, of := range samples {
		if tried[of.format] {
			continue
		}
		tried[of.format] = true
		done, err := r.attemptAs(ctx, in, c, of.format, samples)
		if done || err != nil {
			return err
		}
	}
	if r.Is != nil { // what it is laid out for is not known
		return r.closeUnread(ctx)
	}
	_, err = r.attemptAs(ctx, in, c, samples[0].format, nil)
	return err
}

// attemptAs is attempt, for parts of that format: for the pipeline is laid out for the first sample that is
// so written and can be read. It reports false if there is none; without samples it is for all columns.
func (r *running) attemptAs(ctx context.Context, in Input, c *counts, as Format, samples []Input) (done bool, err error) {
	l, err := loaderAs(r.of.l, as)
	if err != nil {
		return false, err
	}
	r.Reads = mannerOf(l)
	ld := l.newLoad(in, c)
	s := newSeries(l, r.claim, partTeller{failed: r.failed, aside: r.aside, empty: r.empty, opened: r.opened})
	if l.cfg.OnConflict == ConflictUpdate { // the last record of a key is that of the last file
		s.tell.rest = func(ctx context.Context, p *input.Part) error { return releaseRest(ctx, r, p) }
	}
	ld.feed, ld.series, ld.ofRun = s, s, r
	ld.course.times = &r.of.clock
	defer func() { r.of.l.whole.Load().pass(s) }()
	defer func() { err = errors.Join(err, s.Close()) }()
	r.of.l.current.Store(ld)
	var first *input.Chunk
	for _, of := range samples {
		if of.format != as {
			continue
		}
		if first, err = layOutFor(ctx, ld, of); first != nil || ctx.Err() != nil {
			break
		}
	}
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case first == nil && samples != nil:
		return false, nil
	case first == nil:
		first, err = &input.Chunk{Line: 1, EOL: pgcsv.LF}, layOutForNone(ld, in)
	}
	if err != nil {
		return false, err
	}
	b := &beginning{ld: ld, first: first}
	if err = b.settle(ctx); err == nil {
		_, err = ld.pass(ctx, in, b)
	}
	b.ask.Close()
	return true, err
}

// unreadable returns what is wrong with the first part of a run of which none can be read, nil if all are
// empty.
func (r *running) unreadable(ctx context.Context) error {
	for _, p := range r.given {
		in := r.of.input(p.Name)
		l, err := loaderAs(r.of.l, in.format)
		if err == nil {
			_, err = layOutFor(ctx, l.newLoad(in, &counts{}), in)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return &PartError{in.name, err}
		}
	}
	return nil
}

// closeUnread closes a run that was taken over, of which nothing is stored, if no part of it has records.
func (r *running) closeUnread(ctx context.Context) error {
	if err := r.unreadable(ctx); err != nil {
		return err
	}
	var ends []ledger.PartRows
	for _, p := range r.given {
		ends = append(ends, ledger.PartRows{Seq: p.Seq})
	}
	return r.of.l.target.OnControl(ctx, func(conn *pgx.Conn) error {
		lanes, err := ledger.Lanes(ctx, conn, r.of.target, r.job)
		if err == nil && slices.ContainsFunc(lanes, func(l ledger.Lane) bool { return l.Mark != ledger.Mark{} }) {
			err = &PartError{r.of.in.name, errors.New("rows of it are stored, and all files that they can be of are empty now")}
		}
		if err != nil {
			return err
		}
		return server.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			return ledger.CloseRun(ctx, tx.Conn(), r.of.target, r.Is, r.job, 0, ends, func([]ledger.Lane) error { return nil })
		})
	})
}

// layOutForNone lays the pipeline out where no part can be read, or none has records: for records of all
// columns.
func layOutForNone(ld *load, in Input) (err error) {
	how := input.Reading{Dialect: ld.l.cfg.dialect(), MaxRecord: ld.l.cfg.MaxRecord}
	if ld.kind, err = input.NewFeed(empty(in.name), how); err != nil {
		return err
	}
	h := Heading{columns: ld.l.target.Table.CopyColumns()}
	h.nameFields()
	return layOut(ld, in, h)
}

// empty returns a source of nothing.
func empty(name string) *input.Source {
	src, _ := input.New(name, eof{}, input.None)
	return src
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// samples returns parts by which a pipeline may be laid out.
func (r *running) samples(ctx context.Context) (list []Input, err error) {
	if r.Is != nil {
		for _, p := range r.given {
			list = append(list, r.of.input(p.Name))
		}
		return list, nil
	}
	names, err := r.of.waiting(ctx, sampleParts)
	for _, name := range names {
		list = append(list, r.of.input(name))
	}
	return list, err
}

// sampleParts is how many parts are looked at for one that has records.
const sampleParts = 16

// layOutFor lays the pipeline out for a part, and returns its first chunk, nil if it has none.
func layOutFor(ctx context.Context, ld *load, of Input) (first *input.Chunk, err error) {
	feed, err := ld.l.open(ctx, of)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, feed.Close()) }()
	c, err := feed.Next(ctx, nil)
	if err != nil {
		return nil, err
	}
	h, _, err := ld.l.head(ctx, of, feed, c)
	if err != nil {
		return nil, err
	}
	ld.kind, ld.EOL, ld.sample = feed, c.EOL, of.name
	if err := layOut(ld, of, h); err != nil {
		return nil, err
	}
	ld.form.Header = false // each part has its own, or none
	return c, nil
}

// enter enters the run in the ledger, if it is new, and opens its parts. ended is to be called when
// nothing more is stored of it.
func (r *running) enter(ctx context.Context, ld *load, ask *decode.Asker) (ended func(), err error) {
	err = ld.Fence.Meanwhile(ctx, ld.Job.Enter)
	if err != nil {
		return nil, err
	}
	r.job = ld.Job.Job
	r.closing.Store(false)
	if !ld.l.cfg.MaxErrors.None() {
		if err := ld.Fence.Meanwhile(ctx, func(ctx context.Context) error { return keepAside(ctx, r, ld) }); err != nil {
			return nil, err
		}
	}
	start, reached := resumption{}, int32(-1)
	if from := ld.Job.Behind(); from.Mark != (ledger.Mark{}) {
		start = resumptionAt(from.Mark, from.Place)
	}
	for _, l := range ld.Job.Lanes {
		reached = max(reached, reachedBy(l.Mark))
	}
	r.tally.begin(start.place.Records)
	for len(r.given) > 0 && r.given[0].Seq < start.seq {
		r.given = r.given[1:]
	}
	if err := proveParts(ctx, r, ld, start.seq, reached); err != nil {
		return nil, err
	}
	ld.series.fits = func(ctx context.Context, p *openedPart, c *input.Chunk) error { return fits(ctx, ld, p, c, ask) }
	ld.series.openFrom(ctx, start, reached)
	beating, stop := context.WithCancel(ctx)
	beaten := make(chan struct{})
	go func() {
		defer close(beaten)
		r.beat(beating, ld.Counts)
	}()
	return func() { stop(); <-beaten }, nil
}

// reachedBy returns the last part of which something comes before a mark, -1 for none.
func reachedBy(m ledger.Mark) int32 {
	seq, n := ledger.OfChunk(m.Chunk)
	if n == 0 && m.Records == 0 {
		return seq - 1
	}
	return seq
}

// goOnWithin returns the chunk of a set's run with which the load begins.
func goOnWithin(ctx context.Context, ld *load) (*input.Chunk, error) {
	if at := ld.series.start; at != (resumption{}) {
		ld.Lanes.Front().Skip(ledger.Mark{Chunk: ledger.Chunk(at.seq, at.chunk)}, at.place)
	}
	c, err := ld.next(ctx, nil)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	return c, err
}

// fits makes sure that a part can pass through the pipeline, and tells its feed how.
func fits(ctx context.Context, ld *load, p *openedPart, c *input.Chunk, ask *decode.Asker) error {
	if !ld.heading.alike(&p.heading) {
		return errOtherLayout
	}
	setEncoding(ld, p.feed, &p.heading)
	if p.heading.Guessed && !p.heading.Header {
		return ld.Layout.Misfit(ctx, p.in.name, c, ask)
	}
	return nil
}

// enterPart lets a chunk of a part enter the lanes. What is wrong with the part does not end the load.
func (r *running) enterPart(ctx context.Context, ld *load, d deliverer, c *input.Chunk, a arrival) error {
	front := ld.Lanes.Front()
	if ld.series.unwanted(c.Part) {
		return nil
	}
	if c.Turns {
		r.turn(partOf(c.Part.First), front.Place(), c.Within)
	}
	bad := decode.Turn(front, c)
	if bad == nil && a.late {
		a.bad = c.PlaceAt(front.Place(), a.bad)
	}
	if bad == nil && a.bad != nil {
		if ofRecord(a.bad) == nil && !a.unreadable {
			return a.bad
		}
		bad = a.bad
	}
	if bad == nil {
		bad = d.Deliver(ctx, c)
		if other, ok := errors.AsType[*lane.OtherInputError](bad); !ok && bad != nil {
			return bad
		} else if ok {
			bad = &failure.ChangedInputError{Job: c.Part.Source, When: failure.ChangedBegun, Stored: other.Stored}
		}
	}
	if bad != nil {
		return ld.series.leave(ctx, c.Part, front.Mark(), bad)
	}
	return nil
}

// claim returns the next parts: those that a run which was taken over has, and then such as nobody
// has.
func (r *running) claim(ctx context.Context) (list []claimed, err error) {
	parts := r.given
	if r.given = nil; len(parts) == 0 {
		steady, cancel := fault.Grace(ctx)
		defer cancel()
		err = r.of.l.target.OnControl(steady, func(conn *pgx.Conn) (err error) {
			parts, err = ledger.Claim(steady, conn, r.of.target, r.Is, r.of.seen, r.share())
			return err
		})
	}
	for _, p := range parts {
		r.count(1)
		in := r.of.claimed(p.Part)
		r.kept.number(in.name, p.Seq)
		list = append(list, claimed{seq: p.Seq, in: in, listed: p.Part})
	}
	return list, err
}

// share says how much is claimed at once: about as much as this process loads in a second, but no
// more than a part of what is left, so that others get theirs, and that all end at about the same
// time. A claim costs the server some milliseconds, and is no smaller than is worth that.
func (r *running) share() ledger.Limit {
	const least, second, most = 8 << 20, 32 << 20, 1 << 30 // bytes
	names := r.of.seen.Unseen()
	share := ledger.Limit{Parts: min(max(names/leftToOthers, 1), 500)}
	var rate float64
	if ld := r.of.l.current.Load(); ld != nil && ld.series != nil {
		rate = float64(ld.series.done.Load()) / max(time.Since(r.begun).Seconds(), 0.5)
	}
	share.Bytes = min(max(int64(rate), second), most)
	if w := r.of.l.whole.Load(); w != nil && w.total > w.before {
		rest := int64(float64(w.total-w.before) * float64(names) / float64(max(r.of.seen.Left(), 1)))
		share.Bytes = min(share.Bytes, max(rest/leftToOthers, least))
		// As many parts as there are usually so many bytes of: what is looked at is locked.
		share.Parts = min(max(int(share.Bytes*int64(names)/max(rest, 1)), 1), 500)
	}
	return share
}

// leftToOthers is the part of what is left that is claimed at once, as its denominator. The more
// there are who load a set, the less each gets to begin with, and they end within such a part of
// each other.
const leftToOthers = 6

// failed notes that a part cannot be loaded, of which nothing is stored.
func (r *running) failed(ctx context.Context, p *input.Part, why error) error {
	r.count(-1)
	r.of.note(p.Source, why)
	return r.of.l.target.OnControl(ctx, func(conn *pgx.Conn) error {
		return ledger.Fail(ctx, conn, r.of.target, r.Is, r.job, partOf(p.First), why.Error())
	})
}

// aside gives back a part that needs another run.
func (r *running) aside(ctx context.Context, p *input.Part) error {
	r.count(-1)
	return r.of.l.target.OnControl(ctx, func(conn *pgx.Conn) error {
		return ledger.PutBack(ctx, conn, r.of.target, r.Is, r.job, partOf(p.First))
	})
}

// releaseRest gives back a part that needs another run, and all after it.
func releaseRest(ctx context.Context, r *running, p *input.Part) error {
	r.count(int(partOf(p.First) - r.Is.Next))
	return r.of.l.target.OnControl(ctx, func(conn *pgx.Conn) error {
		return ledger.Release(ctx, conn, r.of.target, r.Is, r.job, partOf(p.First))
	})
}

// beat says now and then that the run goes on, until ctx ends. It ends the run when another process
// has it.
func (r *running) beat(ctx context.Context, c *counts) {
	steady, cancel := fault.Grace(ctx)
	defer cancel()
	tick := time.NewTicker(fault.BeatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := r.of.l.target.OnControl(steady, func(conn *pgx.Conn) error {
			return beatAs(steady, r, conn, ledger.Totals{Rows: c.Before.Load() + c.Rows.Load(), Rejected: c.Rejected.Load(), Bytes: c.Read.Load()})
		})
		if r.over(err) {
			return
		}
	}
}

// over reports whether a beat, which ended with err, was the last one. It ends the run here if
// another process has it.
func (r *running) over(err error) bool {
	if !errors.Is(err, ledger.ErrEpoch) {
		return false
	}
	if !r.closing.Load() {
		r.lost(err)
	}
	return true
}

// isGone reports whether a process is certainly gone: it was one of this host, and is not there.
func isGone(of ledger.Owner) bool {
	if here := thisProcess(); of.Host != here.Host || of.PID == here.PID {
		return false
	}
	p, err := os.FindProcess(of.PID)
	return err != nil || errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// thisProcess returns what others are to know of it.
func thisProcess() ledger.Owner {
	host, err := os.Hostname()
	if err != nil {
		host = fmt.Sprintf("(%v)", err)
	}
	return ledger.Owner{Host: host, PID: os.Getpid()}
}

// join adds what a run has done.
func (r *Result) join(done Result) {
	r.Before += done.Before
	r.Rows += done.Rows
	r.Batches += done.Batches
	r.Bytes += done.Bytes
	r.Copying += done.Copying
	r.InDoubt += done.InDoubt
	r.Rejected += done.Rejected
	r.Updated += done.Updated
	r.Skipped += done.Skipped
	r.Filtered += done.Filtered
	if r.Rejects = cmp.Or(done.Rejects, r.Rejects); len(done.Reasons) > 0 {
		r.Reasons = joinReasons(r.Reasons, done.Reasons)
	}
}

// joinReasons adds more reasons to a list of them, the most frequent first.
func joinReasons(list, more []Reason) []Reason {
	for _, m := range more {
		at := slices.IndexFunc(list, func(r Reason) bool { return r.SQLState == m.SQLState && r.Column == m.Column && r.Example == m.Example })
		if at < 0 {
			list = append(list, m)
			continue
		}
		list[at].Records += m.Records
	}
	slices.SortStableFunc(list, func(a, b Reason) int { return cmp.Compare(b.Records, a.Records) })
	return list
}

// alike reports whether records of other pass through the same pipeline as those of h.
func (h *Heading) alike(other *Heading) bool {
	return h.plan == other.plan && slices.Equal(h.columns, other.columns) && slices.Equal(h.fields, other.fields)
}
