package cli

import (
	"errors"
	"math"
	"strings"

	"github.com/spf13/cobra"
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
	bytes int64
	cfg   generate.Config
}

func addSizeFlags(flags *pflag.FlagSet) *sizeFlags {
	s := &sizeFlags{flags: flags}
	flags.Int64Var(&s.cfg.Ads, "ads", defaultAds, "rows of ads")
	flags.Int64Var(&s.cfg.Campaigns, "campaigns", 0, "rows of campaigns (default: one for 50 ads)")
	flags.Int64Var(&s.cfg.Companies, "companies", 0, "rows of companies (default: one for 1000 ads)")
	flags.Var(sizeValue{&s.bytes, 1}, "size", "bytes of CSV in all tables, such as 10GiB, in place of --ads")
	flags.Lookup("size").DefValue = ""
	flags.Uint64Var(&s.cfg.Seed, "seed", 1, "seed of every random choice")
	flags.Float64Var(&s.cfg.Skew, "skew", defaultSkew, "how uneven the companies are: the one of rank r weighs 1/r^skew; 0 is even")
	return s
}

// sizeFlagNames are the flags that addSizeFlags and addDirtyFlag add.
var sizeFlagNames = []string{"ads", "campaigns", "companies", "size", "seed", "skew", "dirty"}

// addDirtyFlag adds the flag of those who can do with damaged records.
func (s *sizeFlags) addDirtyFlag() {
	s.flags.Float64Var(&s.cfg.Dirty, "dirty", 0, "share of damaged records, 0 to 1, to test a loader with")
}

// addProcsFlag adds the flag of those who write files: what is loaded is made where
// it is decoded.
func (s *sizeFlags) addProcsFlag() {
	s.flags.IntVar(&s.cfg.Procs, "procs", 0, "goroutines that make rows (default: one per CPU)")
}

// dataset makes the dataset that the flags ask for. What is wrong with them is a
// mistake in usage.
func (s *sizeFlags) dataset(cmd *cobra.Command) (*generate.Dataset, error) {
	cfg, err := s.config()
	if err != nil {
		return nil, usagef(cmd, "%s", oneLine(err))
	}
	data, err := generate.New(cfg)
	if err != nil {
		return nil, usagef(cmd, "%s", oneLine(err))
	}
	return data, nil
}

// config returns the dataset's Config. Sizes that were not given follow from
// those that were.
func (s *sizeFlags) config() (generate.Config, error) {
	cfg := s.cfg
	if !s.flags.Changed("size") {
		if !s.flags.Changed("ads") {
			cfg.Ads = max(cfg.Ads, cfg.Campaigns, cfg.Companies)
		}
		return s.proportions(cfg.Ads), nil
	}
	if s.flags.Changed("ads") {
		return cfg, errors.New("--size and --ads both say how large the dataset is: give one of them")
	}
	return generate.Sized(s.bytes, func(ads int64) generate.Config {
		return s.proportions(max(ads, cfg.Campaigns, cfg.Companies))
	})
}

// proportions returns the Config for a number of ads.
func (s *sizeFlags) proportions(ads int64) generate.Config {
	given := s.flags.Changed
	cfg := s.cfg
	cfg.Ads = ads
	if !given("companies") {
		cfg.Companies = min(max(cfg.Ads/adsPerCompany, fewCompanies), max(cfg.Ads, 0), math.MaxInt32)
		if given("campaigns") {
			cfg.Companies = min(cfg.Companies, cfg.Campaigns)
		}
	}
	if !given("campaigns") && cfg.Ads > 0 {
		cfg.Campaigns = max(cfg.Ads/adsPerCampaign, cfg.Companies, 1)
	}
	return cfg
}

// oneLine returns the text of an error that may be several.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
