package bench

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"shardload/loader"
)

// A Point is one combination of the settings that a benchmark varies.
type Point struct {
	Route   loader.Route `json:"route,omitempty" csv:"route"` // "" for what has none
	Streams int          `json:"streams" csv:"streams"`       // connections in all; 0 where there are none
	Batch   int64        `json:"batch_bytes,omitempty" csv:"batch_bytes"`
	Format  Format       `json:"format,omitempty" csv:"format"` // "" for what has none
	Shards  int          `json:"shards" csv:"shards"`           // 0: the table is not distributed
	Rows    int64        `json:"rows" csv:"rows"`
	Order   Order        `json:"order" csv:"order"`
}

// points returns the points of the loader's arms: the base first.
func (c Config) points(routes []loader.Route) []Point {
	lists := []int{len(routes), len(c.Streams), len(c.Batches), len(c.Formats), len(c.Shards), len(c.Rows), len(c.Orders)}
	var points []Point
	index := make([]int, len(lists))
	for {
		if c.Cross || changed(index) < 2 {
			points = append(points, Point{routes[index[0]], c.Streams[index[1]], c.Batches[index[2]],
				c.Formats[index[3]], c.Shards[index[4]], c.Rows[index[5]], c.Orders[index[6]]})
		}
		at := 0
		for ; at < len(index); at++ {
			if index[at]++; index[at] < lists[at] {
				break
			}
			index[at] = 0
		}
		if at == len(index) {
			return points
		}
	}
}

// changed returns how many of a point's settings are not the base's.
func changed(index []int) int {
	n := 0
	for _, i := range index {
		if i > 0 {
			n++
		}
	}
	return n
}

// inputs returns the distinct tables and inputs among points: what a rival is
// measured with.
func inputs(points []Point) []Point {
	var list []Point
	for _, p := range points {
		in := Point{Shards: p.Shards, Rows: p.Rows, Order: p.Order}
		if !slices.Contains(list, in) {
			list = append(list, in)
		}
	}
	return list
}

// settings returns the point as words, those that base has too left out. A nil
// base leaves nothing out.
func (p Point) settings(base *Point) string {
	var words []string
	add := func(differs bool, format string, args ...any) {
		if base == nil || differs {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	b := p
	if base != nil {
		b = *base
	}
	if p.Streams > 0 {
		add(p.Streams != b.Streams, "%d streams", p.Streams)
	}
	if p.Batch > 0 {
		add(p.Batch != b.Batch, "%s", sizeText(p.Batch))
	}
	if p.Format != "" {
		add(p.Format != b.Format, "%s", p.Format)
	}
	if p.Shards > 0 {
		add(p.Shards != b.Shards, "%d shards", p.Shards)
	}
	add(p.Rows != b.Rows, "%s rows", humanize.Comma(p.Rows))
	add(p.Order != b.Order, "%s", p.Order)
	return strings.Join(words, ", ")
}

// sizeText returns "4 MiB", "1.5 GiB".
func sizeText(n int64) string { return strings.Replace(humanize.IBytes(uint64(n)), ".0 ", " ", 1) }
