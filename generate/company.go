package generate

import (
	"iter"

	"shardload/schema"
)

// The random numbers of a company.
const (
	companyName = iota
	companyImage
	companyCreated
	companyUpdated
)

// A companyRow is a row of companies. Its fields are still numbers: words are
// written only where they go.
type companyRow struct {
	id               int64
	name             dice
	image            uint64
	created, updated int64
}

func (d *Dataset) companyRow(c *cursor) companyRow {
	return companyRow{
		id:      c.company + 1,
		name:    dice(d.seeds.cell(companies, c.company, companyName)),
		image:   d.seeds.cell(companies, c.company, companyImage),
		created: c.born,
		updated: updated(c.born, d.seeds.cell(companies, c.company, companyUpdated)),
	}
}

// companyBorn returns when a company was created.
func (d *Dataset) companyBorn(company int64) int64 {
	return below(d.seeds.cell(companies, company, companyCreated), companyDays*day)
}

func (r companyRow) append(dst []byte, d *Dataset, f *dialect) []byte {
	if f.json {
		return r.appendJSON(dst, d, f)
	}
	dst = f.appendInt(dst, r.id)
	dst = r.appendName(dst, f)
	dst = append(dst, f.delimiter)
	dst = r.appendImageURL(dst)
	dst = append(dst, f.delimiter)
	dst = d.calendar.appendTime(dst, r.created)
	dst = append(dst, f.delimiter)
	dst = d.calendar.appendTime(dst, r.updated)
	return append(dst, '\n')
}

func (r companyRow) appendName(dst []byte, f *dialect) []byte {
	brand := &f.brands[r.name.roll(len(f.brands))]
	trade := &f.trades[r.name.roll(len(f.trades))]
	return f.appendWords(dst, brand, trade, &f.legalForms[r.name.roll(len(f.legalForms))])
}

func (r companyRow) appendImageURL(dst []byte) []byte {
	dst = append(dst, "https://logos.example.com/"...)
	dst = appendHex(dst, r.image)
	return append(dst, ".png"...)
}

func (r companyRow) record(plain *dialect) schema.Company {
	return schema.Company{
		ID:        int32(r.id),
		Name:      string(r.appendName(nil, plain)),
		ImageURL:  string(r.appendImageURL(nil)),
		CreatedAt: timestamp(r.created),
		UpdatedAt: timestamp(r.updated),
	}
}

// Companies returns the rows of companies, in the order of the file.
func (d *Dataset) Companies() iter.Seq[schema.Company] {
	return func(yield func(schema.Company) bool) {
		d.table(companies).each(func(c *cursor) bool { return yield(d.companyRow(c).record(&d.plain)) })
	}
}
