package generate_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shardload/generate"
	"shardload/schema"
)

// shapes are datasets of all proportions that are small enough to look at whole.
var shapes = []generate.Config{
	{},
	{Companies: 1},
	{Companies: 1, Campaigns: 1, Ads: 1},
	{Companies: 7, Campaigns: 7, Ads: 7, Seed: 3, Skew: 2},
	{Companies: 10, Campaigns: 10},
	{Companies: 10, Campaigns: 10, Ads: 4096, Skew: 0.8, Seed: 1},
	{Companies: 100, Campaigns: 2000, Ads: 12_000, Skew: 0.8, Seed: 1},
	{Companies: 100, Campaigns: 8191, Ads: 8192, Skew: 3, Seed: math.MaxUint64},
	{Companies: 1000, Campaigns: 5001, Ads: 5002, Skew: 1.2, Seed: 42},
	{Companies: 4097, Campaigns: 4097, Ads: 8193},
}

func eachShape(t *testing.T, test func(*testing.T, generate.Config)) {
	for _, cfg := range shapes {
		name := fmt.Sprintf("%d-%d-%d-skew%v", cfg.Companies, cfg.Campaigns, cfg.Ads, cfg.Skew)
		t.Run(name, func(t *testing.T) { test(t, cfg) })
	}
}

type key struct{ company, id int32 }

// tables has a dataset's rows by their keys.
type tables struct {
	companies map[int32]schema.Company
	campaigns map[key]schema.Campaign
	ads       map[key]schema.Ad

	campaignsOf, adsOf map[int32]int32 // by company
	withAd             map[key]bool    // campaigns, there or not, that ads belong to
}

func collect(d *generate.Dataset) tables {
	all := tables{map[int32]schema.Company{}, map[key]schema.Campaign{}, map[key]schema.Ad{}, map[int32]int32{}, map[int32]int32{}, map[key]bool{}}
	for c := range d.Companies() {
		all.companies[c.ID] = c
	}
	for c := range d.Campaigns() {
		all.campaigns[key{c.CompanyID, c.ID}] = c
		all.campaignsOf[c.CompanyID]++
	}
	for a := range d.Ads() {
		all.ads[key{a.CompanyID, a.ID}] = a
		all.adsOf[a.CompanyID]++
		all.withAd[key{a.CompanyID, a.CampaignID}] = true
	}
	return all
}

// Totals are exact, keys are unique and count from 1 within each company, and
// every foreign key exists.
func TestIntegrity(t *testing.T) {
	eachShape(t, func(t *testing.T, cfg generate.Config) {
		all := collect(dataset(t, cfg))
		got := []int{len(all.companies), len(all.campaigns), len(all.ads)}
		if diff := cmp.Diff([]int{int(cfg.Companies), int(cfg.Campaigns), int(cfg.Ads)}, got); diff != "" {
			t.Errorf("rows with a key of their own (-want +got):\n%s", diff)
		}
		for id := range all.companies {
			if id < 1 || int64(id) > cfg.Companies {
				t.Errorf("company %d of %d", id, cfg.Companies)
			}
		}
		for k := range all.campaigns {
			if _, ok := all.companies[k.company]; !ok || k.id < 1 || k.id > all.campaignsOf[k.company] {
				t.Fatalf("campaign %+v: no such company, or more than its %d campaigns", k, all.campaignsOf[k.company])
			}
		}
		for k := range all.ads {
			if k.id < 1 || k.id > all.adsOf[k.company] {
				t.Fatalf("ad %+v: its company has %d", k, all.adsOf[k.company])
			}
		}
		for k := range all.withAd {
			if _, ok := all.campaigns[k]; !ok {
				t.Fatalf("ads belong to campaign %+v, which is not there", k)
			}
		}
	})
}

// Every company has what the tutorial asks of company 5, and company 1 has the
// most of everything.
func TestEveryCompanyServesTheTutorial(t *testing.T) {
	eachShape(t, func(t *testing.T, cfg generate.Config) {
		all := collect(dataset(t, cfg))
		for id := range all.companies {
			first, ok := all.campaigns[key{id, 1}]
			if ok != (cfg.Campaigns > 0) || ok && (first.State != "running" || first.MonthlyBudget == nil || *first.MonthlyBudget <= 0) {
				t.Fatalf("campaign 1 of company %d: %+v, want it running, with a budget", id, first)
			}
			if cfg.Ads > 0 && !all.withAd[key{id, 1}] {
				t.Fatalf("campaign 1 of company %d has no ad", id)
			}
			if all.campaignsOf[id] > all.campaignsOf[1] || all.adsOf[id] > all.adsOf[1] {
				t.Fatalf("company %d has %d campaigns and %d ads, company 1 %d and %d",
					id, all.campaignsOf[id], all.adsOf[id], all.campaignsOf[1], all.adsOf[1])
			}
		}
	})
}

// varied is a dataset large enough for every kind of value.
var varied = generate.Config{Companies: 100, Campaigns: 5000, Ads: 30_000, Skew: 0.8, Seed: 1}

// The values of one row fit together, and those of an ad with its campaign's.
func TestValuesFitTogether(t *testing.T) {
	all := collect(dataset(t, varied))
	for _, c := range all.companies {
		if c.UpdatedAt.Before(c.CreatedAt.Time) || c.Name == "" || c.ImageURL == "" {
			t.Fatalf("company %+v", c)
		}
	}
	for _, c := range all.campaigns {
		born := all.companies[c.CompanyID].CreatedAt
		if c.UpdatedAt.Before(c.CreatedAt.Time) || c.CreatedAt.Before(born.Time) || c.Name == "" {
			t.Fatalf("campaign %+v of a company from %v", c, born)
		}
	}
	for _, a := range all.ads {
		started := all.campaigns[key{a.CompanyID, a.CampaignID}].CreatedAt
		if a.UpdatedAt.Before(a.CreatedAt.Time) || a.CreatedAt.Before(started.Time) || a.Name == "" || a.ImageURL == "" || a.TargetURL == "" {
			t.Fatalf("ad %+v of a campaign from %v", a, started)
		}
		if a.ClicksCount < 0 || a.ClicksCount > a.ImpressionsCount {
			t.Fatalf("ad %+v: clicks without impressions", a)
		}
	}
}

// A loader meets all kinds of values.
func TestValuesAreVaried(t *testing.T) {
	all := collect(dataset(t, varied))
	seen := map[string]int{}
	note := func(what string, is bool) {
		if is {
			seen[what]++
		}
	}
	name := func(s string) {
		note("name with a comma", strings.Contains(s, ","))
		note("name with a quote", strings.Contains(s, `"`))
		note("name with an apostrophe", strings.Contains(s, "'"))
		note("name beyond ASCII", strings.ContainsFunc(s, func(r rune) bool { return r > 127 }))
	}
	for _, c := range all.companies {
		name(c.Name)
	}
	for _, c := range all.campaigns {
		name(c.Name)
		seen[c.State]++
		seen[c.CostModel]++
		note("no budget", c.MonthlyBudget == nil)
		note("a budget", c.MonthlyBudget != nil)
		note("no array", c.BlacklistedSiteURLs == nil)
		note("empty array", c.BlacklistedSiteURLs != nil && len(c.BlacklistedSiteURLs) == 0)
		note("array of one", len(c.BlacklistedSiteURLs) == 1)
		note("long array", len(c.BlacklistedSiteURLs) > 10)
	}
	for _, a := range all.ads {
		name(a.Name)
		note("count beyond integer", a.ImpressionsCount > math.MaxInt32)
		note("never updated", a.UpdatedAt == a.CreatedAt)
	}
	for _, what := range []string{
		"name with a comma", "name with a quote", "name with an apostrophe", "name beyond ASCII",
		"running", "paused", "archived", "draft", "cost_per_click", "cost_per_impression", "cost_per_view",
		"no budget", "a budget", "no array", "empty array", "array of one", "long array",
		"count beyond integer", "never updated",
	} {
		if seen[what] == 0 {
			t.Errorf("%s: none", what)
		}
	}
	if n := seen["running"]; n < len(all.campaigns)/2 {
		t.Errorf("%d of %d campaigns are running, want most", n, len(all.campaigns))
	}
}

// Neighbours in the file belong to many companies, and so do the rows of a block.
func TestRowsAreMixed(t *testing.T) {
	d := dataset(t, generate.Config{Companies: 1000, Campaigns: 10_000, Ads: 100_000, Skew: 0.8, Seed: 1})
	var last int32
	same, rows := 0, 0
	inBlock := map[int32]bool{}
	for a := range d.Ads() {
		if a.CompanyID == last {
			same++
		}
		last = a.CompanyID
		if rows++; rows <= 4096 {
			inBlock[a.CompanyID] = true
		}
	}
	if same > rows/20 {
		t.Errorf("%d of %d ads are of the company of the one before", same, rows)
	}
	if len(inBlock) < 64 {
		t.Errorf("the first 4096 ads are of %d companies", len(inBlock))
	}
}

// whole returns a table's rows as one piece.
func whole(t *generate.Table) []byte {
	var b []byte
	for i := range t.Len() {
		b = t.AppendBlock(b, i)
	}
	return b
}

// The parts of a table, in order, are the table, however many there are, and each
// says how many rows it has.
func TestPartsAreTheWhole(t *testing.T) {
	eachShape(t, func(t *testing.T, cfg generate.Config) {
		for _, s := range schema.Tables() {
			table := table(t, dataset(t, cfg), s.Name)
			want := whole(table)
			for _, n := range []int{1, 2, 3, 100} {
				var got []byte
				rows, shortest, longest := int64(0), table.Len(), int64(0)
				for i := 1; i <= n; i++ {
					part := table.Part(i, n)
					piece := whole(part)
					if lines := int64(bytes.Count(piece, []byte("\n"))); lines != part.Rows() {
						t.Errorf("%s %d/%d: %d rows, said to be %d", s.Name, i, n, lines, part.Rows())
					}
					got, rows = append(got, piece...), rows+part.Rows()
					shortest, longest = min(shortest, part.Len()), max(longest, part.Len())
				}
				if !bytes.Equal(got, want) || rows != table.Rows() || longest-shortest > 1 {
					t.Errorf("%s in %d parts of %d to %d blocks: %d bytes and %d rows, want %d and %d, all the same",
						s.Name, n, shortest, longest, len(got), rows, len(want), table.Rows())
				}
			}
		}
	})
}

func TestPartOfPart(t *testing.T) {
	table := table(t, dataset(t, large), "ads")
	part := table.Part(3, 7).Part(2, 5)
	before := table.Part(1, 7).Len() + table.Part(2, 7).Len() + table.Part(3, 7).Part(1, 5).Len()
	if got, want := part.AppendBlock(nil, 1), table.AppendBlock(nil, before+1); !bytes.Equal(got, want) {
		t.Error("a part's block is not the table's")
	}
}

func TestNoSuchBlockOrPart(t *testing.T) {
	table := table(t, dataset(t, shapes[6]), "ads")
	for _, i := range []int64{-1, table.Len(), math.MaxInt64} {
		if got := table.AppendBlock([]byte("x"), i); string(got) != "x" || table.BlockRows(i) != 0 {
			t.Errorf("block %d: %d bytes and %d rows, want none", i, len(got)-1, table.BlockRows(i))
		}
	}
	for _, part := range [][2]int{{0, 2}, {3, 2}, {-1, 2}, {1, 0}, {1, -1}} {
		if p := table.Part(part[0], part[1]); p.Len() != 0 || p.Rows() != 0 || len(p.AppendBlock(nil, 0)) != 0 {
			t.Errorf("part %v has %d blocks and %d rows, want none", part, p.Len(), p.Rows())
		}
	}
}

func TestTableNames(t *testing.T) {
	d := dataset(t, shapes[6])
	for _, s := range schema.Tables() {
		table := table(t, d, s.Name)
		if diff := cmp.Diff(s.ColumnNames(), table.Header()); diff != "" || table.Name() != s.Name {
			t.Errorf("table %s is named %s, columns (-want +got):\n%s", s.Name, table.Name(), diff)
		}
	}
	if _, err := d.Table("users"); err == nil || !strings.Contains(err.Error(), "companies, campaigns and ads") {
		t.Errorf("table users: %v, want an error that names the tables", err)
	}
}

// The largest dataset that integer ids allow costs no memory and no allocations.
func TestLargestDataset(t *testing.T) {
	d := dataset(t, generate.Config{Companies: math.MaxInt32, Campaigns: math.MaxInt32 * 1000, Ads: math.MaxInt32 * math.MaxInt32})
	for _, s := range schema.Tables() {
		table := table(t, d, s.Name)
		last := table.Len() - 1
		buf := table.AppendBlock(nil, last/2)
		if rows := int64(bytes.Count(buf, []byte("\n"))); rows != 4096 {
			t.Errorf("%s: a block of %d rows", s.Name, rows)
		}
		buf = append(buf, buf...) // room for any block
		if allocs := testing.AllocsPerRun(5, func() { buf = table.AppendBlock(buf[:0], last-1) }); allocs != 0 {
			t.Errorf("%s: %v allocations for a block", s.Name, allocs)
		}
	}
}

func TestSeedChangesValuesNotSizes(t *testing.T) {
	cfg := generate.Config{Companies: 50, Campaigns: 500, Ads: 5000, Skew: 0.8, Seed: 1}
	keys := func(d *generate.Dataset) (keys []key, names []string) {
		for c := range d.Campaigns() {
			keys, names = append(keys, key{c.CompanyID, c.ID}), append(names, c.Name)
		}
		return keys, names
	}
	k1, n1 := keys(dataset(t, cfg))
	cfg.Seed = 2
	k2, n2 := keys(dataset(t, cfg))
	if !slices.Equal(k1, k2) {
		t.Error("another seed made other keys, or another order")
	}
	same := 0
	for i := range n1 {
		if n1[i] == n2[i] {
			same++
		}
	}
	if same > len(n1)/10 {
		t.Errorf("%d of %d names are the same with another seed", same, len(n1))
	}
}

func TestSequencesStop(t *testing.T) {
	d := dataset(t, large)
	n := 0
	for range d.Ads() {
		if n++; n == 5000 {
			break
		}
	}
	for range d.Campaigns() {
		break
	}
	for range d.Companies() {
		break
	}
}
