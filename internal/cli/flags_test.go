package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"shardload/generate"
)

func TestSizeValue(t *testing.T) {
	for in, want := range map[string]int64{
		"1": 1, "4MB": 4_000_000, "4MiB": 4 << 20, "1.5GiB": 3 << 29, "256 MiB": 256 << 20, "8k": 8000,
		"0": -1, "-4MB": -1, "": -1, "MB": -1, "4 apples": -1, "20EB": -1, "1e3": -1,
	} {
		got := int64(-1)
		if err := (sizeValue{&got, 1}).Set(in); (err != nil) != (want < 0) {
			t.Errorf("%q: error %v", in, err)
		}
		if got != want {
			t.Errorf("%q: got %d, want %d", in, got, want)
		}
	}
	n := int64(256 << 20)
	if got := (sizeValue{&n, 1}).String(); got != "256MiB" {
		t.Errorf("the default is shown as %q", got)
	}
}

func TestCharValue(t *testing.T) {
	for in, want := range map[string]byte{
		";": ';', "tab": '\t', `\t`: '\t', "\t": '\t', " ": ' ', `"`: '"', `\x1f`: 0x1f,
		"": 0, ",,": 0, "ß": 0, "\n": 0, "\x00": 0, `\x0a`: 0, `\x00`: 0, `\xff`: 0, `\x1`: 0, "none": 0,
	} {
		var got byte
		if err := (charValue{char: &got}).Set(in); (err != nil) != (want == 0) {
			t.Errorf("%q: error %v", in, err)
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// Sizes that are not given follow from those that are, and always make a dataset.
func TestSizes(t *testing.T) {
	for _, tt := range []struct {
		args                      []string
		companies, campaigns, ads int64
	}{
		{nil, 1000, 20_000, 1_000_000},
		{[]string{"--ads=2000"}, 10, 40, 2000},
		{[]string{"--ads=7"}, 7, 7, 7},
		{[]string{"--ads=0"}, 0, 0, 0},
		{[]string{"--companies=50"}, 50, 20_000, 1_000_000},
		{[]string{"--companies=2_000_000"}, 2_000_000, 2_000_000, 2_000_000},
		{[]string{"--campaigns=5"}, 5, 5, 1_000_000},
		{[]string{"--companies=3", "--campaigns=4", "--ads=5"}, 3, 4, 5},
	} {
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		sizes := addSizeFlags(flags)
		if err := flags.Parse(tt.args); err != nil {
			t.Fatal(err)
		}
		cfg, err := sizes.config()
		if err != nil {
			t.Fatal(err)
		}
		got := []int64{cfg.Companies, cfg.Campaigns, cfg.Ads}
		if diff := cmp.Diff([]int64{tt.companies, tt.campaigns, tt.ads}, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.args, diff)
		}
		if _, err := generate.New(cfg); err != nil {
			t.Errorf("%q: %v", tt.args, err)
		}
	}
}
