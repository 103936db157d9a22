package schema_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gocarina/gocsv"
	"github.com/google/go-cmp/cmp"

	"shardload/schema"
)

func at(year int, month time.Month, day, hour, minute, second, micros int) schema.Timestamp {
	return schema.Timestamp{Time: time.Date(year, month, day, hour, minute, second, micros*1000, time.UTC)}
}

// The tags are the columns, in the table's order, so that gocsv writes files
// that COPY takes without a column list.
func TestTagsAreColumns(t *testing.T) {
	for name, record := range map[string]any{
		"companies": schema.Company{},
		"campaigns": schema.Campaign{},
		"ads":       schema.Ad{},
	} {
		var tags []string
		for _, f := range reflect.VisibleFields(reflect.TypeOf(record)) {
			if tag, ok := f.Tag.Lookup("csv"); ok {
				column, _, _ := strings.Cut(tag, ",")
				tags = append(tags, column)
			}
		}
		if diff := cmp.Diff(schema.Lookup(name).ColumnNames(), tags); diff != "" {
			t.Errorf("%s: columns (-want +got tags):\n%s", name, diff)
		}
	}
}

// roundTrip checks that gocsv writes records as text and reads text as records.
func roundTrip[T any](t *testing.T, records []T, text string) {
	t.Helper()
	got, err := gocsv.MarshalString(records)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text, got); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	var back []T
	if err := gocsv.UnmarshalString(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(records, back); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

func TestCompanyRoundTrip(t *testing.T) {
	roundTrip(t, []schema.Company{
		{ID: 1, Name: `O'Brien, "Sons" & Co.`, ImageURL: "https://example.com/a.png", CreatedAt: at(2015, 1, 2, 3, 4, 5, 0), UpdatedAt: at(2015, 1, 2, 3, 4, 5, 120000)},
		{ID: 2147483647, Name: "Café\nLumière", ImageURL: "x", CreatedAt: at(1, 1, 1, 0, 0, 0, 0), UpdatedAt: at(9999, 12, 31, 23, 59, 59, 999999)},
	}, `id,name,image_url,created_at,updated_at
1,"O'Brien, ""Sons"" & Co.",https://example.com/a.png,2015-01-02 03:04:05,2015-01-02 03:04:05.12
2147483647,"Café
Lumière",x,0001-01-01 00:00:00,9999-12-31 23:59:59.999999
`)
}

func TestCampaignRoundTrip(t *testing.T) {
	zero, budget := int32(0), int32(1234)
	now := at(2020, 2, 29, 0, 0, 0, 0)
	roundTrip(t, []schema.Campaign{
		{ID: 1, CompanyID: 5, Name: "a", CostModel: "cost_per_click", State: "running", MonthlyBudget: &budget, BlacklistedSiteURLs: schema.TextArray{"http://a.example", "http://b.example/x,y"}, CreatedAt: now, UpdatedAt: now},
		{ID: 2, CompanyID: 5, Name: "b", MonthlyBudget: &zero, BlacklistedSiteURLs: schema.TextArray{}, CreatedAt: now, UpdatedAt: now},
		{ID: 3, CompanyID: 5, Name: "c", BlacklistedSiteURLs: schema.TextArray{`say "no"`, `back\slash`, "", "NULL", "null and void"}, CreatedAt: now, UpdatedAt: now},
		{ID: 4, CompanyID: 5, Name: "d", CreatedAt: now, UpdatedAt: now},
	}, `id,company_id,name,cost_model,state,monthly_budget,blacklisted_site_urls,created_at,updated_at
1,5,a,cost_per_click,running,1234,"{http://a.example,""http://b.example/x,y""}",2020-02-29 00:00:00,2020-02-29 00:00:00
2,5,b,,,0,{},2020-02-29 00:00:00,2020-02-29 00:00:00
3,5,c,,,,"{""say \""no\"""",""back\\slash"","""",""NULL"",""null and void""}",2020-02-29 00:00:00,2020-02-29 00:00:00
4,5,d,,,,,2020-02-29 00:00:00,2020-02-29 00:00:00
`)
}

func TestAdRoundTrip(t *testing.T) {
	now := at(2020, 2, 29, 12, 0, 0, 0)
	roundTrip(t, []schema.Ad{
		{ID: 1, CompanyID: 5, CampaignID: 1, Name: "n", ImageURL: "i", TargetURL: "t?a=1&b=2", ImpressionsCount: 9223372036854775807, ClicksCount: 3, CreatedAt: now, UpdatedAt: now},
	}, `id,company_id,campaign_id,name,image_url,target_url,impressions_count,clicks_count,created_at,updated_at
1,5,1,n,i,t?a=1&b=2,9223372036854775807,3,2020-02-29 12:00:00,2020-02-29 12:00:00
`)
}

func TestTextArrayErrors(t *testing.T) {
	for _, s := range []string{
		"a", "{", "}", "{a", "a}", "{a,}", "{,a}", "{,}", "{{a},{b}}", `{"a}`, `{"a"b}`, `{"a",}`, "{NULL}",
		"{a,null}", `{a"b}`, `{a\b}`, "{a b}", "{ a}", "[0:1]={a,b}",
	} {
		var a schema.TextArray
		if err := a.UnmarshalCSV(s); err == nil {
			t.Errorf("UnmarshalCSV(%q) = %q, want an error", s, a)
		}
	}
}

func TestTimestampErrors(t *testing.T) {
	for _, s := range []string{
		"", "2020-01-01", "2020-01-01T00:00:00", "2020-13-01 00:00:00", "2021-02-29 00:00:00", "2020-01-01 24:00:00",
		"2020-01-01 00:00:00+01", "0000-01-01 00:00:00", "9999-12-31 23:59:59.9999999", "infinity",
	} {
		var ts schema.Timestamp
		if err := ts.UnmarshalCSV(s); err == nil {
			t.Errorf("UnmarshalCSV(%q) = %v, want an error", s, ts)
		}
	}
}

// What can be read is read again as the same from what is then written.
func FuzzTextArrayUnmarshal(f *testing.F) {
	for _, s := range []string{"", "{}", "{a,b}", `{"a,b","\"",""}`, `{"\\"}`, "{NULL}", `{"NULL"}`, "{é}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var first, second schema.TextArray
		if first.UnmarshalCSV(s) != nil {
			return
		}
		text, err := first.MarshalCSV()
		if err != nil {
			t.Fatal(err)
		}
		if err := second.UnmarshalCSV(text); err != nil {
			t.Fatalf("%q was written as %q: %v", s, text, err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatalf("%q was written as %q (-first +second):\n%s", s, text, diff)
		}
	})
}

// Every array that can be held survives being written and read.
func FuzzTextArrayMarshal(f *testing.F) {
	f.Add("a|b", "|")
	f.Add(`","|\"|{}`, "|")
	f.Add(" null |NULL|", "|")
	f.Fuzz(func(t *testing.T, joined, separator string) {
		want := schema.TextArray(strings.Split(joined, separator))
		text, err := want.MarshalCSV()
		if err != nil {
			t.Fatal(err)
		}
		var got schema.TextArray
		if err := got.UnmarshalCSV(text); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if !cmp.Equal([]string(want), []string(got)) && len(want)+len(got) > 0 {
			t.Fatalf("%q was written as %q and read as %q", want, text, got)
		}
	})
}

func FuzzTimestamp(f *testing.F) {
	for _, s := range []string{"2015-01-02 03:04:05", "2015-01-02 03:04:05.5", "2015-01-02 03:04:05.123456789", "9999-12-31 23:59:59.9999995", "2016-02-29 00:00:00,25"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var first, second schema.Timestamp
		if first.UnmarshalCSV(s) != nil {
			return
		}
		text, err := first.MarshalCSV()
		if err != nil {
			t.Fatal(err)
		}
		if err := second.UnmarshalCSV(text); err != nil {
			t.Fatalf("%q was written as %q: %v", s, text, err)
		}
		if !first.Equal(second.Time) {
			t.Fatalf("%q is %v, was written as %q and read as %v", s, first, text, second)
		}
	})
}
