// Package chart draws charts of measured values: horizontal bars, bars in layers, and
// lines over an axis from zero, as SVG and PNG, in colours that readers with any kind of
// colour vision tell apart. It knows nothing of what was measured.
package chart

// A Value is a measured value with its spread.
type Value struct {
	X, Y, Low, High float64
}

// A Series is a line of a chart. An ideal is drawn without marks.
type Series struct {
	Name   string
	Values []Value
	Ideal  bool
}

// Len, XY and YError are what the plotting library asks of a line.
func (s Series) Len() int                { return len(s.Values) }
func (s Series) XY(i int) (x, y float64) { return s.Values[i].X, s.Values[i].Y }
func (s Series) YError(i int) (low, high float64) {
	return s.Values[i].Y - s.Values[i].Low, s.Values[i].High - s.Values[i].Y
}

// A Bar is a bar of a chart.
type Bar struct {
	Name  string
	Group int // of Chart.Groups, which have a colour each
	Value
}

// A Layer is a part of each bar of a stack. The bars' names are the chart's ticks.
type Layer struct {
	Name   string
	Values []float64
}

// A Chart is a picture: of bars, of a stack, or of lines.
type Chart struct {
	Name   string // of its files
	Title  string
	Note   string   // what a reader should know, for the page
	X, Y   string   // labels of the axes
	Ticks  []string // of the x axis, at 0, 1, …; nil for numbers
	Words  bool     // ticks are words with nothing between them: no line joins their values
	Groups []string // of bars, for the legend
	Bars   []Bar
	Stack  []Layer // of bars that stand on each other, the first innermost
	Lines  []Series
}
