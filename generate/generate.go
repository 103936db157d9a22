// Package generate makes the built-in dataset: companies, campaigns and ads of
// any size, the same for the same Config on any machine.
//
// Every block of every table is a pure function of the seed, the sizes, the skew
// and the block's number. Blocks may be made in any order, by any number of
// goroutines, processes or machines, and put together they are the whole table.
// Foreign keys are computed, never looked up, and memory does not grow with the
// dataset: a Dataset is a few hundred numbers and a calendar.
//
// Ids of campaigns and ads count from 1 within each company. Company 1 is the
// largest, and a company of rank r weighs r^-skew. Campaign 1 of every company is
// running and has a budget, and has an ad if there are ads. Rows are in no order
// of company or time: neighbours belong to many companies.
//
// What a Config stands for, damage included, changes only together with
// Manifest.Law. Within one law the bytes are fixed; the tests hold them to golden
// files. How they are compressed, and how large a dataset Sized chooses, may change
// between versions.
package generate

import (
	"errors"
	"fmt"
	"math"
	"runtime"
)

const (
	maxID = math.MaxInt32 // the tables' ids are integers

	// MaxSkew is the largest Skew that New takes. Beyond it the first company has
	// five rows of six, and the law nothing left to say.
	MaxSkew = 3
)

// Config says which dataset to make. All fields but Procs decide what is in it.
type Config struct {
	// Companies, Campaigns and Ads are the numbers of rows, met exactly. A company
	// has at least one campaign, and at least one ad, so each is at least as large
	// as the one before, or 0.
	Companies, Campaigns, Ads int64

	// Seed is the seed of every random choice. The sizes of the companies and the
	// order of the rows do not depend on it.
	Seed uint64

	// Skew is how uneven the companies are: the one of rank r weighs r^-Skew. 0
	// means even; at most MaxSkew.
	Skew float64

	// Dirty is which share of the records is damaged, so that a loader has something
	// to refuse: 0 to 1. See Damage.
	Dirty float64

	// Procs is the number of goroutines that Write makes blocks with. Zero means
	// one per CPU.
	Procs int
}

func (c Config) validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Companies < 0 || c.Companies > maxID {
		fail("companies: %d: want 0 to %d, as an integer id allows", c.Companies, maxID)
	}
	if c.Campaigns != 0 && c.Campaigns < max(c.Companies, 1) {
		fail("campaigns: %d: want 0, or at least one for each of the %d companies", c.Campaigns, c.Companies)
	}
	if c.Campaigns > 0 && c.Companies == 0 {
		fail("campaigns: %d: they need companies", c.Campaigns)
	}
	if c.Ads != 0 && c.Ads < max(c.Campaigns, 1) {
		fail("ads: %d: want 0, or at least one for each of the %d campaigns", c.Ads, c.Campaigns)
	}
	if c.Ads > 0 && c.Campaigns == 0 {
		fail("ads: %d: they need campaigns", c.Ads)
	}
	if !(c.Skew >= 0 && c.Skew <= MaxSkew) { // NaN too
		fail("skew: %v: want 0 (even) to %d", c.Skew, MaxSkew)
	}
	if !(c.Dirty >= 0 && c.Dirty <= 1) {
		fail("dirty: %v: want a share of the records, 0 to 1", c.Dirty)
	}
	if c.Procs < 0 {
		fail("procs: %d: want 0 (one per CPU) or more", c.Procs)
	}
	return errors.Join(errs...)
}

// String says which dataset it is: two Configs of one String make the same rows.
func (c Config) String() string {
	text := fmt.Sprintf("%d companies, %d campaigns, %d ads, seed %d, skew %g", c.Companies, c.Campaigns, c.Ads, c.Seed, c.Skew)
	if c.Dirty > 0 {
		text += fmt.Sprintf(", dirty %g", c.Dirty)
	}
	return text
}

// A Dataset is a set of the three tables, made when asked for. It may be used by
// several goroutines at once.
type Dataset struct {
	cfg      Config
	buckets  []int64    // of the companies' ranks
	sizes    [kinds]law // how many rows of each table a company has
	seeds    seeds
	calendar calendar
	dialects [formats]dialect
	plain    dialect
	flaws    flaws
}

// New returns the dataset that cfg describes, or everything that is wrong with
// cfg.
func New(cfg Config) (*Dataset, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Procs == 0 {
		cfg.Procs = runtime.GOMAXPROCS(0)
	}
	d := &Dataset{
		cfg:      cfg,
		buckets:  buckets(cfg.Companies),
		calendar: newCalendar(),
		dialects: [formats]dialect{CSV: csvDialect(), Text: textDialect(), JSON: jsonDialect(), Parquet: textDialect()},
		plain:    plainDialect(),
		flaws:    flaws{share: uint64(cfg.Dirty * (1 << 32)), companies: cfg.Companies},
	}
	weights := weigh(d.buckets, cfg.Skew)
	var errs []error
	for k, rows := range d.counts() {
		d.sizes[k] = newLaw(d.buckets, weights, rows)
		d.flaws.lists[k] = newFlaws(kind(k))
		d.seeds[k] = mix(cfg.Seed + uint64(k+1)*golden)
		if largest := d.sizes[k].largest(); largest > maxID {
			errs = append(errs, tooLarge(kind(k), largest, cfg))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	d.flaws.seeds = d.seeds
	return d, nil
}

// tooLarge says that company 1 has more rows of a table than there are ids, and
// what to change.
func tooLarge(k kind, largest int64, cfg Config) error {
	advice := fmt.Sprintf("ask for more companies or fewer %s", k)
	if cfg.Skew > 0 {
		advice = fmt.Sprintf("ask for more companies, fewer %s or a smaller skew", k)
	}
	return fmt.Errorf("%s: company 1 of %d would have %d of them, but their ids end at %d: %s",
		k, cfg.Companies, largest, maxID, advice)
}

// Config returns what the dataset is made from.
func (d *Dataset) Config() Config { return d.cfg }

func (d *Dataset) counts() [kinds]int64 {
	return [kinds]int64{companies: d.cfg.Companies, campaigns: d.cfg.Campaigns, ads: d.cfg.Ads}
}
