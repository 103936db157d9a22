package generate

import (
	"bytes"
	"slices"
	"strings"
)

func jsonDialect() dialect {
	d := newDialect(',', "null", true, jsonWord)
	d.json = true
	return d
}

func jsonWord(s string) word {
	return word{text: strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)}
}

func (r companyRow) appendJSON(dst []byte, d *Dataset, f *dialect) []byte {
	dst = appendInt(append(dst, `{"id":`...), uint64(r.id))
	dst = r.appendName(append(dst, `,"name":"`...), f)
	dst = append(r.appendImageURL(append(dst, `","image_url":"`...)), '"')
	return d.appendTimes(dst, r.created, r.updated)
}

// appendTimes appends the last two fields of any row, and ends the record.
func (d *Dataset) appendTimes(dst []byte, created, updated int64) []byte {
	dst = d.calendar.appendTime(append(dst, `,"created_at":"`...), created)
	dst = d.calendar.appendTime(append(dst, `","updated_at":"`...), updated)
	return append(dst, '"', '}', '\n')
}

func (r campaignRow) appendJSON(dst []byte, d *Dataset, f *dialect) []byte {
	dst = appendInt(append(dst, `{"id":`...), uint64(r.id))
	dst = appendInt(append(dst, `,"company_id":`...), uint64(r.company))
	dst = r.appendName(append(dst, `,"name":"`...), f)
	dst = append(append(dst, `","cost_model":"`...), f.costs[r.cost].text...)
	dst = append(append(dst, `","state":"`...), f.states[r.state].text...)
	dst = append(dst, `","monthly_budget":`...)
	if r.budget == 0 {
		dst = append(dst, f.null...)
	} else {
		dst = appendInt(dst, uint64(r.budget))
	}
	dst = r.sites.appendJSON(append(dst, `,"blacklisted_site_urls":`...), f)
	return d.appendTimes(dst, r.created, r.updated)
}

func (l siteList) appendJSON(dst []byte, f *dialect) []byte {
	if l.null {
		return append(dst, f.null...)
	}
	dst = append(dst, '[')
	for i := range l.n {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, sites[l.at(i)]...) // they have no quotes and no backslashes
		dst = append(dst, '"')
	}
	return append(dst, ']')
}

func (r *adRow) appendJSON(dst []byte, d *Dataset, f *dialect) []byte {
	dst = appendInt(append(dst, `{"id":`...), uint64(r.id))
	dst = appendInt(append(dst, `,"company_id":`...), uint64(r.company))
	dst = appendInt(append(dst, `,"campaign_id":`...), uint64(r.campaign))
	dst = r.appendName(append(dst, `,"name":"`...), f)
	dst = r.appendImageURL(append(dst, `","image_url":"`...))
	dst = r.appendTargetURL(append(dst, `","target_url":"`...), f)
	dst = appendInt(append(dst, `","impressions_count":`...), uint64(r.impressions))
	dst = appendInt(append(dst, `,"clicks_count":`...), uint64(r.clicks))
	return d.appendTimes(dst, r.created, r.updated)
}

// jsonField returns where the value of that name is in a record, quotes included.
func jsonField(record []byte, name string) (from, to int) {
	from = bytes.Index(record, []byte(`"`+name+`":`)) + len(name) + 3 // no value has such quotes
	switch record[from] {
	case '"':
		for to = from + 1; record[to] != '"'; to++ {
			if record[to] == '\\' {
				to++
			}
		}
		return from, to + 1
	case '[':
		return from, from + bytes.IndexByte(record[from:], ']') + 1
	}
	return from, from + bytes.IndexAny(record[from:], ",}")
}

// damageJSON is damage for a record whose field of that name stands between from and to.
func damageJSON(dst []byte, from, to int, name string, one *flaw, text string) []byte {
	switch one.damage {
	case MissingField: // the record is cut off before it
		return append(dst[:from-len(name)-len(`,"":`)], '\n')
	case BadEncoding:
		return slices.Insert(dst, from+1, []byte(text)...)
	}
	if strings.Trim(text, "-0123456789") != "" { // no number
		text = `"` + text + `"`
	}
	return slices.Replace(dst, from, to, []byte(text)...)
}
