package generate

import (
	"iter"

	"shardload/schema"
)

// The random numbers of an ad.
const (
	adName = iota
	adImage
	adCampaign
	adCounts
	adCreated
	adUpdated
)

// An adRow is a row of ads.
type adRow struct {
	id, company, campaign int64
	adjective             int
	product, offer        int
	image                 uint64
	impressions, clicks   int64
	created, updated      int64
}

func (d *Dataset) adRow(c *cursor) adRow {
	name := dice(d.seeds.cell(ads, c.row, adName))
	r := adRow{
		id:        c.id(),
		company:   c.company + 1,
		adjective: name.roll(len(adjectives)),
		product:   name.roll(len(products)),
		offer:     name.roll(offersInAll),
		image:     d.seeds.cell(ads, c.row, adImage),
	}
	r.campaign = campaignOf(r.id, c.campaigns, d.seeds.cell(ads, c.row, adCampaign))
	r.impressions, r.clicks = counts(d.seeds.cell(ads, c.row, adCounts))
	r.created = d.campaignBorn(c.born, c.campaign+r.campaign-1) + below(d.seeds.cell(ads, c.row, adCreated), adDays*day)
	r.updated = updated(r.created, d.seeds.cell(ads, c.row, adUpdated))
	return r
}

// campaignOf returns the campaign of an ad among the n of its company. The first n
// ads go to one campaign each, so that campaign 1 always has an ad; then the older
// a campaign is, the more ads it has.
func campaignOf(id, n int64, random uint64) int64 {
	if id <= n {
		return id
	}
	a := random >> 32 * uint64(n) >> 32
	b := random & (1<<32 - 1) * uint64(n) >> 32
	return int64(min(a, b)) + 1
}

// counts returns impressions, of any order of magnitude up to 10^7 and for one ad
// in 4096 more than an integer holds, and the clicks that up to 6 % of them led to.
func counts(random uint64) (impressions, clicks int64) {
	n := random >> 40 >> (random & 15)
	if random>>4&4095 == 0 {
		n <<= 12
	}
	rate := random >> 16 & 63 // of 1024
	return int64(n), int64(n * rate >> 10)
}

func (r *adRow) append(dst []byte, d *Dataset, f *dialect) []byte {
	if f.json {
		return r.appendJSON(dst, d, f)
	}
	dst = f.appendInt(dst, r.id)
	dst = f.appendInt(dst, r.company)
	dst = f.appendInt(dst, r.campaign)
	dst = r.appendName(dst, f)
	dst = append(dst, f.delimiter)
	dst = r.appendImageURL(dst)
	dst = append(dst, f.delimiter)
	dst = r.appendTargetURL(dst, f)
	dst = append(dst, f.delimiter)
	dst = f.appendInt(dst, r.impressions)
	dst = f.appendInt(dst, r.clicks)
	dst = d.calendar.appendTime(dst, r.created)
	dst = append(dst, f.delimiter)
	dst = d.calendar.appendTime(dst, r.updated)
	return append(dst, '\n')
}

func (r *adRow) appendName(dst []byte, f *dialect) []byte {
	return f.appendWords(dst, &f.adjectives[r.adjective], &f.products[r.product], &f.offers[r.offer])
}

func (r *adRow) appendImageURL(dst []byte) []byte {
	dst = append(dst, "https://images.example.com/"...)
	dst = appendHex(dst, r.image)
	return append(dst, ".jpg"...)
}

func (r *adRow) appendTargetURL(dst []byte, f *dialect) []byte {
	dst = append(dst, f.targets[r.product].text...)
	return appendInt(dst, uint64(r.id))
}

func (r *adRow) record(plain *dialect) schema.Ad {
	return schema.Ad{
		ID:               int32(r.id),
		CompanyID:        int32(r.company),
		CampaignID:       int32(r.campaign),
		Name:             string(r.appendName(nil, plain)),
		ImageURL:         string(r.appendImageURL(nil)),
		TargetURL:        string(r.appendTargetURL(nil, plain)),
		ImpressionsCount: r.impressions,
		ClicksCount:      r.clicks,
		CreatedAt:        timestamp(r.created),
		UpdatedAt:        timestamp(r.updated),
	}
}

// Ads returns the rows of ads, in the order of the file.
func (d *Dataset) Ads() iter.Seq[schema.Ad] {
	return func(yield func(schema.Ad) bool) {
		d.table(ads).each(func(c *cursor) bool {
			row := d.adRow(c)
			return yield(row.record(&d.plain))
		})
	}
}
