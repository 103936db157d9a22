package generate

import (
	"math/rand/v2"
	"testing"
)

// Every run is in the file once, and the short one at its end.
func TestOrderIsAPermutation(t *testing.T) {
	for rows := int64(0); rows < 200_000; rows = rows*5/4 + 1 {
		o := newOrder(rows)
		seen := make([]bool, o.runs)
		for p := range o.runs {
			run := o.sorted(p)
			if run < 0 || run >= o.runs || seen[run] {
				t.Fatalf("%d rows: run %d of the file is run %d, out of range or twice", rows, p, run)
			}
			seen[run] = true
		}
		if o.runs > 0 && o.sorted(o.runs-1) != o.runs-1 {
			t.Errorf("%d rows: the last run is not the last", rows)
		}
		if got := o.rowsBefore(o.blocks()); got != rows {
			t.Errorf("%d rows: the blocks have %d", rows, got)
		}
	}
}

func TestOrderOfLargeTables(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, rows := range []int64{1 << 40, 1<<62 - 1, maxID * maxID} {
		o := newOrder(rows)
		if divisor(o.stride, o.runs) != 1 || o.stride >= o.runs {
			t.Fatalf("%d rows: stride %d for %d runs", rows, o.stride, o.runs)
		}
		for range 1000 {
			p := random.Int64N(o.runs - 1)
			step := o.sorted(p+1) - o.sorted(p)
			if step != o.stride && step != o.stride-o.runs {
				t.Fatalf("%d rows: from run %d a step of %d, want %d", rows, p, step, o.stride)
			}
		}
	}
}

// A block walks each row of its runs once, and its cursors say the right company.
func TestBlocksWalkEveryRow(t *testing.T) {
	for _, cfg := range []Config{
		{Companies: 1, Campaigns: 1, Ads: 1},
		{Companies: 3, Campaigns: 64, Ads: 65, Skew: 1},
		{Companies: 500, Campaigns: 4096, Ads: 4097, Skew: 0.8},
		{Companies: 5000, Campaigns: 5001, Ads: 30_011},
	} {
		d, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for k := range kinds {
			seen := make([]bool, d.counts()[k])
			d.table(k).each(func(c *cursor) bool {
				if seen[c.row] {
					t.Fatalf("%v: %s: row %d twice", cfg, k, c.row)
				}
				seen[c.row] = true
				bucket, company := d.sizes[k].company(c.row)
				first, next := d.sizes[k].span(bucket, company)
				if c.company != company || c.bucket != bucket || c.first != first || c.next != next {
					t.Fatalf("%v: %s: row %d is of company %d, the cursor says %+v", cfg, k, c.row, company, c)
				}
				return true
			})
			for row, ok := range seen {
				if !ok {
					t.Fatalf("%v: %s: no row %d", cfg, k, row)
				}
			}
		}
	}
}
