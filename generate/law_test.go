package generate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func lawOf(companies, rows int64, skew float64) law {
	first := buckets(companies)
	return newLaw(first, weigh(first, skew), rows)
}

// size returns the number of rows of a company.
func (l law) size(j int, company int64) int64 {
	first, next := l.span(j, company)
	return next - first
}

// The whole law by brute force: each row has one company, each company's rows are
// together, there are as many as asked for, and company 1 has the most.
func TestLawIsAPartition(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		companies := 1 + random.Int64N(400)
		rows := companies + random.Int64N(1+random.Int64N(20_000))
		skew := []float64{0, 0.3, 0.8, 1, 1.5, 3, random.Float64() * 3}[random.IntN(7)]
		t.Run(fmt.Sprintf("%d/%d/%.3f", companies, rows, skew), func(t *testing.T) {
			l := lawOf(companies, rows, skew)
			bucket, row := 0, int64(0)
			for company := range companies {
				if company == l.first[bucket+1] {
					bucket++
				}
				first, next := l.span(bucket, company)
				if first != row || next <= first {
					t.Fatalf("company %d has rows %d to %d, want at least one from %d", company, first, next, row)
				}
				if next-first > l.largest() {
					t.Fatalf("company %d has %d rows, the first %d", company, next-first, l.largest())
				}
				for ; row < next; row++ {
					if j, k := l.company(row); j != bucket || k != company {
						t.Fatalf("row %d is of company %d in bucket %d, want %d in %d", row, k, j, company, bucket)
					}
				}
			}
			if row != rows {
				t.Fatalf("%d rows, want %d", row, rows)
			}
		})
	}
}

// The same at sizes that no one can count through.
func TestLawOfLargeSizes(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, test := range []struct {
		companies, rows int64
		skew            float64
	}{
		{maxID, maxID, 0},
		{maxID, 100_000_000_000, 0.8},
		{maxID, maxID * maxID, 0},
		{2_000_000_000, 1 << 40, 0.5},
		{1_000_003, 1 << 60, 1},
		{12345, 1<<63 - 1, 3},
		{1, 1<<63 - 1, 2},
	} {
		l := lawOf(test.companies, test.rows, test.skew)
		if got := l.start[len(l.start)-1]; got != test.rows || l.start[0] != 0 {
			t.Errorf("%v: rows %d to %d, want 0 to %d", test, l.start[0], got, test.rows)
		}
		if len(l.first) > 448 {
			t.Errorf("%v: %d buckets", test, len(l.first)-1)
		}
		for _, row := range append([]int64{0, test.rows - 1}, randomRows(random, test.rows, 2000)...) {
			j, company := l.company(row)
			if company < l.first[j] || company >= l.first[j+1] {
				t.Fatalf("%v: company %d is not in bucket %d", test, company, j)
			}
			first, next := l.span(j, company)
			if row < first || row >= next || next-first > l.largest() {
				t.Fatalf("%v: row %d is said to be of company %d, rows %d to %d", test, row, company, first, next)
			}
		}
	}
}

func randomRows(random *rand.Rand, n int64, count int) []int64 {
	rows := make([]int64, count)
	for i := range rows {
		rows[i] = random.Int64N(n)
	}
	return rows
}

func TestEvenLaw(t *testing.T) {
	for _, companies := range []int64{1, 7, 49, 100, 1023, 5000} {
		for _, rows := range []int64{companies, companies*3 + 1, companies * 100, companies*1000 - 1} {
			l := lawOf(companies, rows, 0)
			for j := range len(l.first) - 1 {
				for _, k := range []int64{l.first[j], l.first[j+1] - 1} {
					// A bucket is rounded, and so is a company within it.
					if got := l.size(j, k); got < rows/companies-1 || got > (rows+companies-1)/companies {
						t.Errorf("%d rows of %d companies: company %d has %d", rows, companies, k, got)
					}
				}
			}
		}
	}
}

// The exponent is met: what is beyond the one row that each company has anyway
// falls as rank^-skew, over all octaves.
func TestSkewIsTheExponent(t *testing.T) {
	const companies = 1 << 20
	for _, skew := range []float64{0, 0.25, 0.8, 1, 1.3, 2} {
		l := lawOf(companies, 1<<50, skew)
		var n, sx, sy, sxx, sxy float64
		for j := range len(l.first) - 1 {
			rows := float64(l.start[j+1]-l.start[j])/float64(l.first[j+1]-l.first[j]) - 1
			x := math.Log(float64(l.first[j]) + float64(l.first[j+1]-l.first[j]+1)/2)
			y := math.Log(rows)
			n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
		}
		fitted := -(n*sxy - sx*sy) / (n*sxx - sx*sx)
		if math.Abs(fitted-skew) > 0.0005 {
			t.Errorf("skew %v: the sizes fall with exponent %.5f", skew, fitted)
		}
	}
}

func TestPower(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 10_000 {
		x, e := 1+random.Float64()*maxID, random.Float64()*MaxSkew
		got, want := power(x, e), math.Pow(x, e)
		if math.Abs(got-want) > 1e-12*want {
			t.Fatalf("power(%v, %v) = %v, want %v", x, e, got, want)
		}
	}
	for _, e := range []float64{0, math.SmallestNonzeroFloat64, 1e-300, 1} {
		if got, want := power(3, e), math.Pow(3, e); got != want {
			t.Errorf("power(3, %v) = %v, want %v", e, got, want)
		}
	}
}

// Golden: the law's own numbers, which fused multiply-adds or another pow would
// change long before they change a file's rows.
func TestLawGolden(t *testing.T) {
	l := lawOf(maxID, 1<<50, 0.8)
	sum := uint64(0)
	for _, start := range l.start {
		sum = mix(sum ^ uint64(start))
	}
	if want := uint64(0xd0205aed95bd24d0); sum != want {
		t.Errorf("sum of the bucket starts: %#x, want %#x", sum, want)
	}
}
