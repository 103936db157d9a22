package cli

import (
	"github.com/spf13/pflag"

	"shardload/generate"
)

// Defaults of the dataset's sizes. The tutorial's companies have ten campaigns
// each, and 75 ads; these have more ads, as real ones do.
const (
	defaultAds     = 1_000_000
	adsPerCampaign = 50
	adsPerCompany  = 1000
	fewCompanies   = 10 // so that the tutorial's statements, on companies 5 and 7, meet rows
	defaultSkew    = 0.8
)

// sizeFlags are the flags that say which dataset to make.
type sizeFlags struct {
	flags *pflag.FlagSet
	cfg   generate.Config
}

func addSizeFlags(flags *pflag.FlagSet) *sizeFlags {
	s := &sizeFlags{flags: flags}
	flags.Int64Var(&s.cfg.Ads, "ads", defaultAds, "rows of ads")
	flags.Int64Var(&s.cfg.Campaigns, "campaigns", 0, "rows of campaigns (default: one for 50 ads)")
	flags.Int64Var(&s.cfg.Companies, "companies", 0, "rows of companies (default: one for 1000 ads)")
	flags.Uint64Var(&s.cfg.Seed, "seed", 1, "seed of every random choice")
	flags.Float64Var(&s.cfg.Skew, "skew", defaultSkew, "how uneven the companies are: the one of rank r weighs 1/r^skew; 0 is even")
	flags.IntVar(&s.cfg.Procs, "procs", 0, "goroutines that make rows (default: one per CPU)")
	return s
}

// config returns the dataset's Config. Sizes that were not given follow from
// those that were.
func (s *sizeFlags) config() generate.Config {
	given := s.flags.Changed
	cfg := s.cfg
	if !given("ads") {
		cfg.Ads = max(cfg.Ads, cfg.Campaigns, cfg.Companies)
	}
	if !given("companies") {
		cfg.Companies = min(max(cfg.Ads/adsPerCompany, fewCompanies), max(cfg.Ads, 0))
		if given("campaigns") {
			cfg.Companies = min(cfg.Companies, cfg.Campaigns)
		}
	}
	if !given("campaigns") {
		cfg.Campaigns = min(max(cfg.Ads/adsPerCampaign, cfg.Companies), max(cfg.Ads, 0))
	}
	return cfg
}
