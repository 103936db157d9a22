package generate_test

import (
	"math"
	"runtime"
	"testing"

	"shardload/generate"
)

func proportions(ads int64) generate.Config {
	return generate.Config{Companies: ads/1000 + 1, Campaigns: ads/50 + 1, Ads: ads, Skew: 0.8, Seed: 1}
}

func fileBytes(t *testing.T, cfg generate.Config) (sum int64) {
	t.Helper()
	d := dataset(t, cfg)
	for _, name := range []string{"companies", "campaigns", "ads"} {
		f, err := table(t, d, name).Stream(t.Context(), nowhere{}, generate.Output{NoChecksums: true})
		if err != nil {
			t.Fatal(err)
		}
		sum += f.Bytes
	}
	return sum
}

type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// The files have the bytes that were asked for, within 1 %: here all of them, and
// where sizes are too large for that, many more blocks than were looked at.
func TestSized(t *testing.T) {
	for _, size := range []int64{5_000, 20_000, 1_000_000, 10_000_000, 200_000_000} {
		cfg, err := generate.Sized(size, proportions)
		if err != nil {
			t.Errorf("%d bytes: %v", size, err)
			continue
		}
		if got := fileBytes(t, cfg); math.Abs(float64(got-size)) > 0.01*float64(size) {
			t.Errorf("%d bytes: %+v has %d", size, cfg, got)
		}
	}
	for _, size := range []int64{10_000_000_000, 100_000_000_000_000} {
		cfg, err := generate.Sized(size, proportions)
		if err != nil {
			t.Fatal(err)
		}
		ads := table(t, dataset(t, cfg), "ads")
		const blocks = 500
		var buf []byte
		bytes, rows := 0, int64(0)
		for i := range int64(blocks) {
			block := ads.Len() / blocks * i
			buf = ads.AppendBlock(buf[:0], block)
			bytes, rows = bytes+len(buf), rows+ads.BlockRows(block)
		}
		perAd := float64(bytes) / float64(rows)
		// 51 ads come with a campaign of 181 bytes or so, 1000 with a company of 107.
		got := float64(cfg.Ads)*perAd + float64(cfg.Campaigns)*181 + float64(cfg.Companies)*107
		if math.Abs(got-float64(size)) > 0.01*float64(size) {
			t.Errorf("%d bytes: %+v has about %.0f", size, cfg, got)
		}
	}
}

func TestSizedErrors(t *testing.T) {
	for _, size := range []int64{1, 300, 1 << 60} {
		if cfg, err := generate.Sized(size, proportions); err == nil {
			t.Errorf("%d bytes: %+v, no error", size, cfg)
		}
	}
}

// A dataset of 10^18 rows costs no memory, wherever a block is.
func TestMemoryDoesNotGrow(t *testing.T) {
	before := heap()
	d := dataset(t, generate.Config{Companies: math.MaxInt32, Campaigns: math.MaxInt32 * 1000, Ads: 1 << 60, Seed: 1})
	buf := make([]byte, 0, 1<<20)
	for _, name := range []string{"companies", "campaigns", "ads"} {
		table := table(t, d, name)
		for _, block := range []int64{0, table.Len() / 3, table.Len() - 1} {
			if buf = table.AppendBlock(buf[:0], block); len(buf) == 0 {
				t.Errorf("%s: block %d is empty", name, block)
			}
		}
		parts := int(table.Len() / 20)
		if f, err := table.Part(parts, parts).Stream(t.Context(), nowhere{}, generate.Output{}); err != nil || f.Rows == 0 {
			t.Errorf("%s: %d rows, %v", name, f.Rows, err)
		}
	}
	if grown := heap() - before; grown > 16<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	runtime.KeepAlive(d)
}

// heap returns how many bytes the program has taken for its heap so far.
func heap() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapSys)
}
