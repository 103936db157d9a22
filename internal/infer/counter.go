package infer

import (
	"math"
	"math/bits"
	"slices"
)

// How many values a column counts one by one, and all columns of a table together.
const (
	minCounted      = 64
	maxCounted      = 4096
	maxCountedOfAll = 1 << 18
)

// A counter counts different values, by their hashes, in bounded memory: exactly up to
// some thousands; beyond that by a HyperLogLog sketch, and the frequent ones by the
// algorithm of Misra and Gries.
type counter struct {
	room   int
	counts map[uint64]int64
	// lost is by how much a count may be too small, and how often a value may have come that
	// has none; 0 while all are exact.
	lost   int64
	sketch *sketch // nil while all are exact
}

func newCounter(room int) counter { return counter{room: room, counts: map[uint64]int64{}} }

func (c *counter) add(hash uint64) {
	if c.sketch != nil {
		c.sketch.add(hash)
	}
	if n, ok := c.counts[hash]; ok || len(c.counts) < c.room {
		c.counts[hash] = n + 1
		return
	}
	c.begin()
	c.sketch.add(hash)
	c.take(1) // of each that is there, and of this one
}

// begin makes the sketch, out of all that is counted exactly.
func (c *counter) begin() {
	if c.sketch != nil {
		return
	}
	c.sketch = &sketch{}
	for hash := range c.counts {
		c.sketch.add(hash)
	}
}

// take takes n off all counts.
func (c *counter) take(n int64) {
	c.lost += n
	for hash := range c.counts {
		if c.counts[hash] -= n; c.counts[hash] <= 0 {
			delete(c.counts, hash)
		}
	}
}

// merge adds the values of another counter.
func (c *counter) merge(other *counter) {
	if other.sketch != nil {
		c.begin()
		c.sketch.merge(other.sketch)
	}
	for hash, n := range other.counts {
		c.counts[hash] += n
		if c.sketch != nil {
			c.sketch.add(hash)
		}
	}
	c.lost += other.lost
	if len(c.counts) <= c.room {
		return
	}
	c.begin()
	list := make([]int64, 0, len(c.counts))
	for _, n := range c.counts {
		list = append(list, n)
	}
	slices.Sort(list)
	c.take(list[len(list)-1-c.room])
}

// result returns how many different values there are, and how often the most frequent one
// came: if not exact about how many, and at most so often.
func (c *counter) result() (distinct, largest int64, exact bool) {
	for _, n := range c.counts {
		largest = max(largest, n)
	}
	if c.sketch == nil {
		return int64(len(c.counts)), largest, true
	}
	return c.sketch.estimate(), largest + c.lost, false
}

// precision is the binary logarithm of a sketch's registers. The standard error of an
// estimate is 1.04 / sqrt(registers), 0.8 %.
const precision = 14

// A sketch is a HyperLogLog (Flajolet and others, 2007): each register has the longest run
// of zeros, and one more, of the hashes that fall to it.
type sketch [1 << precision]uint8

// longestRun is the largest value of a register.
const longestRun = 64 - precision + 1

func (s *sketch) add(hash uint64) {
	at := hash >> (64 - precision)
	run := uint8(bits.LeadingZeros64(hash<<precision|1<<(precision-1))) + 1
	s[at] = max(s[at], run)
}

func (s *sketch) merge(other *sketch) {
	for i := range s {
		s[i] = max(s[i], other[i])
	}
}

// estimate returns about how many hashes were added, by the improved raw estimator of
// Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), which
// needs no correction at either end.
func (s *sketch) estimate() int64 {
	var registers [longestRun + 1]float64 // by value
	for _, v := range s {
		registers[v]++
	}
	m := float64(len(s))
	z := m * tau((m-registers[longestRun])/m)
	for k := longestRun - 1; k >= 1; k-- {
		z = (z + registers[k]) / 2
	}
	z += m * sigma(registers[0]/m)
	return int64(math.Round(m * m / (2 * math.Ln2 * z)))
}

// sigma and tau are the sums of Ertl's algorithm 6, for registers that are still zero and
// for those that can grow no more.
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for before := -1.0; z != before; {
		x *= x
		before = z
		z += x * y
		y += y
	}
	return z
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for before := -1.0; z != before; {
		x = math.Sqrt(x)
		before = z
		y /= 2
		z -= (1 - x) * (1 - x) * y
	}
	return z / 3
}
