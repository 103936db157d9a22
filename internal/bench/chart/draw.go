package chart

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	chartWidth  = 760
	lineHeight  = 380
	barPitch    = 22 // of bars
	legendWidth = 190
	margin      = 10
)

// height returns the chart's height in points.
func (c *Chart) height() vg.Length {
	switch {
	case c.Bars != nil:
		return vg.Points(float64(len(c.Bars)*barPitch + 110))
	case c.Stack != nil:
		return vg.Points(float64(len(c.Ticks)*barPitch + 110))
	}
	return vg.Points(lineHeight)
}

// draw draws the chart.
func (c *Chart) draw(t Theme, canvas vg.CanvasSizer) error {
	p := t.newPlot(c.Title, c.X, c.Y)
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
	// The legend stands beside the data, where it can hide none.
	p.Draw(draw.Crop(inside, 0, -vg.Points(legendWidth), 0, 0))
	legend.TextStyle, legend.Padding = p.Legend.TextStyle, p.Legend.Padding
	legend.Top, legend.Left = true, true
	legend.ThumbnailWidth = vg.Points(24)
	legend.Draw(draw.Crop(inside, vg.Points(chartWidth-2*margin-legendWidth+14), 0, 0, -vg.Points(26)))
	return nil
}

// addBars draws horizontal bars from zero, the first on top, each with its spread
// and its value in figures.
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
	nameBars(p, names, top(c.Bars, func(b Bar) float64 { return b.High }))
	return nil
}

func horizontalBars(values plotter.Values, ink color.Color) (*plotter.BarChart, error) {
	bars, err := plotter.NewBarChart(values, vg.Points(barPitch*0.62))
	if err != nil {
		return nil, err
	}
	bars.Horizontal, bars.Color, bars.LineStyle.Width = true, ink, 0
	return bars, nil
}

// nameBars puts names beside horizontal bars, the longest of which ends at high.
func nameBars(p *plot.Plot, names []string, high float64) {
	p.NominalY(names...)
	p.Y.Min, p.Y.Max = -0.5, float64(len(names))-0.5 // the grid reaches over whole bars
	p.Y.LineStyle.Width, p.Y.Tick.LineStyle.Width = 0, 0
	p.X.Min, p.X.Max = 0, high*1.12 // room for the figures
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
	nameBars(p, names, top(sums, func(v float64) float64 { return v }))
	return nil
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
