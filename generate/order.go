package generate

import "math/bits"

// runRows is how many rows, sorted by company, one run has. Within a run the next
// row costs no search for its company.
const runRows = 64

// runsPerBlock makes a block a square of 64 runs by 64 rows, 4096 rows. That is
// 0.7 MiB of ads: enough that whoever makes or stores a block has its cost by the
// row, and little enough to stay in a core's cache.
const runsPerBlock = 64

const blockRows = runRows * runsPerBlock

// An order is the order of a table's rows in its file. The table, sorted by
// company, is cut into runs. Run p of the file is sorted run stride·(p+1) - 1
// modulo their number: the stride, near the golden section of it and without a
// common divisor, spreads any few neighbours over the whole table, and the only
// run that may be short, the last, stays the last. A block then takes one row of
// each of its runs in turn.
type order struct {
	rows, runs, stride int64
}

func newOrder(rows int64) order {
	o := order{rows: rows, runs: (rows + runRows - 1) / runRows}
	if o.runs == 0 {
		return o
	}
	near, _ := bits.Mul64(uint64(o.runs), golden)
	for o.stride = max(1, int64(near)); divisor(o.stride, o.runs) != 1; {
		o.stride++
	}
	return o
}

func divisor(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// blocks returns the number of blocks. All but the last are full.
func (o order) blocks() int64 { return (o.runs + runsPerBlock - 1) / runsPerBlock }

// sorted returns which sorted run is run p of the file.
func (o order) sorted(p int64) int64 {
	hi, lo := bits.Mul64(uint64(o.stride), uint64(p+1))
	_, run := bits.Div64(hi, lo, uint64(o.runs))
	return (int64(run) + o.runs - 1) % o.runs
}

// rowsBefore returns the number of rows in the blocks before block i.
func (o order) rowsBefore(i int64) int64 { return min(i*blockRows, o.rows) }
