package shape_test

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
	"testing"

	"shardload/internal/bench/shape"
)

// Each shape's rows have a field for each column, are the same with the same seed, and no key twice.
func TestWrite(t *testing.T) {
	t.Parallel()
	for _, s := range shape.All() {
		if s.Dataset() {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			const rows = 3000
			var first, again, other bytes.Buffer
			for _, w := range []struct {
				to   *bytes.Buffer
				seed uint64
			}{{&first, 1}, {&again, 1}, {&other, 2}} {
				if err := s.Write(w.to, rows, w.seed); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(first.Bytes(), again.Bytes()) || bytes.Equal(first.Bytes(), other.Bytes()) {
				t.Error("the seed does not decide about the rows")
			}
			records, err := csv.NewReader(&first).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			if len(records) != rows+1 || !slices.Equal(records[0], s.Table.ColumnNames()) {
				t.Errorf("%d records, the first %q", len(records), records[0])
			}
			seen := map[string]bool{}
			for _, r := range records[1:] {
				var key []string
				for i, c := range s.Table.Columns {
					if slices.Contains(s.Table.PrimaryKey, c.Name) {
						key = append(key, r[i])
					}
				}
				id := strings.Join(key, ",")
				if seen[id] {
					t.Fatalf("the key %s is there twice", id)
				}
				seen[id] = true
			}
		})
	}
}

// What shapes promise of their tables.
func TestShapes(t *testing.T) {
	t.Parallel()
	if n := len(shape.Lookup("wide").Table.Columns); n != 105 {
		t.Errorf("wide has %d columns", n)
	}
	if n := len(shape.Lookup("indexed").Indexes); n != 4 {
		t.Errorf("indexed has %d secondary indexes", n)
	}
	if s := shape.Lookup("no such"); s != nil {
		t.Errorf("a shape that there is not: %s", s.Name)
	}
	for _, s := range shape.All() {
		if got := s.Table.Columns[s.Key()].Name; got != s.Table.DistributionColumn || !slices.Contains(s.Table.PrimaryKey, got) {
			t.Errorf("%s is distributed by %s, and its key is of %s", s.Name, got, s.Table.PrimaryKey)
		}
	}
}

// A document of json has about 1 KiB as text.
func TestDocuments(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := shape.Lookup("json").Write(&b, 500, 1); err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, r := range records[1:] {
		sum += len(r[3])
	}
	if mean := sum / 500; mean < 900 || mean > 1150 {
		t.Errorf("a document has %d bytes on average", mean)
	}
}
