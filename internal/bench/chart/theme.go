package chart

import (
	"image/color"
	"math"
	"strconv"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A Theme is the colours of a chart.
type Theme struct {
	Name       string
	background color.Color
	ink        color.Color // text and axes
	grid       color.Color
	series     []color.Color
	groups     []color.Color // of bars
}

// The colours are those of Okabe and Ito, which readers with any kind of colour
// vision tell apart; of each pair the one that stands out from its background.
var (
	orange     = color.RGBA{0xe6, 0x9f, 0x00, 0xff}
	skyBlue    = color.RGBA{0x56, 0xb4, 0xe9, 0xff}
	green      = color.RGBA{0x00, 0x9e, 0x73, 0xff}
	yellow     = color.RGBA{0xf0, 0xe4, 0x42, 0xff}
	blue       = color.RGBA{0x00, 0x72, 0xb2, 0xff}
	vermillion = color.RGBA{0xd5, 0x5e, 0x00, 0xff}
	purple     = color.RGBA{0xcc, 0x79, 0xa7, 0xff}

	// Light and Dark are for pages of either background.
	Light = Theme{
		Name: "light", background: color.White, ink: color.Gray{0x22}, grid: color.Gray{0xd4},
		series: []color.Color{blue, vermillion, green, purple, orange, skyBlue},
		groups: []color.Color{blue, color.Gray{0x99}, orange},
	}
	Dark = Theme{
		Name: "dark", background: color.Gray{0x16}, ink: color.Gray{0xe4}, grid: color.Gray{0x44},
		series: []color.Color{skyBlue, orange, green, purple, yellow, vermillion},
		groups: []color.Color{skyBlue, color.Gray{0x88}, orange},
	}
)

// Line styles and marks tell series apart once more, without colour.
var (
	dashes = [][]vg.Length{nil, {vg.Points(6), vg.Points(3)}, {vg.Points(2), vg.Points(2)}, {vg.Points(8), vg.Points(3), vg.Points(2), vg.Points(3)}}
	// idealDashes are of what nobody has measured.
	idealDashes = []vg.Length{vg.Points(1), vg.Points(3)}

	marks = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{}, draw.BoxGlyph{}}
)

const (
	fontSize   = 11
	typeface   = "Liberation"
	svgFont    = "font-family:Liberation Sans"
	svgLookFor = svgFont + ",Arial,Helvetica,sans-serif" // of the same widths
)

// fonts are made once: they are the same in all charts.
var fonts = font.NewCache(liberation.Collection())

// style returns the style of a text.
func (t Theme) style(size vg.Length) text.Style {
	return text.Style{
		Color: t.ink, Font: font.Font{Typeface: typeface, Variant: "Sans", Size: size},
		Handler: text.Plain{Fonts: fonts},
	}
}

// newPlot returns an empty chart in the theme's colours.
func (t Theme) newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.TextHandler = text.Plain{Fonts: fonts}
	p.BackgroundColor = t.background
	p.Title.Text = title
	p.Title.TextStyle = t.style(fontSize + 2)
	p.Title.TextStyle.XAlign, p.Title.TextStyle.YAlign = draw.XCenter, draw.YTop
	p.Title.TextStyle.Font.Weight = xfont.WeightBold
	p.Title.Padding = vg.Points(8)
	for axis, label := range map[*plot.Axis]string{&p.X: x, &p.Y: y} {
		axis.Label.Text = label
		axis.Color, axis.Tick.Color = t.ink, t.ink
		axis.Label.Padding = vg.Points(4)
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = ticker{}, ticker{}
	p.X.Label.TextStyle = t.with(draw.XCenter, draw.YBottom)
	p.X.Tick.Label = t.with(draw.XCenter, draw.YTop)
	p.Y.Label.TextStyle = t.with(draw.XCenter, draw.YBottom)
	p.Y.Tick.Label = t.with(draw.XRight, draw.YCenter)
	p.Legend.TextStyle = t.with(draw.XLeft, draw.YBottom)
	p.Legend.Padding = vg.Points(4)
	p.Legend.Top, p.Legend.Left = true, true
	return p
}

// A ticker puts marks at round numbers, about four of them.
type ticker struct{}

func (ticker) Ticks(low, high float64) (ticks []plot.Tick) {
	if !(high > low) {
		return nil
	}
	step := math.Pow(10, math.Floor(math.Log10((high-low)/4)))
	for _, factor := range []float64{10, 5, 2} {
		if (high-low)/(step*factor) >= 3 {
			step *= factor
			break
		}
	}
	for i := math.Ceil(low / step); i*step <= high; i++ {
		ticks = append(ticks, plot.Tick{Value: i * step, Label: strconv.FormatFloat(i*step, 'g', 6, 64)})
	}
	return ticks
}

// with returns the usual text, aligned.
func (t Theme) with(x text.XAlignment, y text.YAlignment) text.Style {
	s := t.style(fontSize)
	s.XAlign, s.YAlign = x, y
	return s
}
