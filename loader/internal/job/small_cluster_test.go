package job

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"shardload/internal/citus"
	"shardload/internal/ledger"
)

// A smallCluster is what a load sees of a cluster, in a few slices: shards that hold rows
// and marks, transactions that nodes have only prepared, or whose COMMIT is still on its way,
// and the table of jobs. Its events are what may happen to it at any moment.
type smallCluster struct {
	r       *rand.Rand
	shards  []*smallShard // in the order of their ranges
	places  int64         // that there ever were
	file    uint32        // of the table on the coordinator
	job     *smallJob     // nil for none
	late    *smallTx      // a COMMIT of a whole file that is still on its way
	held    bool          // nobody moves a shard
	stays   bool          // nothing that is prepared is finished: citus.recover_2pc_interval = -1
	refills bool          // what is emptied is filled with as many other rows; then nothing moves
	doubles bool          // marks alone are set back: rows may be stored twice; then nothing is emptied
	kind    bool          // shards move, and what is prepared is finished; nobody does more
	trace   []string
}

// A smallShard is a shard on a node, with the rows of progress that lie in it.
type smallShard struct {
	min, max int32
	place    int64
	file     uint32
	rows     []string // "" is somebody else's
	marks    map[int32]ledger.Lane
	open     []*smallTx // that have something locked here
	drops    bool       // a trigger drops its rows
	copied   *smallShard
}

// A smallTx is a transaction that stores rows: of a lane, with its mark, or all of a file.
type smallTx struct {
	rows     []string
	lane     int32
	step     ledger.Step
	prepared bool // and decided: it is committed, if Citus gets to it
	whole    *smallJob
}

// A smallJob is a row of the table of jobs.
type smallJob struct {
	ledger.Job
	pieces bool // it has a table of progress
	done   bool
}

func newSmallCluster(r *rand.Rand) *smallCluster {
	c := &smallCluster{r: r, file: 1, kind: r.IntN(2) == 0}
	if !c.kind {
		c.refills, c.doubles, c.stays = r.IntN(4) == 0, r.IntN(4) == 0, r.IntN(5) == 0
	}
	n := 1 + r.IntN(4)
	for i := range n {
		width := int64(1) << 32 / int64(n)
		s := &smallShard{min: int32(math.MinInt32 + int64(i)*width), max: int32(math.MinInt32 + int64(i+1)*width - 1), marks: map[int32]ledger.Lane{}}
		if i == n-1 {
			s.max = math.MaxInt32
		}
		if c.kind { // else what is missing is seen in the number of rows
			s.rows = make([]string, r.IntN(20))
		}
		c.put(s)
		c.shards = append(c.shards, s)
	}
	return c
}

// put gives a shard a place of its own, with a new file.
func (c *smallCluster) put(s *smallShard) {
	c.places++
	s.place, s.file, s.copied = c.places, uint32(c.places), nil
}

func (c *smallCluster) note(format string, args ...any) {
	c.trace = append(c.trace, fmt.Sprintf(format, args...))
}

// of returns the shard that a hash belongs to.
func (c *smallCluster) of(hash int32) *smallShard {
	i := slices.IndexFunc(c.shards, func(s *smallShard) bool { return s.min <= hash && hash <= s.max })
	return c.shards[i]
}

// home returns the shard that has the lane's mark, nil for none.
func (c *smallCluster) home(lane int32) *smallShard {
	for _, s := range c.shards {
		if _, ok := s.marks[lane]; ok {
			return s
		}
	}
	return nil
}

// lanes returns the marks that a query sees, in the order of their ranges.
func (c *smallCluster) lanes() (lanes []ledger.Lane) {
	for _, s := range c.shards {
		lanes = slices.AppendSeq(lanes, maps.Values(s.marks))
	}
	slices.SortFunc(lanes, func(a, b ledger.Lane) int { return int(a.Number - b.Number) })
	slices.SortStableFunc(lanes, func(a, b ledger.Lane) int {
		return int(min(max(int64(a.Min)-int64(b.Min), -1), 1))
	})
	return lanes
}

// files returns where the rows are.
func (c *smallCluster) files() ledger.Files {
	files := ledger.Files{}
	files.Add(ledger.Here, 1, c.file)
	for _, s := range c.shards {
		place := fmt.Sprint(s.place)
		files.Place(place, true)
		files.Add(place, 1, s.file)
	}
	return files
}

// has returns how many rows a query counts.
func (c *smallCluster) has() (n int64) {
	for _, s := range c.shards {
		n += int64(len(s.rows))
	}
	return n
}

// apply commits a transaction on a shard.
func (s *smallShard) apply(tx *smallTx) {
	s.rows = append(slices.Clip(s.rows), tx.rows...)
	if lane, ok := s.marks[tx.lane]; ok && tx.whole == nil {
		lane.Mark, lane.Place, lane.Within = tx.step.To, tx.step.Place, tx.step.Within
		lane.Rows += tx.step.Rows
		s.marks[tx.lane] = lane
	}
}

// settle waits for those who have something locked in s, and reports whether none has any
// more: what is prepared ends only if Citus finishes it, or somebody is told to.
func (c *smallCluster) settle(s *smallShard) bool {
	open := s.open
	s.open = nil
	for _, tx := range open {
		switch {
		case tx.prepared && c.stays:
			s.open = append(s.open, tx)
		case tx.prepared || c.r.IntN(2) == 0:
			s.apply(tx)
		}
	}
	return len(s.open) == 0
}

// leave ends what has something locked in s as a move does that holds writers up: it waits
// for what is open, and leaves behind what is prepared.
func (s *smallShard) leave() {
	for _, tx := range s.open {
		if !tx.prepared {
			s.apply(tx)
		}
	}
	s.open = nil
}

// settleAll does so for all shards.
func (c *smallCluster) settleAll() bool {
	settled := true
	for _, s := range c.shards {
		settled = c.settle(s) && settled
	}
	return settled
}

// settleLate lets the COMMIT of a whole file through, or not.
func (c *smallCluster) settleLate() {
	tx := c.late
	if c.late = nil; tx != nil && c.r.IntN(2) == 0 {
		c.note("a late COMMIT is through")
		c.commitWhole(tx.whole, tx.rows, c.r.IntN(3) == 0)
	}
}

// commitWhole commits all of a file, on some nodes only for the time being if some do not
// hear of it.
func (c *smallCluster) commitWhole(j *smallJob, rows []string, doubt bool) {
	c.job = j
	for _, s := range c.shards {
		tx := &smallTx{whole: j, prepared: true}
		for _, row := range rows {
			if c.of(rowHash(row)) == s {
				tx.rows = append(tx.rows, row)
			}
		}
		if doubt && c.r.IntN(2) == 0 {
			s.open = append(s.open, tx)
			c.note("shard %d has it only prepared", s.place)
		} else {
			s.apply(tx)
		}
	}
}

// rowHash is where a row such as 7.0 goes.
func rowHash(row string) int32 {
	id, _ := strconv.Atoi(row[:strings.IndexByte(row, '.')]) // it is one of ours
	return int32(uint32(id) * 2654435761)
}

// event lets something happen.
func (c *smallCluster) event() {
	s := c.shards[c.r.IntN(len(c.shards))]
	kinds := 11
	if c.kind {
		kinds = 5
	}
	switch c.r.IntN(kinds) {
	case 0, 1:
		c.move(s, "block_writes")
	case 2:
		c.move(s, "force_logical")
	case 3:
		c.split(s)
	case 4:
		stays := c.stays
		c.stays = false
		c.settleAll()
		c.stays = stays
		c.note("what is prepared is finished")
	case 5:
		c.truncate(s)
	case 7:
		if !c.doubles && c.settleAll() {
			c.note("TRUNCATE of the table")
			c.file++
			for _, s := range c.shards {
				c.empty(s)
			}
		}
	case 6:
		s.drops = !s.drops
		c.note("a trigger on shard %d drops rows: %t", s.place, s.drops)
	case 8:
		copied := *s
		copied.rows, copied.marks = slices.Clone(s.rows), maps.Clone(s.marks)
		s.copied = &copied
	case 9:
		c.restore(s, true)
	case 10:
		c.restore(s, !c.doubles)
	}
}

// move moves a shard. With its writers held up it waits for open transactions, but not for
// prepared ones, which are left behind.
func (c *smallCluster) move(s *smallShard, mode string) {
	if c.held || c.refills {
		return
	}
	if c.late != nil {
		c.settleLate()
	}
	if mode == "force_logical" && !c.settle(s) {
		return
	}
	s.leave()
	c.put(s)
	c.note("a shard is moved, %s: it is now %d", mode, s.place)
}

// split splits a shard, with its writers held up.
func (c *smallCluster) split(s *smallShard) {
	if c.held || c.refills || len(c.shards) > 6 {
		return
	}
	c.settleLate()
	s.leave()
	middle := int32((int64(s.min) + int64(s.max)) / 2)
	a, b := &smallShard{min: s.min, max: middle, marks: map[int32]ledger.Lane{}}, &smallShard{min: middle + 1, max: s.max, marks: map[int32]ledger.Lane{}}
	parts := map[bool]*smallShard{true: a, false: b}
	for _, row := range s.rows {
		part := parts[row == "" || rowHash(row) <= middle]
		part.rows = append(part.rows, row)
	}
	for number, lane := range s.marks {
		parts[lane.KeyHash <= middle].marks[number] = lane
	}
	c.put(a)
	c.put(b)
	i := slices.Index(c.shards, s)
	c.shards = slices.Replace(c.shards, i, i+1, a, b)
	c.note("shard %d is split into %d and %d", s.place, a.place, b.place)
}

// truncate empties a shard on its node.
func (c *smallCluster) truncate(s *smallShard) {
	if !c.doubles && c.settle(s) {
		c.note("TRUNCATE of shard %d", s.place)
		c.empty(s)
	}
}

func (c *smallCluster) empty(s *smallShard) {
	c.places++ // no file has had the number
	s.file = uint32(c.places)
	if !c.refills {
		s.rows, s.copied = nil, nil
		return
	}
	s.rows = make([]string, len(s.rows))
}

// restore sets a node back to a copy of it, or its marks alone. A job that is complete has
// no marks, and that its rows are set back is seen in their number only.
func (c *smallCluster) restore(s *smallShard, rows bool) {
	was := s.copied
	if was == nil || c.refills || c.job == nil || !c.job.pieces || c.job.done {
		return
	}
	if rows {
		s.rows, s.open = slices.Clone(was.rows), nil
	} else if !c.settle(s) {
		return
	}
	s.marks = maps.Clone(was.marks)
	c.note("shard %d is set back, with its rows: %t", s.place, rows)
}

// divide gives each part of a lane whose shard was split a lane of its own, as Split does.
func (c *smallCluster) divide() {
	next := int32(0)
	for _, lane := range c.lanes() {
		next = max(next, lane.Number+1)
	}
	for _, lane := range c.lanes() {
		for _, s := range c.shards {
			switch {
			case s.max < lane.Min || s.min > lane.Max:
			case s.min <= lane.KeyHash && lane.KeyHash <= s.max:
				kept := s.marks[lane.Number]
				kept.Min, kept.Max = s.min, s.max
				s.marks[lane.Number] = kept
			default:
				s.marks[next] = ledger.Lane{Number: next, KeyHash: s.min, Min: s.min, Max: s.max, Mark: lane.Mark, Place: lane.Place, Within: lane.Within}
				next++
			}
		}
	}
}

// enter enters a new job in pieces, with the lanes of the shards.
func (c *smallCluster) enter(j *smallJob) {
	c.job = j
	for i, s := range c.shards {
		s.copied = nil
		s.marks = map[int32]ledger.Lane{int32(i): {Number: int32(i), KeyHash: s.min, Min: s.min, Max: s.max, Place: ledger.Place{Line: 1}}}
	}
	j.Kind = citus.Hash
}
