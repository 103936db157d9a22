package chart

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The chart is as wide as a telephone: what is readable there is readable everywhere.
const (
	chartWidth = 400
	lineHeight = 250 // of lines and their axes
	barPitch   = 32  // of a bar with its name above it
	barHeight  = 11
	axisHeight = 44 // of the axis below bars, with its label
	titleLine  = 18
	legendLine = 16
	margin     = 8
	titleWidth = 52 // characters
)

// height returns the chart's height in points.
func (c *Chart) height() vg.Length {
	data := lineHeight
	switch {
	case c.Bars != nil:
		data = len(c.Bars)*barPitch + axisHeight
	case c.Stack != nil:
		data = len(c.Ticks)*barPitch + axisHeight
	}
	return vg.Points(float64(data + c.titleHeight() + c.legendHeight() + 2*margin))
}

func (c *Chart) titleHeight() int { return (strings.Count(wrap(c.Title), "\n") + 1) * titleLine }

// legendHeight returns the height of the legend, which stands below everything else.
func (c *Chart) legendHeight() int {
	n := len(c.Stack) + len(c.Lines)
	for group := range c.Groups {
		if c.has(group) {
			n++
		}
	}
	return n * legendLine
}

// has reports whether a bar belongs to that group.
func (c *Chart) has(group int) bool {
	return slices.ContainsFunc(c.Bars, func(b Bar) bool { return b.Group == group })
}

// wrap breaks a title into lines.
func wrap(title string) string {
	var lines []string
	for _, word := range strings.Fields(title) {
		if n := len(lines) - 1; n >= 0 && utf8.RuneCountInString(lines[n]+" "+word) <= titleWidth {
			lines[n] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return strings.Join(lines, "\n")
}

// draw draws the chart.
func (c *Chart) draw(t Theme, canvas vg.CanvasSizer) error {
	p := t.newPlot(wrap(c.Title), c.X, c.Y)
	legend := plot.NewLegend()
	var err error
	switch {
	case c.Bars != nil:
		err = c.addBars(t, p, &legend)
	case c.Stack != nil:
		err = c.addStack(t, p, &legend)
	default:
		err = c.addLines(t, p, &legend)
	}
	if err != nil {
		return fmt.Errorf("chart %s: %w", c.Name, err)
	}
	all := draw.New(canvas)
	all.SetColor(t.background)
	all.Fill(all.Rectangle.Path())
	inside := draw.Crop(all, vg.Points(margin), -vg.Points(margin), vg.Points(margin), -vg.Points(margin))
	// The legend stands below the data, where it can hide none.
	below := vg.Points(float64(c.legendHeight()))
	p.Draw(draw.Crop(inside, 0, 0, below, 0))
	legend.TextStyle, legend.Padding = p.Legend.TextStyle, p.Legend.Padding
	legend.Top, legend.Left = true, true
	legend.ThumbnailWidth = vg.Points(24)
	legend.Draw(draw.Crop(inside, 0, 0, 0, below-inside.Size().Y))
	return nil
}

// addBars draws horizontal bars from zero, the first on top, each with its name above it, its
// spread, and its value in figures.
func (c *Chart) addBars(t Theme, p *plot.Plot, legend *plot.Legend) error {
	n := len(c.Bars)
	names := make([]string, n)
	values := make([]plotter.Values, len(c.Groups))
	spread := make(barSpread, n)
	var figures plotter.XYLabels
	for i, b := range c.Bars {
		at := n - 1 - i
		if values[b.Group] == nil {
			values[b.Group] = make(plotter.Values, n)
		}
		names[at], values[b.Group][at], spread[at] = b.Name, b.Y, Value{X: float64(at), Y: b.Y, Low: b.Low, High: b.High}
		figures.XYs = append(figures.XYs, plotter.XY{X: b.High, Y: float64(at)})
		figures.Labels = append(figures.Labels, figure(b.Y))
	}
	grid(t, p, true)
	for group, list := range values {
		if list == nil {
			continue
		}
		bars, err := horizontalBars(list, t.groups[group%len(t.groups)])
		if err != nil {
			return err
		}
		p.Add(bars)
		legend.Add(c.Groups[group], bars)
	}
	errorBars, err := plotter.NewXErrorBars(spread)
	if err != nil {
		return err
	}
	errorBars.Color, errorBars.Width, errorBars.CapWidth = t.ink, vg.Points(1), vg.Points(6)
	labels, err := t.beside(figures)
	if err != nil {
		return err
	}
	p.Add(errorBars, labels)
	return t.nameBars(p, names, top(c.Bars, func(b Bar) float64 { return b.High }))
}

func horizontalBars(values plotter.Values, ink color.Color) (*plotter.BarChart, error) {
	bars, err := plotter.NewBarChart(values, vg.Points(barHeight))
	if err != nil {
		return nil, err
	}
	bars.Horizontal, bars.Color, bars.LineStyle.Width = true, ink, 0
	return bars, nil
}

// nameBars puts names above horizontal bars, the longest of which ends at high.
func (t Theme) nameBars(p *plot.Plot, names []string, high float64) error {
	list := plotter.XYLabels{Labels: names}
	for i := range names {
		list.XYs = append(list.XYs, plotter.XY{Y: float64(i)})
	}
	labels, err := t.beside(list)
	if err != nil {
		return err
	}
	labels.Offset = vg.Point{Y: vg.Points(barHeight/2 + 8.5)}
	p.Add(labels)
	p.HideY()
	p.Y.Padding = 0
	p.Y.Min, p.Y.Max = -0.3, float64(len(names))-0.2 // there is a name above the first
	p.X.Min, p.X.Max = 0, high*1.18                  // room for the figures
	return nil
}

// addStack draws horizontal bars of several parts from zero, the first on top, with
// their sums in figures.
func (c *Chart) addStack(t Theme, p *plot.Plot, legend *plot.Legend) error {
	n := len(c.Ticks)
	names, sums := make([]string, n), make([]float64, n)
	for i, name := range c.Ticks {
		names[n-1-i] = name
	}
	grid(t, p, true)
	var below *plotter.BarChart
	for i, l := range c.Stack {
		values := make(plotter.Values, n)
		for j, v := range l.Values {
			values[n-1-j] = v
			sums[n-1-j] += v
		}
		bars, err := horizontalBars(values, t.series[i%len(t.series)])
		if err != nil {
			return err
		}
		if below != nil {
			bars.StackOn(below)
		}
		below = bars
		p.Add(bars)
		legend.Add(l.Name, bars)
	}
	figures, err := t.figures(sums)
	if err != nil {
		return err
	}
	p.Add(figures)
	return t.nameBars(p, names, top(sums, func(v float64) float64 { return v }))
}

// figures returns the labels of horizontal bars that end at ends.
func (t Theme) figures(ends []float64) (*plotter.Labels, error) {
	var list plotter.XYLabels
	for i, v := range ends {
		list.XYs = append(list.XYs, plotter.XY{X: v, Y: float64(i)})
		list.Labels = append(list.Labels, figure(v))
	}
	return t.beside(list)
}

// beside returns labels that stand beside the ends of horizontal bars.
func (t Theme) beside(list plotter.XYLabels) (*plotter.Labels, error) {
	labels, err := plotter.NewLabels(list)
	if err != nil {
		return nil, err
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i] = t.with(draw.XLeft, draw.YCenter)
	}
	labels.Offset = vg.Point{X: vg.Points(6)}
	return labels, nil
}

// A barSpread is the spread of bars, which lie on their side.
type barSpread []Value

func (s barSpread) Len() int                { return len(s) }
func (s barSpread) XY(i int) (x, y float64) { return s[i].Y, s[i].X }
func (s barSpread) XError(i int) (low, high float64) {
	return s[i].Y - s[i].Low, s[i].High - s[i].Y
}

// addLines draws lines with marks and their spread, over an axis from zero.
func (c *Chart) addLines(t Theme, p *plot.Plot, legend *plot.Legend) error {
	grid(t, p, false)
	measured := 0
	for _, s := range c.Lines {
		if s.Ideal {
			line, err := plotter.NewLine(s)
			if err != nil {
				return err
			}
			line.Color, line.Width, line.Dashes = t.ink, vg.Points(1), idealDashes
			p.Add(line)
			legend.Add(s.Name, line)
			continue
		}
		if err := t.addLine(p, legend, s, measured, !c.Words); err != nil {
			return err
		}
		measured++
	}
	p.Y.Min = 0
	p.Y.Max = 1.08 * top(c.Lines, func(s Series) float64 { return top(s.Values, func(v Value) float64 { return v.High }) })
	p.X.Min = 0
	if c.Ticks != nil {
		p.NominalX(c.Ticks...)
		p.X.Tick.Width, p.X.Tick.Length = vg.Points(0.5), vg.Points(4)
		p.X.Min, p.X.Max = -0.3, float64(len(c.Ticks))-0.7
		p.X.LineStyle.Width = vg.Points(0.5)
	}
	return nil
}

// addLine draws the i-th line of what was measured, or its marks alone.
func (t Theme) addLine(p *plot.Plot, legend *plot.Legend, s Series, i int, joined bool) error {
	line, points, err := plotter.NewLinePoints(s)
	if err != nil {
		return err
	}
	ink := t.series[i%len(t.series)]
	line.Color, line.Width, line.Dashes = ink, vg.Points(1.8), dashes[i%len(dashes)]
	points.Color, points.Shape, points.Radius = ink, marks[i%len(marks)], vg.Points(3.5)
	if joined {
		p.Add(line, points)
		legend.Add(s.Name, line, points)
	} else {
		p.Add(points)
		legend.Add(s.Name, points)
	}
	if !spreads(s.Values) {
		return nil
	}
	bars, err := plotter.NewYErrorBars(s)
	if err != nil {
		return err
	}
	bars.Color, bars.Width = ink, vg.Points(1)
	p.Add(bars)
	return nil
}

func spreads(values []Value) bool {
	return slices.ContainsFunc(values, func(v Value) bool { return v.Low != v.High })
}

// grid draws the lines of the axis on which values are read.
func grid(t Theme, p *plot.Plot, horizontal bool) {
	g := plotter.NewGrid()
	g.Horizontal.Width, g.Vertical.Width = vg.Points(0.75), vg.Points(0.75)
	g.Horizontal.Color, g.Vertical.Color = t.grid, nil
	if horizontal {
		g.Horizontal.Color, g.Vertical.Color = nil, t.grid
	}
	p.Add(g)
}

// top returns the largest value in list, at least a little above 0.
func top[T any](list []T, of func(T) float64) float64 {
	high := math.SmallestNonzeroFloat32
	for _, item := range list {
		high = max(high, of(item))
	}
	return high
}

// figure returns a number with three digits.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// SVG returns the chart as an SVG document, the texts of which are escaped.
func (c *Chart) SVG(t Theme) ([]byte, error) {
	canvas := vgsvg.New(vg.Points(chartWidth), c.height())
	if err := c.draw(t, canvas); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, err
	}
	return bytes.ReplaceAll(b.Bytes(), []byte(svgFont), []byte(svgLookFor)), nil
}

// PNG writes the chart as a PNG file.
func (c *Chart) PNG(t Theme, w io.Writer) error {
	canvas := vgimg.NewWith(vgimg.UseWH(vg.Points(chartWidth), c.height()), vgimg.UseDPI(144), vgimg.UseBackgroundColor(color.White))
	if err := c.draw(t, canvas); err != nil {
		return err
	}
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(w)
	return err
}
