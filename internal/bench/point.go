package bench

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"shardload/internal/term"
	"shardload/loader"
)

// A Point is one combination of the settings that a benchmark varies.
type Point struct {
	Shape      string       `json:"shape" csv:"shape"`
	Route      loader.Route `json:"route,omitempty" csv:"route"` // "" for what has none
	AllStreams int          `json:"streams" csv:"streams"`       // connections in all; 0 where there are none
	Batch      int64        `json:"batch_bytes,omitempty" csv:"batch_bytes"`
	Notation   Notation     `json:"format,omitempty" csv:"format"` // "" for what has none
	Shards     int          `json:"shards" csv:"shards"`           // 0: the table is not distributed
	Rows       int64        `json:"rows" csv:"rows"`
	Order      Order        `json:"order" csv:"order"`
}

// inputs returns the distinct tables and inputs among points: what a rival is
// measured with.
func inputs(points []Point) []Point {
	var list []Point
	for _, p := range points {
		in := Point{Shape: p.Shape, Shards: p.Shards, Rows: p.Rows, Order: p.Order}
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
	add(p.Shape != b.Shape, "%s", p.Shape)
	if p.AllStreams > 0 {
		add(p.AllStreams != b.AllStreams, "%s", term.Plural(p.AllStreams, "stream"))
	}
	if p.Batch > 0 {
		add(p.Batch != b.Batch, "%s", term.Bytes(p.Batch))
	}
	if p.Notation != "" {
		add(p.Notation != b.Notation, "%s", p.Notation)
	}
	if p.Shards > 0 {
		add(p.Shards != b.Shards, "%s", term.Plural(p.Shards, "shard"))
	}
	// Each shape has its own number of rows.
	add(p.Rows != b.Rows && p.Shape == b.Shape, "%s rows", humanize.Comma(p.Rows))
	add(p.Order != b.Order, "%s", p.Order)
	return strings.Join(words, ", ")
}

// sentAs reports whether p's rows are sent as those of other, whatever they are and by whichever
// route.
func (p Point) sentAs(other Point) bool {
	return p.AllStreams == other.AllStreams && p.Batch == other.Batch && p.Notation == other.Notation
}
