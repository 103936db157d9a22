package bench

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"path/filepath"

	"github.com/dustin/go-humanize"

	"shardload/internal/bench/chart"
)

//go:embed report.html.tmpl
var templates embed.FS

var page = template.Must(template.ParseFS(templates, "report.html.tmpl"))

// A picture is a chart on the page, in the colours for either background.
type picture struct {
	Name, Title, Note string
	Light, Dark       template.HTML
}

// A pageData is what the template fills the page with.
type pageData struct {
	Report   *Report
	Facts    [][2]string
	Pictures []picture
	Rows     []pageRow
}

// A pageRow is an arm's line in the tables of the page.
type pageRow struct {
	Figure
	Settings, Runs               string
	Psql, Limit, Rate, Low, High string
	Parts                        []string // of its time, in seconds
	All                          string
	ClientCPU, ServerCPU         string
	WAL, P50, P99                string
}

// writeCharts writes the page and its charts, as SVG and PNG files, too.
func (r *Report) writeCharts(dir string) error {
	data := pageData{Report: r, Facts: r.Environment.Facts(), Rows: r.pageRows()}
	for _, c := range r.charts() {
		var svgs [2][]byte
		for i, t := range []chart.Theme{chart.Light, chart.Dark} {
			var err error
			if svgs[i], err = c.SVG(t); err != nil {
				return err
			}
		}
		// The library wrote the SVG: its text is escaped.
		data.Pictures = append(data.Pictures, picture{c.Name, c.Title, c.Note, inline(svgs[0]), inline(svgs[1])})
		write := func(w io.Writer) error {
			_, err := w.Write(svgs[0])
			return err
		}
		if err := writeFile(filepath.Join(dir, c.Name+".svg"), write); err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, c.Name+".png"), func(w io.Writer) error { return c.PNG(chart.Light, w) }); err != nil {
			return err
		}
	}
	return writeFile(filepath.Join(dir, HTMLFile), func(w io.Writer) error { return page.Execute(w, data) })
}

// inline returns the svg element of a document.
func inline(svg []byte) template.HTML {
	if at := bytes.Index(svg, []byte("<svg")); at > 0 {
		svg = svg[at:]
	}
	return template.HTML(svg) // #nosec G203 -- our own charts: the plotting library has escaped their labels
}

// pageRows returns the lines of the page's tables, the fastest arms first.
func (r *Report) pageRows() []pageRow {
	groups := r.Groups()
	var rows []pageRow
	for _, f := range r.Figures() {
		g := find(groups, func(result Result) bool { return result.label(basePoint(r.Results)) == f.Arm })
		perMillion := float64(f.Rows) / 1e6
		cell := func(of func(*Result) *float64, format string, scale float64) string {
			if v, ok := g.MedianOf(of); ok {
				return fmt.Sprintf(format, v*scale)
			}
			return "–"
		}
		ratio := func(r *Ratio) string {
			if r == nil {
				return "–"
			}
			return fmt.Sprintf("%.2f", r.Median)
		}
		row := pageRow{
			Figure: f, Settings: g.Arm().Settings, Runs: fmt.Sprint(len(g.Runs)), Psql: ratio(f.Psql), Limit: ratio(f.Limit),
			Rate: comma(f.RowsPerSecond), Low: comma(f.Low), High: comma(f.High), All: fmt.Sprintf("%.2f", f.Seconds),
			ClientCPU: cell(func(r *Result) *float64 { return r.ClientCPU }, "%.2f", 1/perMillion),
			ServerCPU: cell(func(r *Result) *float64 { return r.ServerCPU }, "%.2f", 1/perMillion),
			WAL:       cell((*Result).WALPerRow, "%.0f", 1),
			P50:       cell(func(r *Result) *float64 { return r.P50 }, "%.1f", 1e3),
			P99:       cell(func(r *Result) *float64 { return r.P99 }, "%.1f", 1e3),
		}
		for _, part := range f.Times.Parts() {
			row.Parts = append(row.Parts, fmt.Sprintf("%.2f", part.Seconds))
		}
		rows = append(rows, row)
	}
	return rows
}

func comma(v float64) string { return humanize.Comma(int64(v)) }
