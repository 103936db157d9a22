package verify_test

import (
	"context"
	"strings"
	"testing"

	"shardload/internal/pgtest"
	"shardload/internal/verify"
)

// Files of each dialect of CSV are read as COPY reads them, lines before the header are no
// records, and where something else is said of them they differ.
func TestDeepReadsDialects(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	exec(t, conn, "CREATE TABLE t (id int, a text, b text)")
	for name, tt := range map[string]struct {
		text, copy string
		reading    verify.Reading
	}{
		"quote":  {"1,'it''s, so',\"\n2,'a\nb','x'\n", "QUOTE ''''", verify.Reading{Quote: '\''}},
		"escape": {"1,\"a\\\"b\",c\\\n2,\"a\\\\\",\"b\n\"\n", `ESCAPE '\'`, verify.Reading{Escape: '\\'}},
		"force":  {"1,\"\",\n2,\"\",x\n", "FORCE_NULL (a), FORCE_NOT_NULL (b)", verify.Reading{ForceNull: []string{"a"}, ForceNotNull: []string{"b"}}},
		"all":    {"1,\"\",\"\"\n2,\"\",x\n", "FORCE_NULL (id, a, b)", verify.Reading{ForceNull: []string{"*"}}},
	} {
		exec(t, conn, "TRUNCATE t")
		copyFile(t, conn, "t", writeFile(t, "plain.csv", tt.text), "FORMAT csv, "+tt.copy)
		for _, before := range []string{"", "made by \"x\n\n"} {
			file := writeFile(t, "t.csv", before+"id,a,b\n"+tt.text)
			reading := tt.reading
			reading.Skip = strings.Count(before, "\n")
			if check := deep(t, conn, "t", reading, file); !check.Same() || check.Database.Rows != 2 {
				t.Errorf("%s, %d lines before: %s\n%s", name, reading.Skip, check.Problem, strings.Join(check.Details, "\n"))
			}
			other, err := verify.Deep(context.Background(), verify.DeepConfig{Conn: conn.Config(), Table: "t", Reading: verify.Reading{Skip: reading.Skip}, Inputs: []verify.Input{verify.File(file)}})
			if err == nil && other.Same() {
				t.Errorf("%s: the usual dialect gives the same", name)
			}
		}
	}
	exec(t, conn, "TRUNCATE t", `INSERT INTO t VALUES (1, 'say "hi', 'C:\new')`)
	file := writeFile(t, "t.csv", "id|a|b\n1|say \"hi|C:\\new\n")
	if check := deep(t, conn, "t", verify.Reading{NoQuotes: true, Delimiter: '|', Header: verify.HeaderMatch}, file); !check.Same() || check.Database.Rows != 1 {
		t.Errorf("no quotes: %s\n%s", check.Problem, strings.Join(check.Details, "\n"))
	}
	_, err := verify.Deep(context.Background(), verify.DeepConfig{Conn: conn.Config(), Table: "t", Reading: verify.Reading{ForceNull: []string{"c"}}, Inputs: []verify.Input{verify.File(file)}})
	if err == nil || !strings.Contains(err.Error(), `column "c"`) {
		t.Errorf("an unknown column: %v", err)
	}
}
