package generate

// A cursor walks the rows of one run, which are sorted by company.
type cursor struct {
	row     int64 // of the sorted table
	end     int64 // of the run
	company int64 // the row's company, counted from 0
	bucket  int
	first   int64 // the company's first row
	next    int64 // the next company's first row
	born    int64 // when the company was created

	// The campaigns of the company, for an ad to belong to.
	campaign  int64 // the first one's row
	campaigns int64
}

// id returns the row's number within its company, from 1.
func (c *cursor) id() int64 { return c.row - c.first + 1 }

// A block walks the rows of one block of a table: the first row of each of its
// runs, then the second ones, and so on.
type block struct {
	t     *Table
	runs  [runsPerBlock]cursor
	n     int // runs
	at    int // the next row's run
	round int // the next row's number within its run
}

// open points b at the first row of block i, if there is such a block.
func (b *block) open(t *Table, i int64) {
	*b = block{t: t}
	if i < 0 || i >= t.Len() {
		return
	}
	first := (t.lo + i) * runsPerBlock
	b.n = int(min(runsPerBlock, t.order.runs-first))
	for p := range b.n {
		row := t.order.sorted(first+int64(p)) * runRows
		c := &b.runs[p]
		c.row, c.end = row-1, min(row+runRows, t.order.rows)
		c.bucket, c.company = t.d.sizes[t.kind].company(row)
		t.d.enter(t.kind, c)
	}
}

// next returns the next row, or nil behind the last. The cursor holds until next
// is called again.
func (b *block) next() *cursor {
	for b.round < runRows {
		if b.at == b.n {
			b.at = 0
			b.round++
			continue
		}
		c := &b.runs[b.at]
		b.at++
		if c.row+1 == c.end { // the short run
			continue
		}
		c.row++
		if c.row == c.next {
			b.t.d.advance(b.t.kind, c)
		}
		return c
	}
	return nil
}

// advance moves c into the next company.
func (d *Dataset) advance(k kind, c *cursor) {
	c.company++
	if c.company == d.buckets[c.bucket+1] {
		c.bucket++
	}
	d.enter(k, c)
}

// enter notes what the rows of c's company have in common.
func (d *Dataset) enter(k kind, c *cursor) {
	c.first, c.next = d.sizes[k].span(c.bucket, c.company)
	c.born = d.companyBorn(c.company)
	if k == ads {
		first, next := d.sizes[campaigns].span(c.bucket, c.company)
		c.campaign, c.campaigns = first, next-first
	}
}

// span returns the first row of a company and that of the next one.
func (l law) span(j int, company int64) (first, next int64) {
	return l.row(j, company), l.row(j, company+1)
}
