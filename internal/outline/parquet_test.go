package outline_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"shardload/internal/input"
	"shardload/internal/outline"
	"shardload/internal/pgcsv"
)

// What a Parquet file says of its columns holds where values do not tell: of lists that are
// always NULL, and of moments in UTC.
func TestParquet(t *testing.T) {
	t.Parallel()
	type row struct {
		ID    int64             `parquet:"id"`
		At    time.Time         `parquet:"at,timestamp(microsecond)"`
		Tags  []string          `parquet:"tags,list"`
		None  []int32           `parquet:"none,optional,list"`
		Attrs map[string]string `parquet:"attrs"`
		Code  *string           `parquet:"code,optional"`
		Price float64           `parquet:"price"`
		Bytes []byte            `parquet:"bytes"`
		Words []byte            `parquet:"words"`
	}
	path := filepath.Join(t.TempDir(), "x.parquet")
	code := "007"
	at := time.Date(2026, 1, 31, 10, 0, 0, 500_000, time.UTC)
	rows := []row{{ID: 1, At: at, Tags: []string{"a"}, Code: &code, Price: 1.5, Words: []byte("words")}, {ID: 5_000_000_000, At: at, Attrs: map[string]string{"k": "v"}, Price: 1e-7, Bytes: []byte("\xff\x00")}}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := parquet.Write(f, rows); err != nil {
		t.Fatal(err)
	}
	cfg := config(t)
	cfg.Files, cfg.Reading.Format, cfg.Reading.Dialect = []string{path}, input.Parquet, pgcsv.Text.Dialect()
	o, err := outline.Read(t.Context(), cfg, &outline.Progress{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := columns(o), "id bigint!, at timestamptz!, tags jsonb!, none jsonb, attrs jsonb!, code text, price double precision!, bytes bytea!, words text!"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if o.Records != 2 {
		t.Errorf("%d records", o.Records)
	}
}

// A map may have a key twice, and one column takes no texts beside lists.
func TestNestedParquet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, schema *parquet.Schema, values ...parquet.Row) string {
		path := filepath.Join(dir, name)
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		w := parquet.NewWriter(f, schema)
		if _, err := w.WriteRows(values); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	value := func(v any, repetition, definition, column int) parquet.Value {
		return parquet.ValueOf(v).Level(repetition, definition, column)
	}
	twice := write("map.parquet", parquet.NewSchema("t", parquet.Group{"v": parquet.Map(parquet.String(), parquet.Int(32))}),
		parquet.Row{value("k", 0, 1, 0), value("k", 1, 1, 0), value(int32(1), 0, 1, 1), value(int32(2), 1, 1, 1)})
	text := write("text.parquet", parquet.NewSchema("t", parquet.Group{"v": parquet.String()}), parquet.Row{value("k", 0, 0, 0)})
	cfg := config(t)
	cfg.Files, cfg.Reading.Format, cfg.Reading.Dialect = []string{twice}, input.Parquet, pgcsv.Text.Dialect()
	if o, err := outline.Read(t.Context(), cfg, &outline.Progress{}); err != nil || columns(o) != "v json!" {
		t.Errorf("%+v, %v", o, err)
	}
	for _, files := range [][]string{{twice, text}, {text, twice}} {
		cfg.Files = files
		want := files[1] + `: column "v": is nested in ` + twice + " and is not in " + text
		if o, err := outline.Read(t.Context(), cfg, &outline.Progress{}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v, error %v, want %q", o, err, want)
		}
	}
}

// One without rows has columns all the same.
func TestEmptyParquet(t *testing.T) {
	t.Parallel()
	type row struct {
		ID   int64    `parquet:"id"`
		Tags []string `parquet:"tags,list"`
	}
	path := filepath.Join(t.TempDir(), "x.parquet")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := parquet.Write(f, []row{}); err != nil {
		t.Fatal(err)
	}
	cfg := config(t)
	cfg.Files, cfg.Reading.Format, cfg.Reading.Dialect = []string{path}, input.Parquet, pgcsv.Text.Dialect()
	o, err := outline.Read(t.Context(), cfg, &outline.Progress{})
	if err != nil || columns(o) != "id text, tags jsonb" {
		t.Errorf("%+v, %v", o, err)
	}
}
