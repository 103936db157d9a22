package job

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// smallFor is how long TestSmall makes loads: as long as SHARDLOAD_TEST_CHAOS says, such as
// 10m.
func smallFor() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("SHARDLOAD_TEST_CHAOS")); err == nil {
		return d
	}
	if testing.Short() {
		return time.Second
	}
	return 3 * time.Second
}

// TestSmall holds, with loads of a few records into a cluster that is a few slices, that no
// row is lost, doubled or altered behind exit status 0: whatever is lost on the way, prepared
// and not committed, left behind by a move, split, emptied on a node, dropped by a trigger,
// set back to a copy, and whatever becomes of the input, between the runs and in their midst.
// A case is a function of its number.
func TestSmall(t *testing.T) {
	t.Parallel()
	var number, loads, stored atomic.Uint64
	var group sync.WaitGroup
	end := time.Now().Add(smallFor())
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			c := &smallCase{}
			for !t.Failed() && time.Now().Before(end) {
				n := number.Add(1)
				if c.try(n); c.wrong != "" {
					t.Errorf("case %d: %s\n%s", n, c.wrong, strings.Join(c.cluster.trace, "\n"))
				}
				loads.Add(uint64(c.runs))
				if c.stored {
					stored.Add(1)
				}
			}
		})
	}
	group.Wait()
	t.Logf("%d loads in %d cases, %d of which ended with all rows", loads.Load(), number.Load(), stored.Load())
}

// A smallCase is an input that is loaded until a run says that it is stored, or they are
// refused again and again.
type smallCase struct {
	cluster *smallCluster
	load    smallLoad
	runs    int
	stored  bool
	wrong   string // what was lost, behind exit status 0
}

// try loads, lets things happen, and loads again.
func (c *smallCase) try(number uint64) {
	r := rand.New(rand.NewPCG(number, 14))
	c.cluster = newSmallCluster(r)
	c.runs, c.stored, c.wrong = 0, false, ""
	p := &c.load
	p.c, p.chunk, p.batch, p.whole, p.owner = c.cluster, 1+r.IntN(8), 1+r.IntN(24), r.IntN(3) == 0, r.IntN(3) > 0
	p.input = p.input[:0]
	for i := range 1 + r.IntN(24) {
		p.input = append(p.input, fmt.Sprintf("%d.0", i))
	}
	for refused := 0; refused < 3 && c.runs < 12 && c.wrong == ""; c.runs++ {
		err := p.run()
		c.cluster.note("run %d: %v", c.runs, err)
		if err == nil || errors.Is(err, errSmallDone) {
			c.look()
			if c.stored = true; r.IntN(2) == 0 {
				return
			}
		} else if !errors.Is(err, errSmallKilled) && !errors.Is(err, errSmallStuck) {
			refused++
			if c.cluster.kind && !c.mayRefuse() {
				c.wrong = "nothing was lost, and the run was refused"
			}
		}
		for r.IntN(3) == 0 {
			c.between()
		}
	}
}

// between does something between two runs.
func (c *smallCase) between() {
	p, r := &c.load, c.cluster.r
	if r.IntN(6) > 0 || c.cluster.kind {
		c.cluster.event()
		return
	}
	i := r.IntN(len(p.input))
	p.input = slices.Clone(p.input)
	p.input[i] = fmt.Sprintf("%d.%d", i, r.IntN(10))
	c.cluster.note("record %d is now %s", i, p.input[i])
}

// mayRefuse reports whether rows may be lost though nobody has done more than move shards:
// those of a whole file, in doubt, whose process was killed or could not hold moves off.
func (c *smallCase) mayRefuse() bool {
	killed := slices.ContainsFunc(c.cluster.trace, func(said string) bool { return strings.Contains(said, "killed") })
	return c.load.whole && (killed || !c.load.owner)
}

// look finds out what is wrong with the table, when all that was prepared is finished.
func (c *smallCase) look() {
	c.cluster.stays = false
	if c.cluster.settleAll(); c.cluster.late != nil {
		c.cluster.settleLate()
	}
	times := map[string]int{}
	for _, s := range c.cluster.shards {
		for _, row := range s.rows {
			times[row]++
		}
	}
	delete(times, "") // somebody else's
	for _, record := range c.load.input {
		if n := times[record]; n == 0 || n > 1 && !c.cluster.doubles {
			c.wrong = fmt.Sprintf("record %s is stored %d times", record, n)
		}
		delete(times, record)
	}
	for row := range times {
		if !c.cluster.doubles {
			c.wrong = "row " + row + " is of no record"
		}
	}
}
