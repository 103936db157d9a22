package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"shardload/internal/catalog"
	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/loader/internal/lane"
)

// A smallLoad loads an input into a smallCluster as a process does. What decides is the
// loader's own: lanes, marks, sums, files, and what is asked for at the end.
type smallLoad struct {
	c     *smallCluster
	input []string // records
	chunk int      // records of one
	batch int      // bytes of one
	whole bool
	owner bool // it may hold moves off
	free  [][]byte

	job   *Job
	lanes *lane.Lanes
	// Of the run: how often it began, what was stored before it, and by it.
	attempts     int
	before, rows int64
	files        ledger.Files // at the beginning
	place        map[int]int64
}

// What becomes of a process.
var (
	errSmallKilled  = errors.New("killed")
	errSmallRefused = errors.New("refused")
	errSmallStuck   = errors.New("began anew too often")
	errSmallAgain   = errors.New("once more")
	errSmallDone    = errors.New("complete already")
	errSmallNone    = errors.New("no batch")
)

// endedContext has ended.
var endedContext = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// smallStarts are where records begin.
type smallStarts []int

func (s smallStarts) Len() int        { return len(s) }
func (s smallStarts) Start(i int) int { return s[i] }

// refuse ends the run as exit status 1 or 4 does.
func refuse(why string) error { return fmt.Errorf("%w: %s", errSmallRefused, why) }

// run does what Load does. It returns nil for exit status 0.
func (p *smallLoad) run() error {
	defer func() { p.c.held = false }()
	p.attempts, p.before, p.rows = 0, 0, 0
	for stuck := 0; stuck < fault.StartOvers; stuck++ {
		rows := p.rows
		err := p.attempt()
		if _, anew := errors.AsType[*StartOverError](err); !anew {
			return err
		}
		if p.rows > rows {
			stuck = 0
		}
		p.c.note("anew: %v", err)
		p.c.held = false
	}
	return errSmallStuck
}

func (p *smallLoad) attempt() error {
	c := p.c
	p.files = c.files()
	if c.job != nil {
		if goOn, err := p.examine(); err != nil || !goOn {
			return err
		}
	} else if p.whole {
		return p.storeWhole()
	} else {
		c.enter(&smallJob{Job: ledger.Job{Files: p.files}, pieces: true})
	}
	j := &Job{Job: &c.job.Job, Lanes: c.lanes(), Found: p.files, Target: ledger.Target{Table: &catalog.Table{}}}
	p.job = j
	if stored, _ := j.Before(); p.attempts == 0 {
		p.before = stored
	} else {
		p.rows = max(stored-p.before, 0)
	}
	p.attempts++
	if err := j.checkLanes(); err != nil {
		return refuse(err.Error())
	}
	return p.pieces()
}

// examine reports whether the job that is there is to go on.
func (p *smallLoad) examine() (bool, error) {
	c, j := p.c, p.c.job
	if !j.done && !j.pieces {
		if err := p.settleWhole(); err != nil {
			return false, err
		}
		p.files = c.files()
	}
	if j.done {
		if j.Rows > c.has() {
			return false, refuse("fewer rows than were loaded")
		}
		if j.Fingerprint.Sum != p.sum(len(p.input)).Sum {
			return false, refuse("edited")
		}
		return false, p.checkFile(j.Rows, errSmallDone)
	}
	if !c.settleAll() {
		return false, refuse("unsettled")
	}
	c.divide()
	stored := int64(0)
	for _, lane := range c.lanes() {
		stored += lane.Rows
	}
	if stored > c.has() {
		return false, refuse("fewer rows than were stored")
	}
	return true, p.checkFile(stored, nil)
}

// checkFile is Loader.checkFile.
func (p *smallLoad) checkFile(stored int64, otherwise error) error {
	j := p.c.job
	if stored > 0 {
		switch j.Files.Changed(p.files) {
		case ledger.Rewritten:
			return refuse("rewritten")
		case ledger.Moved:
			j.Files = p.files
		}
	}
	return otherwise
}

// sum returns the place behind the first records, at the beginning of a chunk or the end.
func (p *smallLoad) sum(records int) ledger.Place {
	at := ledger.Place{Line: 1, Sum: ledger.SumOf(nil)}
	for chunk := range slices.Chunk(p.input[:records], p.chunk) {
		data := smallData(chunk)
		at = ledger.Place{Offset: at.Offset + int64(len(data)), Line: at.Line + int64(len(chunk)), Records: at.Records + int64(len(chunk)), Sum: ledger.Join(at.Sum, ledger.SumOf(data))}
	}
	return at
}

func smallData(records []string) (data []byte) {
	for _, record := range records {
		data = append(append(data, record...), '\n')
	}
	return data
}

// pieces loads from the marks on.
func (p *smallLoad) pieces() error {
	j := p.job
	l := lane.NewOn(lane.Options{Lanes: len(j.Lanes), Batch: p.batch, Nodes: 1, Streams: 1}, p.pages())
	l.Resume(j.Lanes, true)
	p.lanes, p.place = l, map[int]int64{}
	from := int(j.Behind().Mark.Chunk)
	if from*p.chunk > len(p.input)+p.chunk-1 {
		return refuse("the input is shorter than it was")
	}
	l.Front().Skip(ledger.Mark{Chunk: int64(from)}, p.sum(min(from*p.chunk, len(p.input))))
	for rest := p.input[min(from*p.chunk, len(p.input)):]; len(rest) > 0; {
		n := min(p.chunk, len(rest))
		if err := p.add(l, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	if err := l.Front().Prove(true); err != nil {
		return refuse(err.Error())
	}
	l.End()
	for {
		switch err := p.store(l); {
		case errors.Is(err, errSmallNone):
			return p.finish()
		case err != nil:
			return err
		}
	}
}

// pages returns the memory for rows.
func (p *smallLoad) pages() [][]byte {
	if p.free == nil {
		for range 256 {
			p.free = append(p.free, make([]byte, 0, 128))
		}
	}
	return slices.Clone(p.free)
}

// add moves a chunk into the lanes, and stores now and then.
func (p *smallLoad) add(l *lane.Lanes, list []string) error {
	data, at := smallData(list), l.Front().Place()
	records := make(smallStarts, len(list))
	for i := 1; i < len(list); i++ {
		records[i] = records[i-1] + len(list[i-1]) + 1
	}
	if err := l.Front().Enter(data, records); err != nil {
		return refuse(err.Error())
	}
	if err := p.enter(l, list, at.Line); err != nil {
		return err
	}
	l.Finish(ledger.Place{
		Offset: at.Offset + int64(len(data)), Line: at.Line + int64(len(list)), Records: at.Records + int64(len(list)),
		Sum: ledger.Join(at.Sum, ledger.SumOf(data)),
	})
	for p.c.r.IntN(3) > 0 {
		switch err := p.store(l); {
		case errors.Is(err, errSmallNone):
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// enter moves rows into the lanes, at once where they let it.
func (p *smallLoad) enter(l *lane.Lanes, list []string, line int64) error {
	g := lane.NewGroups(l)
	each := func(row func(number int, data []byte, at *lane.Origin)) {
		for i, record := range list {
			hash := rowHash(record)
			number := slices.IndexFunc(p.job.Lanes, func(l ledger.Lane) bool { return l.Min <= hash && hash <= l.Max })
			row(number, []byte(record), &lane.Origin{Line: int64(i)})
		}
	}
	each(func(number int, data []byte, at *lane.Origin) {
		g.Count(number, lane.NotationRecord, len(data), at.Line, at)
	})
	if g.AtOnce() {
		if err := g.Reserve(context.Background(), lane.Origin{Line: line}); err != nil {
			return err
		}
		each(func(number int, data []byte, at *lane.Origin) {
			g.Put(number, lane.NotationRecord, data, at.Line, at, 0)
		})
		return g.Copied()
	}
	var failed error
	each(func(number int, data []byte, at *lane.Origin) {
		at.Line += line
		failed = errors.Join(failed, l.Add(context.Background(), number, lane.NotationRecord, data, at, 0))
	})
	return failed
}

// store stores the next batch.
func (p *smallLoad) store(l *lane.Lanes) error {
	if p.c.r.IntN(4) == 0 {
		p.c.event()
	}
	b, err := l.Next(endedContext, 0) // which does not wait
	if err != nil {
		return errSmallNone
	}
	err = p.send(b)
	if errors.Is(err, errSmallAgain) {
		l.Again(b)
		return nil
	}
	if err == nil {
		p.rows += b.Rows
		l.Done(b)
	}
	return err
}

// send sends a batch, as stream.store does, over a network that loses what is sent, and
// answers.
func (p *smallLoad) send(b *lane.Batch) error {
	c, of := p.c, p.job.Lanes[b.Lane]
	s := c.home(of.Number)
	if s == nil || s.min != of.Min || s.max != of.Max {
		return &StartOverError{"a shard was split"}
	}
	if was, known := p.place[b.Lane]; p.place[b.Lane] != s.place {
		if p.place[b.Lane] = s.place; known && was != s.place {
			return errSmallAgain // the guard has found it elsewhere
		}
	}
	if !c.settle(s) {
		return refuse("unsettled")
	}
	switch mark := s.marks[of.Number].Mark; {
	case mark == b.To && b.To != b.From:
		return nil
	case mark != b.From:
		return &StartOverError{"the mark is elsewhere"}
	case s.drops && b.Rows > 0:
		return refuse("a trigger drops rows")
	}
	tx := &smallTx{lane: of.Number, step: ledger.Step{From: b.From, To: b.To, Place: b.Place, Within: b.Within, Rows: b.Rows}}
	for i := range b.Sections {
		for row := range bytes.Lines(b.Sections[i].Data.Bytes()) {
			tx.rows = append(tx.rows, string(bytes.TrimSpace(row)))
		}
	}
	return p.commit(s, tx)
}

// commit commits what s is to get.
func (p *smallLoad) commit(s *smallShard, tx *smallTx) error {
	c := p.c
	switch c.r.IntN(14) {
	case 0: // lost before the server has it
		return errSmallAgain
	case 1: // the answer is lost
		s.apply(tx)
		return errSmallAgain
	case 2: // the server has it later
		s.open = append(s.open, tx)
		return errSmallAgain
	case 3: // by the coordinator, and the node does not hear of it
		tx.prepared = true
		s.open = append(s.open, tx)
		c.note("lane %d up to %v is only prepared", tx.lane, tx.step.To)
		if c.r.IntN(2) == 0 {
			c.event()
		}
		if !c.settleAll() {
			return refuse("unsettled")
		}
		return nil
	case 4:
		c.note("killed at a COMMIT")
		if c.r.IntN(2) == 0 {
			tx.prepared = c.r.IntN(2) == 0
			s.open = append(s.open, tx)
		}
		return errSmallKilled
	}
	s.apply(tx)
	return nil
}

// finish ends a job in pieces, as fence.finish and ledger.Complete do.
func (p *smallLoad) finish() error {
	c := p.c
	if c.r.IntN(3) == 0 {
		c.event()
	}
	if err := p.checkShards(p.before + p.rows); err != nil {
		return err
	}
	if (&pieces{p.job}).atEnd(c.lanes(), p.lanes.Front().Mark(), p.lanes.Front().Place()) != nil {
		if !c.settleAll() {
			return refuse("unsettled")
		}
		if err := (&pieces{p.job}).atEnd(c.lanes(), p.lanes.Front().Mark(), p.lanes.Front().Place()); err != nil {
			return err
		}
	}
	if !c.settleAll() { // DROP TABLE waits
		return refuse("unsettled")
	}
	c.job.done, c.job.Rows = true, int64(len(p.input))
	c.job.Fingerprint.Sum = p.lanes.Front().Place().Sum
	for _, s := range c.shards {
		clear(s.marks)
	}
	return nil
}

// checkShards is fence.check and fence.checkShards.
func (p *smallLoad) checkShards(stored int64) error {
	now := p.c.files()
	switch p.files.Changed(now) {
	case ledger.Rewritten:
		return refuse("emptied")
	case ledger.Moved:
		if p.c.has() < stored {
			if p.c.job.pieces {
				if err := (&pieces{p.job}).atEnd(p.c.lanes(), p.lanes.Front().Mark(), p.lanes.Front().Place()); err != nil {
					return err
				}
			}
			return refuse("fewer rows than were stored")
		}
	}
	p.c.job.Files = now
	return nil
}

// storeWhole stores all of the input in one transaction.
func (p *smallLoad) storeWhole() error {
	c, files := p.c, p.files
	for {
		if c.r.IntN(3) == 0 {
			c.event()
		}
		if c.settleLate(); c.job != nil {
			return &StartOverError{"an earlier run has stored it"}
		}
		var places []string
		for _, s := range c.shards {
			places = append(places, fmt.Sprint(s.place))
		}
		if c.held = p.owner; !p.owner || files.Within(places) {
			break
		}
		files, c.held = c.files(), false
	}
	if c.file != p.files[ledger.Here+"/1"] {
		return refuse("emptied")
	}
	for _, s := range c.shards {
		if s.drops && slices.ContainsFunc(p.input, func(row string) bool { return c.of(rowHash(row)) == s }) {
			return refuse("a trigger drops rows")
		}
	}
	j := &smallJob{Job: ledger.Job{Files: files, Totals: ledger.Totals{Rows: int64(len(p.input))}}}
	j.Fingerprint.Sum = p.sum(len(p.input)).Sum
	switch c.r.IntN(6) {
	case 0: // lost before the server has it
		return &StartOverError{"lost"}
	case 1:
		c.note("killed at the COMMIT, which comes late")
		c.late = &smallTx{whole: j, rows: p.input}
		return errSmallKilled
	case 2:
		c.note("killed when it was committed")
		c.commitWhole(j, p.input, true)
		return errSmallKilled
	case 3, 4: // the answer is lost, or warns
		c.commitWhole(j, p.input, true)
		if err := p.settleWhole(); err != nil {
			return err
		}
		return p.checkShards(j.Rows)
	}
	c.commitWhole(j, p.input, false)
	c.job.done = true
	return nil
}

// settleWhole is Loader.settleWhole.
func (p *smallLoad) settleWhole() error {
	c := p.c
	for c.r.IntN(3) == 0 {
		c.event()
	}
	if !c.settleAll() {
		return refuse("unsettled")
	}
	if c.job.Files.Changed(c.files()) == ledger.Moved {
		return refuse("a shard was moved before it was seen that all is there")
	}
	c.job.done = true
	return nil
}
