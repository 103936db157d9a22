package verify_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/input"
	"shardload/internal/pgcsv"
	"shardload/internal/pgtest"
	"shardload/internal/verify"
	"shardload/loader"
)

// asJSON is how JSON is read.
var asJSON = verify.Reading{Input: input.JSON, Format: pgcsv.Text}

// awkwardJSON returns the records of awkward as JSON: a string for each value, but for those of
// json and jsonb.
func awkwardJSON(t *testing.T, rows int) string {
	t.Helper()
	var b strings.Builder
	for r := range rows {
		record := map[string]any{"k": r}
		for i, s := range spellings {
			v := s.values[r%len(s.values)]
			switch {
			case r == rows-1:
			case s.typ == "json", s.typ == "jsonb":
				record[fmt.Sprintf("Column %d", i)] = json.RawMessage(v)
			default:
				record[fmt.Sprintf("Column %d", i)] = v
			}
		}
		var line strings.Builder
		encoder := json.NewEncoder(&line)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(record); err != nil {
			t.Fatal(err)
		}
		b.WriteString(line.String())
	}
	return b.String()
}

// contents returns the rows of types as text.
func contents(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT t::text FROM types t ORDER BY k")
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestDeepKnowsJSON loads the same values of each type from JSON as COPY does from CSV: the
// tables are the same, and are found to be what the file has.
func TestDeepKnowsJSON(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		typesTable(t, conn, strings.HasSuffix(t.Name(), "/citus"))
		want := contents(t, conn)
		exec(t, conn, "TRUNCATE types")
		file := filepath.Join(t.TempDir(), "types.jsonl")
		if err := os.WriteFile(file, []byte(awkwardJSON(t, len(want))), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := loader.Open(context.Background(), loader.Config{Conn: conn.Config(), Table: "types", Format: loader.FormatJSON})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if _, err := l.Load(context.Background(), loader.File(file)); err != nil {
			t.Fatal(err)
		}
		// PostgreSQL 15 keeps white space of json as it is written, and this is another writing.
		compact := strings.NewReplacer(`{""b"":1,  ""a"": [ ]}`, `{""b"":1,""a"":[]}`)
		for i, row := range contents(t, conn) {
			if diff := cmp.Diff(compact.Replace(want[i]), compact.Replace(row)); diff != "" {
				t.Errorf("row %d (-COPY +JSON):\n%s", i, diff)
			}
		}
		check := deep(t, conn, "types", asJSON, file)
		if !check.Same() || check.Database.Rows < 8 || len(check.Columns) > 0 {
			t.Errorf("%s", strings.Join(append(check.Details, check.Problem), "\n"))
		}
		exec(t, conn, `UPDATE types SET "Column 8" = 'other' WHERE k = 3`)
		if check := deep(t, conn, "types", asJSON, file); check.Same() || cmp.Diff([]string{"Column 8"}, check.Columns) != "" {
			t.Errorf("an altered value: %+v", check)
		}
	})
}

// TestDeepLeavesRejectsOutOfJSON holds that of records on one line those are left out that were
// rejected, and no others that are written like them.
func TestDeepLeavesRejectsOutOfJSON(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	exec(t, conn, "CREATE TABLE kept (id int PRIMARY KEY)")
	dir := t.TempDir()
	file := filepath.Join(dir, "kept.json")
	if err := os.WriteFile(file, []byte(`[{"id":1},{"id":2},{"id":1},{"id":1},{"id":"x"},{"id":3}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := loader.Open(context.Background(), loader.Config{
		Conn: conn.Config(), Table: "kept", Format: loader.FormatJSON, MaxErrors: loader.ErrorLimit{Records: 3}, RejectsDir: dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	res, err := l.Load(context.Background(), loader.File(file))
	if err != nil || res.Rows != 3 || res.Rejected != 3 {
		t.Fatalf("%+v, %v", res, err)
	}
	cfg := verify.DeepConfig{Conn: conn.Config(), Table: "kept", Reading: asJSON, Inputs: []verify.Input{verify.File(file)}, Rejects: []string{res.Rejects}}
	check, err := verify.Deep(context.Background(), cfg)
	if err != nil || !check.Same() || check.Input.Rows != 3 {
		t.Errorf("%+v, %v", check, err)
	}
}

// TestDeepSelectJSON holds that a key of JSON is compared as the load stores it: as JSON, as its
// text, and as the JSON of its text.
func TestDeepSelectJSON(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	file := filepath.Join(t.TempDir(), "docs.jsonl")
	if err := os.WriteFile(file, []byte(`{"k":1,"o":"5"}`+"\n"+`{"k":2,"o":{"a":[1]}}`+"\n"+`{"k":3,"o":7}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ list, where, first string }{
		{"k AS id, o AS doc", "", `"5"`},
		{"k AS id, o AS doc, _record ->> 'o' AS note", "_record ->> 'k' <> '3'", `"5"`},
		{"k AS id, to_jsonb(o) AS doc, o AS note", "o <> ''", `"5"`},
		{"k AS id, o::jsonb AS doc", "", `5`},
		{"k AS id, o::jsonb AS doc, o AS note", "k <> '3'", `5`},
	} {
		exec(t, conn, "DROP TABLE IF EXISTS docs", "CREATE TABLE docs (id int PRIMARY KEY, doc jsonb, note text)")
		l, err := loader.Open(context.Background(), loader.Config{Conn: conn.Config(), Table: "docs", Format: loader.FormatJSON, Select: test.list, Where: test.where})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = l.Load(context.Background(), loader.File(file)); err != nil {
			t.Errorf("%s: %v", test.list, err)
		}
		l.Close()
		if got := pgtest.Query(t, conn, "SELECT doc FROM docs WHERE id = 1"); got[0] != test.first {
			t.Errorf("%s: %s", test.list, got)
		}
		cfg := verify.DeepConfig{Conn: conn.Config(), Table: "docs", Reading: asJSON, Inputs: []verify.Input{verify.File(file)}, Select: test.list, Where: test.where}
		if check, err := verify.Deep(context.Background(), cfg); err != nil || !check.Same() || slices.Contains(check.NotCompared, "doc") {
			t.Errorf("%s: %+v, %v", test.list, check, err)
		}
		exec(t, conn, `UPDATE docs SET doc = CASE WHEN doc = '5' THEN '"5"' ELSE '5' END::jsonb WHERE id = 1`)
		if check, err := verify.Deep(context.Background(), cfg); err != nil || check.Same() || cmp.Diff([]string{"doc"}, check.Columns) != "" {
			t.Errorf("%s: an altered value: %+v, %v", test.list, check, err)
		}
	}
	cfg := verify.DeepConfig{Conn: conn.Config(), Table: "docs", Reading: asJSON, Inputs: []verify.Input{verify.File(file)}, Select: "k AS id, o AS doc", Where: "o <> ''"}
	if _, err := verify.Deep(context.Background(), cfg); err == nil || !strings.Contains(err.Error(), "is JSON for it") {
		t.Errorf("a key as JSON, and its text: %v", err)
	}
}
