package loader_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// keyCases are violations of which the server names the key and not the line.
var keyCases = []struct {
	name   string
	header string
	row    func(i int) string // of 3,000
	first  int64              // line of the record at fault, or of the first that may be
	last   int64              // 0 if it is certain
	detail string
}{
	{"a missing parent, binary", "id,parent,day,s", func(i int) string { return fmt.Sprintf("%d,%d,2020-01-02,x", i, 1+i/1234) }, 1236, 0, "(parent)=(2)"},
	{"a missing parent, as text", "s,parent,id,amount", func(i int) string { return fmt.Sprintf("\"a\n\",%s%d,%d,1e1", "00", 1+i/1234, i) }, 2470, 0, "(parent)=(2)"},
	{"a key of two columns, deferred", "day,id,s,parent", func(i int) string { return fmt.Sprintf("2020-01-02,%d,\"v, %d\",1", i, i-i/1234*5) }, 1231, 1236, "(day, s)=(2020-01-02, v, 1229)"},
}

// TestKeyIsNamed holds that an error of a key names the key, and the record where it
// can be told: the server itself names a whole batch.
func TestKeyIsNamed(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, `CREATE TABLE parents (id integer PRIMARY KEY); INSERT INTO parents VALUES (1);
			CREATE TABLE keyed (id bigint, parent integer REFERENCES parents, day date, s text, amount numeric, UNIQUE (day, s) DEFERRABLE INITIALLY DEFERRED)`)
	for _, c := range keyCases {
		for _, hide := range []bool{false, true} {
			_, err := load(t, dsn, "keyed", keyInput(c.header, c.row), func(cfg *loader.Config) { cfg.NoDetail = hide })
			checkKeyError(t, fmt.Sprintf("%s, without detail %t", c.name, hide), err, c.first, c.last, c.detail, hide)
		}
	}
	if got := query(t, conn, "SELECT count(*) FROM keyed")[0]; got != "0" {
		t.Errorf("%s rows are stored", got)
	}
	keptDetails(t, dsn)
}

// keptDetails holds that the list of rejected records has the key, unless it must not.
func keptDetails(t *testing.T, dsn string) {
	t.Helper()
	for _, hide := range []bool{false, true} {
		dir := t.TempDir()
		result, err := load(t, dsn, "keyed", "id,parent\n1,1\n2,77\n", func(cfg *loader.Config) {
			cfg.NoDetail, cfg.RejectsDir, cfg.MaxErrors = hide, dir, loader.ErrorLimit{Records: 5}
		})
		if err != nil || result.Rejected != 1 {
			t.Fatalf("rejected %d, %v", result.Rejected, err)
		}
		list, err := os.ReadFile(filepath.Join(dir, "keyed.rejects.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		for where, text := range map[string]string{"the list": string(list), "the reasons": fmt.Sprint(result.Reasons)} {
			if strings.Contains(text, "(parent)=(77)") == hide {
				t.Errorf("without detail %t: %s: %s", hide, where, text)
			}
		}
	}
}

// Behind the coordinator of a cluster no duplicate is named by its line.
func TestKeyIsNamedBehindCoordinator(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Citus(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, "CREATE TABLE keyed (id integer, company_id integer, s text, PRIMARY KEY (id, company_id)); SELECT create_distributed_table('keyed', 'company_id', colocate_with => 'none')")
	exec(t, conn, "INSERT INTO keyed VALUES (2000, 3)")
	for _, route := range []loader.Route{loader.RouteCoordinator, loader.RouteNode, loader.RouteShard} {
		in := keyInput("id,company_id,s", func(i int) string { return fmt.Sprintf("%d,3,x", i) })
		_, err := load(t, dsn, "keyed", in, func(cfg *loader.Config) { cfg.Route = route })
		checkKeyError(t, string(route), err, 2002, 0, "(id, company_id)=(2000, 3)", false)
	}
}

func keyInput(header string, row func(int) string) string {
	var b strings.Builder
	b.WriteString(header + "\n")
	for i := range 3000 {
		b.WriteString(row(i) + "\n")
	}
	return b.String()
}

func checkKeyError(t *testing.T, name string, err error, first, last int64, detail string, hide bool) {
	t.Helper()
	row, ok := errors.AsType[*loader.RowError](err)
	if !ok {
		t.Errorf("%s: %v", name, err)
		return
	}
	if row.Line != first || row.LastLine != last {
		t.Errorf("%s: lines %d to %d, want %d to %d: %v", name, row.Line, row.LastLine, first, last, err)
	}
	if strings.Contains(err.Error(), detail) == hide {
		t.Errorf("%s: without detail %t: %v", name, hide, err)
	}
}
