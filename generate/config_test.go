package generate_test

import (
	"math"
	"strings"
	"testing"

	"shardload/generate"
)

func TestConfigErrors(t *testing.T) {
	for _, test := range []struct {
		name string
		cfg  generate.Config
		want []string // a part of each line
	}{
		{"negative", generate.Config{Companies: -1, Campaigns: -1, Ads: -1, Procs: -1}, []string{"companies: -1", "campaigns: -1", "ads: -1", "procs: -1"}},
		{"too many companies", generate.Config{Companies: 1 << 31}, []string{"companies: 2147483648: want 0 to 2147483647"}},
		{"fewer campaigns than companies", generate.Config{Companies: 10, Campaigns: 9, Ads: 100}, []string{"campaigns: 9: want 0, or at least one for each of the 10 companies"}},
		{"fewer ads than campaigns", generate.Config{Companies: 10, Campaigns: 20, Ads: 19}, []string{"ads: 19: want 0, or at least one for each of the 20 campaigns"}},
		{"campaigns of nobody", generate.Config{Campaigns: 5}, []string{"campaigns: 5: they need companies"}},
		{"ads of nobody", generate.Config{Companies: 5, Ads: 5}, []string{"ads: 5: they need campaigns"}},
		{"negative skew", generate.Config{Companies: 1, Skew: -0.1}, []string{"skew: -0.1: want 0 (even) to 3"}},
		{"no skew", generate.Config{Companies: 1, Skew: math.NaN()}, []string{"skew: NaN"}},
		{"infinite skew", generate.Config{Companies: 1, Skew: math.Inf(1)}, []string{"skew: +Inf"}},
		{"large skew", generate.Config{Companies: 1, Skew: 3.01}, []string{"skew: 3.01"}},
		{"all at once", generate.Config{Companies: 1 << 40, Campaigns: 3, Ads: 2, Skew: 9}, []string{"companies: ", "campaigns: ", "ads: ", "skew: "}},
		{"a company beyond its ids", generate.Config{Companies: 1, Campaigns: 1, Ads: 1 << 31}, []string{
			"ads: company 1 of 1 would have 2147483648 of them, but their ids end at 2147483647: ask for more companies or fewer ads",
		}},
		{"two tables beyond their ids", generate.Config{Companies: 10, Campaigns: 1 << 34, Ads: 1 << 35, Skew: 1}, []string{
			"campaigns: company 1 of 10", "ads: company 1 of 10 would have 11731004020 of them, but their ids end at 2147483647: ask for more companies, fewer ads or a smaller skew",
		}},
		{"the most of everything", generate.Config{Companies: math.MaxInt32, Campaigns: math.MaxInt64, Ads: math.MaxInt64, Skew: 3}, []string{"campaigns: company 1", "ads: company 1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := generate.New(test.cfg)
			if err == nil {
				t.Fatal("no error")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(test.want) {
				t.Fatalf("%d errors, want %d:\n%v", len(lines), len(test.want), err)
			}
			for i, want := range test.want {
				if !strings.Contains(lines[i], want) {
					t.Errorf("error %q, want %q in it", lines[i], want)
				}
			}
		})
	}
}

// The last size that ids allow is taken.
func TestLargestCompany(t *testing.T) {
	for _, cfg := range []generate.Config{
		{Companies: 1, Campaigns: 1, Ads: math.MaxInt32},
		{Companies: 1, Campaigns: math.MaxInt32, Ads: math.MaxInt32, Skew: 3},
		{Companies: math.MaxInt32, Campaigns: math.MaxInt32, Ads: math.MaxInt32 * math.MaxInt32},
	} {
		if _, err := generate.New(cfg); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
