package generate_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shardload/generate"
	"shardload/schema"
)

// The JSON has the rows of the CSV, and its manifest says that it is JSON.
func TestJSONHasTheRowsOfCSV(t *testing.T) {
	cfg := generate.Config{Companies: 50, Campaigns: 2000, Ads: 5000, Seed: 3, Skew: 0.8}
	dir, m := write(t, cfg, generate.Output{Format: generate.JSON})
	asCSV, other := write(t, cfg, generate.Output{})
	if m.Format != generate.JSON || m.Header {
		t.Errorf("the manifest says format %v, header %v", m.Format, m.Header)
	}
	for i, s := range schema.Tables() {
		if diff := cmp.Diff(other.Files[i].Checksums, m.Files[i].Checksums); diff != "" {
			t.Errorf("%s: checksums (-csv +json):\n%s", s.Name, diff)
		}
		want, err := csv.NewReader(bytes.NewReader(read(t, asCSV, s.Name+".csv"))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(read(t, dir, s.Name+".jsonl")), "\n"), "\n")
		if len(lines) != len(want)-1 {
			t.Fatalf("%s: %d lines for %d rows", s.Name, len(lines), len(want)-1)
		}
		for n, line := range lines {
			if diff := cmp.Diff(want[n+1], valuesOf(t, line, s.ColumnNames())); diff != "" {
				t.Fatalf("%s, line %d: (-csv +json):\n%s", s.Name, n+1, diff)
			}
		}
	}
}

// valuesOf returns the values of a line of JSON as CSV has them.
func valuesOf(t *testing.T, line string, names []string) (values []string) {
	t.Helper()
	var record map[string]any
	decoder := json.NewDecoder(strings.NewReader(line))
	decoder.UseNumber()
	if err := decoder.Decode(&record); err != nil || len(record) != len(names) {
		t.Fatalf("%s: %v, want %d keys", line, err, len(names))
	}
	for _, name := range names {
		switch v := record[name].(type) {
		case nil:
			values = append(values, "")
		case []any:
			array := schema.TextArray{}
			for _, e := range v {
				array = append(array, fmt.Sprint(e))
			}
			text, err := array.MarshalCSV()
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, text)
		default:
			values = append(values, fmt.Sprint(v))
		}
	}
	return values
}
