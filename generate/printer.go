package generate

import (
	"bytes"

	"shardload/internal/checksum"
)

// A printer prints blocks for one goroutine.
type printer struct {
	t    *Table
	form *dialect

	// sums, unless nil, sums the rows that a server stores.
	sums *checksum.Accumulator

	damaged []damaged // the records of the last block that are
	row     []byte
}

// damaged is a record of a block that has a flaw.
type damaged struct {
	record int64 // from 0
	*flaw
}

// appendBlock appends the records of block i.
func (p *printer) appendBlock(dst []byte, i int64) []byte {
	var b block
	b.open(p.t, i)
	d, k := p.t.d, p.t.kind
	p.damaged = p.damaged[:0]
	for record := int64(0); ; record++ {
		c := b.next()
		if c == nil {
			return dst
		}
		start := len(dst)
		dst = d.appendRow(dst, k, c, p.form)
		if !d.flaws.any() && p.sums == nil {
			continue
		}
		f := d.flaws.of(k, c)
		if f != nil {
			dst = d.flaws.damage(dst, start, f, k, c, p.form)
			p.damaged = append(p.damaged, damaged{record, f})
		}
		if p.sums != nil && (f == nil || !f.damage.Refused()) {
			p.sum(c, f)
		}
	}
}

// sum adds the row of c, which has a flaw or none, to the checksums.
func (p *printer) sum(c *cursor, f *flaw) {
	d := p.t.d
	p.row = d.appendRow(p.row[:0], p.t.kind, c, &d.plain)
	if f != nil {
		p.row = d.flaws.damage(p.row, 0, f, p.t.kind, c, &d.plain)
	}
	p.row[len(p.row)-1] = d.plain.delimiter // in place of the line's end
	for rest := p.row; len(rest) > 0; {
		n := bytes.IndexByte(rest, d.plain.delimiter)
		if value := rest[:n]; string(value) == d.plain.null {
			p.sums.Null()
		} else {
			p.sums.Value(value)
		}
		rest = rest[n+1:]
	}
	p.sums.EndRow()
}

// appendRow appends the row of c as a record.
func (d *Dataset) appendRow(dst []byte, k kind, c *cursor, form *dialect) []byte {
	switch k {
	case companies:
		return d.companyRow(c).append(dst, d, form)
	case campaigns:
		return d.campaignRow(c).append(dst, d, form)
	default:
		row := d.adRow(c)
		return row.append(dst, d, form)
	}
}
