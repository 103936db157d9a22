package generate

import (
	"fmt"
	"math/bits"
	"strings"
)

// Sized returns the Config of a dataset whose CSV files with headers have that many
// bytes together, within 1 %. proportions returns the Config for a number of ads,
// with as many rows of the other tables as go with them.
func Sized(size int64, proportions func(ads int64) Config) (Config, error) {
	const bytesPerAd = 180 // or so
	best, off := Config{}, int64(-1)
	ads := max(size/bytesPerAd, 1)
	for range 20 {
		cfg := proportions(ads)
		bytes, err := bytesOf(cfg)
		if err != nil {
			return cfg, err
		}
		if d := max(size-bytes, bytes-size); off < 0 || d < off {
			best, off = cfg, d
		}
		next := max(scale(ads, size, bytes), 1)
		if off <= size/1000 || next == ads {
			break
		}
		ads = next
	}
	if off > size/100 {
		return best, fmt.Errorf("size: %d bytes: no dataset of these proportions has them within 1 %%; "+
			"ask for more, or for rows: the nearest is %d bytes away, with %d, %d and %d rows of companies, campaigns and ads",
			size, off, best.Companies, best.Campaigns, best.Ads)
	}
	return best, nil
}

// scale returns n·a/b.
func scale(n, a, b int64) int64 {
	hi, lo := bits.Mul64(uint64(n), uint64(a))
	if hi >= uint64(b) {
		return n
	}
	q, _ := bits.Div64(hi, lo, uint64(b))
	return int64(q &^ (1 << 63))
}

// bytesOf returns how many bytes the CSV files of a dataset have: for small tables
// exactly, for others as a sample of their blocks says.
func bytesOf(cfg Config) (int64, error) {
	d, err := New(cfg)
	if err != nil {
		return 0, err
	}
	sum := int64(0)
	for k := range kinds {
		sum += d.table(k).bytes()
	}
	return sum, nil
}

// bytes returns about how many bytes the table's CSV file has, header included.
func (t *Table) bytes() int64 {
	header := int64(len(strings.Join(t.Header(), ",")) + 1)
	sampled, blocks := t.sample(CSV)
	if blocks == t.Len() {
		return header + sampled
	}
	return header + scale(t.Rows(), sampled, blocks*blockRows)
}

// blocksOf returns how many blocks of the table have about that many bytes in the format, at
// least one. Those of text are as many as of CSV, which is hardly another length.
func (t *Table) blocksOf(bytes int64, f Format) int64 {
	if f == Text {
		f = CSV
	}
	sampled, blocks := t.sample(f)
	if sampled == 0 {
		return 1
	}
	return max(scale(bytes, blocks, sampled), 1)
}

// sampleBlocks is how many blocks tell how long a table's rows are. The rows of a
// block are from 64 places that are spread over the table, so few are enough.
const sampleBlocks = 16

// sample returns how many bytes some of the table's blocks have in the format: all of
// them, or sampleBlocks full ones.
func (t *Table) sample(f Format) (bytes, blocks int64) {
	step := int64(1)
	blocks = t.Len()
	if blocks > sampleBlocks {
		blocks = sampleBlocks
		step = (t.Len() - 1) / blocks
	}
	var buf []byte
	p := printer{t: t, form: &t.d.dialects[f]}
	for i := range blocks {
		buf = p.appendBlock(buf[:0], i*step)
		bytes += int64(len(buf))
	}
	return bytes, blocks
}
