package outline_test

import (
	"os"
	"path/filepath"
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
