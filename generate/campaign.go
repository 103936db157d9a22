package generate

import (
	"iter"

	"shardload/schema"
)

// The random numbers of a campaign.
const (
	campaignName = iota
	campaignTerms
	campaignSites
	campaignCreated
	campaignUpdated
)

// A campaignRow is a row of campaigns.
type campaignRow struct {
	id, company      int64
	name             dice
	year             uint8
	cost, state      int
	budget           int64 // 0 is NULL
	sites            siteList
	created, updated int64
}

func (d *Dataset) campaignRow(c *cursor) campaignRow {
	terms := dice(d.seeds.cell(campaigns, c.row, campaignTerms))
	created := d.campaignBorn(c.born, c.row)
	r := campaignRow{
		id:      c.id(),
		company: c.company + 1,
		name:    dice(d.seeds.cell(campaigns, c.row, campaignName)),
		year:    d.calendar.year(created),
		cost:    terms.roll(len(costModels)),
		state:   terms.roll(len(states)),
		budget:  budget(&terms),
		sites:   newSiteList(d.seeds.cell(campaigns, c.row, campaignSites)),
		created: created,
		updated: updated(created, d.seeds.cell(campaigns, c.row, campaignUpdated)),
	}
	if r.id == 1 {
		r.state = running
		r.budget = max(r.budget, budgetStep)
	}
	return r
}

// campaignBorn returns when the campaign of a row was created, by a company that
// is from born.
func (d *Dataset) campaignBorn(born, row int64) int64 {
	return born + below(d.seeds.cell(campaigns, row, campaignCreated), campaignDays*day)
}

const budgetStep = 50

// budget returns a round monthly budget of any order of magnitude up to 25,600, or
// 0 for one campaign in eight.
func budget(d *dice) int64 {
	size := d.roll(8)
	if size == 0 {
		return 0
	}
	return budgetStep * int64(1+d.roll(4<<size))
}

func (r campaignRow) append(dst []byte, d *Dataset, f *dialect) []byte {
	if f.json {
		return r.appendJSON(dst, d, f)
	}
	dst = f.appendInt(dst, r.id)
	dst = f.appendInt(dst, r.company)
	dst = r.appendName(dst, f)
	dst = append(dst, f.delimiter)
	dst = append(dst, f.costs[r.cost].text...)
	dst = append(dst, f.delimiter)
	dst = append(dst, f.states[r.state].text...)
	dst = append(dst, f.delimiter)
	if r.budget == 0 {
		dst = append(dst, f.null...)
		dst = append(dst, f.delimiter)
	} else {
		dst = f.appendInt(dst, r.budget)
	}
	if r.sites.null {
		dst = append(dst, f.null...)
	} else {
		dst = r.sites.append(dst, f)
	}
	dst = append(dst, f.delimiter)
	dst = d.calendar.appendTime(dst, r.created)
	dst = append(dst, f.delimiter)
	dst = d.calendar.appendTime(dst, r.updated)
	return append(dst, '\n')
}

// appendName appends an occasion, for half of the campaigns the year, and an
// audience.
func (r campaignRow) appendName(dst []byte, f *dialect) []byte {
	occasion, year := &f.occasions[r.name.roll(len(f.occasions))], &nothing
	if r.name.roll(2) == 0 {
		year = &f.years[r.year]
	}
	return f.appendWords(dst, occasion, year, &f.audiences[r.name.roll(len(f.audiences))])
}

func (r campaignRow) record(plain *dialect) schema.Campaign {
	c := schema.Campaign{
		ID:                  int32(r.id),
		CompanyID:           int32(r.company),
		Name:                string(r.appendName(nil, plain)),
		CostModel:           costModels[r.cost],
		State:               states[r.state],
		BlacklistedSiteURLs: r.sites.array(),
		CreatedAt:           timestamp(r.created),
		UpdatedAt:           timestamp(r.updated),
	}
	if r.budget != 0 {
		monthly := int32(r.budget)
		c.MonthlyBudget = &monthly
	}
	return c
}

// Campaigns returns the rows of campaigns, in the order of the file.
func (d *Dataset) Campaigns() iter.Seq[schema.Campaign] {
	return func(yield func(schema.Campaign) bool) {
		d.table(campaigns).each(func(c *cursor) bool { return yield(d.campaignRow(c).record(&d.plain)) })
	}
}

// A siteList is an array of different sites: NULL for a quarter of the campaigns,
// empty for an eighth, long for a sixteenth.
type siteList struct {
	null            bool
	n, from, stride int
}

func newSiteList(random uint64) siteList {
	d := dice(random)
	l := siteList{stride: d.roll(len(sites)/2)*2 + 1, from: d.roll(len(sites))}
	switch kind := d.roll(16); {
	case kind < 4:
		l.null = true
	case kind < 6:
	case kind < 15:
		l.n = 1 + d.roll(4)
	default:
		l.n = 5 + d.roll(len(sites)-4)
	}
	return l
}

// at returns the index of site i.
func (l siteList) at(i int) int { return (l.from + i*l.stride) % len(sites) }

// append appends the array as array_out writes it.
func (l siteList) append(dst []byte, f *dialect) []byte {
	quoted := l.n == 1 && f.sites[l.from].quoted || l.n > 1 && f.comma.quoted
	if quoted {
		dst = append(dst, '"')
	}
	dst = append(dst, '{')
	for i := range l.n {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, f.sites[l.at(i)].text...)
	}
	dst = append(dst, '}')
	if quoted {
		dst = append(dst, '"')
	}
	return dst
}

func (l siteList) array() schema.TextArray {
	if l.null {
		return nil
	}
	a := make(schema.TextArray, l.n)
	for i := range a {
		a[i] = sites[l.at(i)]
	}
	return a
}
