package generate

import (
	"math"
	"math/bits"
	"sort"
)

// The law of sizes says how many rows each company has, without a table of the
// companies. Their ranks are cut into buckets, 16 an octave: 447 are enough for
// 2^31 companies. All ranks of a bucket weigh the same, so a bucket begins at
//
//	C_j = K_j + ceil(W_j/W · (rows - companies))
//
// with K_j the ranks and W_j the weight before it: one row for each company and
// the others by weight. Inside a bucket rows are spread evenly. Weights are
// integers, which makes everything after them exact, and the last C_j the number
// of rows. Rounding up makes the first company the largest:
// ceil(a+b) - ceil(a) <= ceil(b).

// perOctave is how finely weights follow r^-skew: a bucket's ranks differ by at
// most 1/16.
const perOctave = 16

// buckets cuts the ranks 0 to n-1 into buckets and returns the first rank of
// each, and n.
func buckets(n int64) []int64 {
	var first []int64
	for k := int64(0); k < n; {
		first = append(first, k)
		octave := int64(1) << (bits.Len64(uint64(k+1)) - 1)
		k += max(1, octave/perOctave)
	}
	return append(first, n)
}

// weigh returns the weight of a single rank of each bucket: in proportion to
// r^-skew, r being the middle of the bucket counted from 1, such that all ranks
// together weigh about 2^62.
func weigh(first []int64, skew float64) []int64 {
	weights := make([]float64, len(first)-1)
	total := 0.0
	for j := range weights {
		width := float64(first[j+1] - first[j])
		middle := float64(first[j]) + float64((width+1)/2)
		weights[j] = 1 / power(middle, skew)
		total += float64(width * weights[j])
	}
	scaled := make([]int64, len(weights))
	for j, w := range weights {
		scaled[j] = int64(w / total * (1 << 62))
	}
	return scaled
}

// power returns x^e for x >= 1 and e >= 0. It only multiplies and takes square
// roots, which IEEE 754 rounds in one way: math.Pow differs between machines. The
// conversions forbid the compiler to fuse a product with what follows.
func power(x, e float64) float64 {
	result := 1.0
	for ; e >= 1; e-- {
		result = float64(result * x)
	}
	for e > 0 {
		x = math.Sqrt(x)
		e *= 2
		if e >= 1 {
			result = float64(result * x)
			e--
		}
	}
	return result
}

// A law says which of a table's rows, sorted by company, belong to which. It is
// the zero law if the table is empty.
type law struct {
	first []int64 // the first rank of each bucket, and the number of companies
	start []int64 // the first row of each bucket, and the number of rows
}

func newLaw(first, weights []int64, rows int64) law {
	if rows == 0 {
		return law{}
	}
	var total, before uint64
	for j, w := range weights {
		total += uint64(w * (first[j+1] - first[j]))
	}
	l := law{first: first, start: make([]int64, len(first))}
	companies := first[len(first)-1]
	for j := range first {
		hi, lo := bits.Mul64(before, uint64(rows-companies))
		share, rest := bits.Div64(hi, lo, total)
		if rest > 0 {
			share++
		}
		l.start[j] = first[j] + int64(share)
		if j < len(weights) {
			before += uint64(weights[j] * (first[j+1] - first[j]))
		}
	}
	return l
}

// largest returns the number of rows of the largest company.
func (l law) largest() int64 {
	if len(l.start) < 2 {
		return 0
	}
	return l.start[1] - l.start[0]
}

// row returns the first row of a company that lies in bucket j, or of the company
// behind the last one of it.
func (l law) row(j int, company int64) int64 {
	rows, width := l.start[j+1]-l.start[j], l.first[j+1]-l.first[j]
	hi, lo := bits.Mul64(uint64(company-l.first[j]), uint64(rows))
	n, _ := bits.Div64(hi, lo, uint64(width))
	return l.start[j] + int64(n)
}

// company returns the company that a row belongs to, and its bucket. It is the
// inverse of row: the last company whose first row is not behind it.
func (l law) company(row int64) (j int, company int64) {
	j = sort.Search(len(l.start)-1, func(j int) bool { return l.start[j+1] > row })
	rows, width := l.start[j+1]-l.start[j], l.first[j+1]-l.first[j]
	hi, lo := bits.Mul64(uint64(row-l.start[j]+1), uint64(width))
	lo, borrow := bits.Sub64(lo, 1, 0)
	n, _ := bits.Div64(hi-borrow, lo, uint64(rows))
	return j, l.first[j] + int64(n)
}
