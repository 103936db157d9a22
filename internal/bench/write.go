package bench

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"shardload/internal/regular"

	"github.com/gocarina/gocsv"
	"golang.org/x/perf/benchfmt"
)

// Names of the files that Write makes.
const (
	LinesFile   = "results.jsonl"
	CSVFile     = "results.csv"
	BatchesFile = "batches.csv"
	BenchFile   = "results.bench.txt"
	HTMLFile    = "report.html"
	TablesFile  = "tables.md"
)

// A line is one line of LinesFile: one of its fields is there.
type line struct {
	Environment *Environment `json:"environment,omitempty"`
	Result      *Result      `json:"result,omitempty"`
	Scale       *ScaleResult `json:"scale,omitempty"`
	Skipped     *Skip        `json:"skipped,omitempty"`
	End         *end         `json:"end,omitempty"`
}

type end struct {
	Complete bool `json:"complete"`
}

// chartName is what the pictures of charts are called.
var chartName = regexp.MustCompile(`^(arms|shapes|cpu|streams|batch|format|shards|rows|order|latency|scale)\.(svg|png)$`)

// InTheWay returns the name of something in dir that has the name of a file that Write
// makes, "" if there is nothing.
func InTheWay(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		switch e.Name() {
		case LinesFile, CSVFile, BatchesFile, BenchFile, HTMLFile, TablesFile:
			return e.Name()
		}
		if chartName.MatchString(e.Name()) {
			return e.Name()
		}
	}
	return ""
}

// Write writes all files of a report into dir, and makes it if need be. No file that
// stands there is replaced.
func (r *Report) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		fill func(io.Writer) error
	}{
		{LinesFile, r.WriteLines},
		{CSVFile, func(w io.Writer) error { return gocsv.Marshal(r.Results, w) }},
		{BatchesFile, func(w io.Writer) error { return gocsv.Marshal(r.Batches, w) }},
		{BenchFile, r.WriteBench},
		{TablesFile, r.writeTables},
	} {
		if err := writeFile(filepath.Join(dir, f.name), f.fill); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	return r.writeCharts(dir)
}

// WriteLines writes the report as JSON lines.
func (r *Report) WriteLines(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	errs := []error{enc.Encode(line{Environment: &r.Environment})}
	for i := range r.Results {
		errs = append(errs, enc.Encode(line{Result: &r.Results[i]}))
	}
	for i := range r.Scale {
		errs = append(errs, enc.Encode(line{Scale: &r.Scale[i]}))
	}
	for i := range r.Skipped {
		errs = append(errs, enc.Encode(line{Skipped: &r.Skipped[i]}))
	}
	return errors.Join(append(errs, enc.Encode(line{End: &end{r.Complete}}))...)
}

// Read reads the JSON lines of a report: a file, or the directory that holds it.
func Read(path string) (*Report, error) {
	open := os.Open // what is named may be a pipe
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path, open = filepath.Join(path, LinesFile), regular.Open
	}
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	r, err := readLines(f)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", path, err)
	}
	return r, nil
}

// readLines reads what WriteLines wrote. Its errors begin with the line's number.
func readLines(in io.Reader) (*Report, error) {
	r := &Report{}
	s := bufio.NewScanner(in)
	s.Buffer(nil, 16<<20)
	n := 0
	for s.Scan() {
		n++
		var l line
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%d: not a line of %s: %w", n, LinesFile, err)
		}
		switch {
		case l.Environment != nil:
			r.Environment = *l.Environment
		case l.Result != nil:
			if l.Result.Kind == KindLoader && l.Result.Notation == "" { // of before there was a choice
				l.Result.Notation = Binary
			}
			l.Result.Shape = cmp.Or(l.Result.Shape, DefaultShape) // likewise
			r.Results = append(r.Results, *l.Result)
		case l.Scale != nil:
			r.Scale = append(r.Scale, *l.Scale)
		case l.Skipped != nil:
			r.Skipped = append(r.Skipped, *l.Skipped)
		case l.End != nil:
			r.Complete = l.End.Complete
		default:
			return nil, fmt.Errorf("%d: not a line of %s", n, LinesFile)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("%d: %w", n+1, err)
	}
	return r, nil
}

// WriteBench writes the results in the format of Go's benchmarks, which benchstat
// reads.
func (r *Report) WriteBench(out io.Writer) error {
	w := benchfmt.NewWriter(out)
	config := []benchfmt.Config{}
	for _, c := range [][2]string{
		{"goos", r.Environment.OS},
		{"goarch", r.Environment.Arch},
		{"cpu", r.Environment.CPU},
		{"server", r.Environment.Server},
		{"citus", r.Environment.Citus},
		{"shardload", r.Environment.Version},
	} {
		if c[1] != "" {
			config = append(config, benchfmt.Config{Key: c[0], Value: []byte(c[1]), File: true})
		}
	}
	for i := range r.Results {
		if err := w.Write(r.Results[i].bench(config)); err != nil {
			return err
		}
	}
	return nil
}

// bench returns r as a result of a Go benchmark.
func (r *Result) bench(config []benchfmt.Config) *benchfmt.Result {
	name := "Load/arm=" + strings.ReplaceAll(r.Arm, " ", "_")
	for _, setting := range []struct {
		key   string
		value any
		is    bool
	}{
		{"shape", r.Shape, r.Shape != DefaultShape},
		{"streams", r.AllStreams, r.AllStreams > 0},
		{"batch", r.Batch, r.Batch > 0},
		{"format", r.Notation, r.Notation != ""},
		{"shards", r.Shards, r.Shards > 0},
		{"rows", r.Rows, true},
		{"order", r.Order, true},
	} {
		if setting.is {
			name += fmt.Sprintf("/%s=%v", setting.key, setting.value)
		}
	}
	values := []benchfmt.Value{
		{Value: r.Seconds, Unit: "sec/op"}, {Value: r.RowsPerSecond, Unit: "rows/s"}, {Value: r.BytesPerSec, Unit: "B/s"},
	}
	add := func(v *float64, unit string) {
		if v != nil {
			values = append(values, benchfmt.Value{Value: *v, Unit: unit})
		}
	}
	add(r.ClientCPU, "client-cpu-sec/op")
	add(r.ServerCPU, "server-cpu-sec/op")
	if r.WAL != nil {
		values = append(values, benchfmt.Value{Value: float64(*r.WAL), Unit: "WAL-B/op"})
	}
	add(r.P50, "batch-p50-sec")
	add(r.P99, "batch-p99-sec")
	return &benchfmt.Result{Config: config, Name: benchfmt.Name(name), Iters: 1, Values: values}
}
