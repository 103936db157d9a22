package loader_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// idRecords returns records of table flowing with the ids from one to another.
func idRecords(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "%d,%d,name of %d,1,2020-01-01\n", i, i%50, i)
	}
	return b.String()
}

// TestEditedFile holds that content which has much of what was loaded completely under
// the same name is not taken for more records, and that clearly other content is.
func TestEditedFile(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := makeFlowing(t, dsn)
	const header = "id,tenant,name,n,at\n"
	small, large := idRecords(0, 20), idRecords(0, 8000)
	edit := func(s string, ids ...int) string {
		for _, id := range ids {
			s = strings.Replace(s, fmt.Sprintf("name of %d,", id), "another name,", 1)
		}
		return s
	}
	type edited struct {
		name, was, now string
		alike          bool
	}
	for i, c := range pgtest.Some(6, []edited{
		{"a longer value", small, edit(small, 0), true},
		{"other order", small, idRecords(10, 20) + idRecords(0, 10) + idRecords(20, 21), true},
		{"large, head edited", large, edit(large, 0), true},
		{"large, moved on", large, idRecords(6000, 14_000), true},
		{"other records", small, idRecords(1000, 1030), false},
		{"large, other records", large, idRecords(100_000, 109_000), false},

		{"same size, first record", small, strings.Replace(small, "name of 0", "NAME OF 0", 1), true},
		{"a record less", small, idRecords(1, 20), true},
		{"large, both ends edited", large, edit(large, 0, 3, 7999), true},
		{"all records anew", small, idRecords(100, 130), false},
	}) {
		for kind, input := range map[string]func(string) loader.Input{
			"file":  func(s string) loader.Input { return loader.File(writeInput(t, []byte(header+s))) },
			"gzip":  func(s string) loader.Input { return loader.File(writeInput(t, gzipped(t, header+s))) },
			"stdin": func(s string) loader.Input { return loader.Reader("-", strings.NewReader(header+s)) },
		} {
			if kind != "file" && c.name != "a longer value" && c.name != "other records" {
				continue
			}
			if testing.Short() && (kind == "gzip" && !c.alike || kind == "stdin" && c.alike) {
				continue
			}
			exec(t, conn, "TRUNCATE flowing")
			var log bytes.Buffer
			cfg := loader.Config{Conn: parse(t, dsn), Table: "flowing", Job: fmt.Sprint(kind, i), Log: logTo(&log)}
			if _, err := run(t, cfg, input(c.was), 0); err != nil {
				t.Fatal(err)
			}
			_, err := run(t, cfg, input(c.now), 0)
			rows := strings.Count(c.was, "\n")
			if c.alike {
				isChanged(t, kind+", "+c.name, err, loader.ChangedComplete)
			} else {
				rows += strings.Count(c.now, "\n")
				if err != nil || !strings.Contains(log.String(), "other content was loaded under this name") {
					t.Errorf("%s, %s: %v, or no word of it:\n%s", kind, c.name, err, &log)
				}
			}
			sameCount(t, conn, rows)
		}
	}
}

func gzipped(t *testing.T, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestGrownCompressed holds that a compressed file that has grown is not said to be one of
// which the appended part can be loaded.
func TestGrownCompressed(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, "CREATE TABLE grown (id int)")
	cfg := loader.Config{Conn: parse(t, dsn), Table: "grown", Job: "grown"}
	text := "id\n" + strings.Repeat("1\n", 3000)
	first := gzipped(t, text)
	if _, err := run(t, cfg, loader.File(writeInput(t, first)), 0); err != nil {
		t.Fatal(err)
	}
	_, err := run(t, cfg, loader.File(writeInput(t, append(first, gzipped(t, "2\n")...))), 0)
	changed, ok := errors.AsType[*loader.ChangedInputError](err)
	if !ok || changed.When != loader.ChangedComplete {
		t.Errorf("error %v", err)
	}
}

// TestAppendedToNothing holds that where only what was appended is to be loaded, a file that does
// not begin with what was loaded is refused, in each format and whatever it looks like.
func TestAppendedToNothing(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := makeFlowing(t, dsn)
	record := func(id int) string {
		return fmt.Sprintf(`{"id":%d,"tenant":1,"name":"n","n":1,"at":"2020-01-01"}`, id)
	}
	array := func(ids ...int) string {
		var list []string
		for _, id := range ids {
			list = append(list, record(id))
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	for name, c := range map[string]struct {
		format   loader.Format
		was, now string
	}{
		"an array on one line":       {loader.FormatJSON, array(11, 12), array(11, 12, 13)},
		"the same, with line breaks": {loader.FormatJSON, array(11, 12) + "\n", array(11, 12, 13) + "\n"},
		"an array on two lines":      {loader.FormatJSON, "[" + record(11) + "\n," + record(12) + "]", array(11, 12, 13, 14)},
		"lines become an array":      {loader.FormatJSON, record(11) + "\n" + record(12) + "\n", array(11, 12, 13)},
		"CSV, all else":              {loader.FormatCSV, idRecords(0, 2), idRecords(100, 130)},
		"CSV, compressed":            {loader.FormatCSV, string(gzipped(t, idRecords(0, 2))), string(gzipped(t, idRecords(100, 130)))},
	} {
		exec(t, conn, "TRUNCATE flowing")
		cfg := loader.Config{Conn: parse(t, dsn), Table: "flowing", Job: name, Format: c.format, Appended: true}
		path := writeInput(t, []byte(c.was))
		if _, err := run(t, cfg, loader.File(path), 0); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(c.now), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := run(t, cfg, loader.File(path), 0)
		isChanged(t, name, err, loader.ChangedOther)
		sameCount(t, conn, 2)
	}
}
