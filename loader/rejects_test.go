package loader_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// A rejectLine is a line of a file of rejected records.
type rejectLine struct {
	Job      string  `json:"job"`
	Input    string  `json:"input"`
	Line     int64   `json:"line"`
	Offset   int64   `json:"offset"`
	Record   *string `json:"record"`
	Base64   []byte  `json:"record_base64"`
	Column   string  `json:"column"`
	SQLState string  `json:"sqlstate"`
	Reason   string  `json:"reason"`
}

func (r rejectLine) bytes() string {
	if r.Record != nil {
		return *r.Record
	}
	return string(r.Base64)
}

// readRejects returns the entries of a file, by line. It fails on two of one line.
func readRejects(t *testing.T, path string) map[int64]rejectLine {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
	}
	got := map[int64]rejectLine{}
	for line := range bytes.Lines(data) {
		var r rejectLine
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if _, twice := got[r.Line]; twice {
			t.Errorf("line %d is rejected twice", r.Line)
		}
		got[r.Line] = r
	}
	return got
}

const tested = `CREATE TABLE tested (id int, tenant int NOT NULL, name varchar(8) NOT NULL, n bigint CHECK (n <> 13), at timestamp, PRIMARY KEY (id, tenant))`

// A damage is a bad record, and how it is rejected.
type damage struct{ record, state string }

// strewn returns an input of n records, about one in every of which is bad, with the
// bad ones by line, and the keys of the good ones.
func strewn(n, every int) (in []byte, bad map[int64]damage, good []string) {
	rng := rand.New(rand.NewPCG(1, 2))
	bad = map[int64]damage{}
	var b bytes.Buffer
	b.WriteString("id,tenant,name,n,at\n")
	line := int64(2)
	var last string
	put := func(record string) {
		b.WriteString(record + "\n")
		line += 1 + int64(strings.Count(record, "\n"))
	}
	for i := range n {
		key := fmt.Sprintf("%d,%d", i, i%37)
		if last == "" || rng.IntN(every) > 0 {
			name := "x"
			if i%50 == 0 {
				name = "\"a\nb\""
			}
			n := fmt.Sprint(i + 100)
			if i%70 < 3 {
				n = " " + n // the server is asked
			}
			put(key + "," + name + "," + n + ",2024-01-02 03:04:05")
			last = key
			good = append(good, strings.ReplaceAll(key, ",", "|"))
			continue
		}
		kinds := []damage{
			{key + ",x,many,", "22P02"},
			{key + ",x,99999999999999999999,", "22003"},
			{key + ",x,1,2024-02-30 00:00:00", "22008"},
			{key + ",,1,", "23502"},
			{key + ",x,13,", "23514"},
			{key + ",far too long,1,", "22001"},
			{key + ",\xff,1,", "22021"},
			{last + ",again,1,", "23505"},
			{key + ",x,1", "22P04"},
			{key + ",x,1,,", "22P04"},
			{`\.`, "22P04"},
			{"", "22P04"},
			{"one," + fmt.Sprint(i%37) + ",x,1,", "22P02"},
			{fmt.Sprint(i) + ",one,x,1,", "22P02"},
			{fmt.Sprint(i) + ",,x,1,", "23502"},
		}
		d := kinds[rng.IntN(len(kinds))]
		bad[line] = d
		put(d.record)
	}
	d := damage{"-1,1,\"open,1,\n-2,1,x,1,", "22P04"}
	bad[line] = d
	b.WriteString(d.record + "\n")
	slices.Sort(good)
	return b.Bytes(), bad, good
}

// writeInput writes a file in a new directory.
func writeInput(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.csv")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// checkRejects compares what was rejected with what is bad.
func checkRejects(t *testing.T, path string, bad map[int64]damage, in []byte) {
	t.Helper()
	got := readRejects(t, path)
	if len(got) != len(bad) {
		t.Errorf("%d records rejected, want %d", len(got), len(bad))
	}
	hidden := strings.Contains(t.Name(), "/citus/") && (!strings.Contains(t.Name(), "/shard") || strings.HasSuffix(t.Name(), "/whole"))
	for line, want := range bad {
		r, ok := got[line]
		if !ok || r.bytes() != want.record || !bytes.HasPrefix(in[r.Offset:], []byte(want.record)) {
			t.Errorf("line %d: rejected %q at %d, want %q", line, r.bytes(), r.Offset, want.record)
		}
		state := r.SQLState == want.state || want.state == "23502" && r.SQLState == "22004" || hidden && r.SQLState == "XX000"
		if !state || r.Reason == "" {
			t.Errorf("line %d: %q: %s %s, want %s", line, want.record, r.SQLState, r.Reason, want.state)
		}
	}
}

// goodKeys returns what the table has.
func goodKeys(t *testing.T, conn *pgx.Conn) []string {
	got := query(t, conn, "SELECT id, tenant FROM tested")
	slices.Sort(got)
	return got
}

// TestRejects holds that bad records of every kind, strewn into good ones, are kept
// aside with line and reason, that all others are stored, and that mending and
// loading the file of records completes the table.
func TestRejects(t *testing.T) {
	t.Parallel()
	in, bad, good := strewn(1000, 20)
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		exec(t, conn, "DROP TABLE IF EXISTS tested; "+tested)
		distribute(t, conn, "tested", "tenant")
		ways := []string{"whole", "pieces", "no progress", "stream"}
		if route == loader.RouteNode || testing.Short() && strings.Contains(t.Name(), "/citus/") {
			ways = inTurn(len(route), ways)
		}
		for _, how := range ways {
			t.Run(how, func(t *testing.T) {
				exec(t, conn, "TRUNCATE tested")
				dir := t.TempDir()
				cfg := loader.Config{Conn: parse(t, dsn), Table: "tested", Route: route, MaxErrors: loader.ErrorLimit{Percent: 20}, RejectsDir: dir, Batch: 8 << 10}
				cfg.NoResume = how == "no progress"
				rec := &recorder{}
				cfg.Observe = rec.add
				input := loader.File(writeInput(t, in))
				if how == "stream" {
					input = loader.Reader("in.csv", bytes.NewReader(in))
				}
				if how == "whole" {
					cfg.Route = loader.RouteAuto
				}
				res, err := open(t, cfg).Load(context.Background(), input)
				if err != nil {
					t.Fatal(err)
				}
				if res.Rejected != int64(len(bad)) || res.Rows != int64(len(good)) || res.Rejects != filepath.Join(dir, "tested.rejects.jsonl") {
					t.Errorf("Result %+v, want %d and %d rejected", res, len(good), len(bad))
				}
				if rec.rows != res.Rows || rec.rejected != res.Rejected {
					t.Errorf("the observer heard of %d rows and %d rejected", rec.rows, rec.rejected)
				}
				if diff := gocmp.Diff(good, goodKeys(t, conn)); diff != "" {
					t.Errorf("rows (-want +got):\n%s", diff)
				}
				checkRejects(t, res.Rejects, bad, in)
				checkReasons(t, res.Reasons)
				mend(t, dsn, conn, filepath.Join(dir, "tested.rejects.csv"), bad)
			})
		}
	})
}

// checkReasons holds that the summary tells violated constraints apart, even where the
// coordinator calls them all by one code.
func checkReasons(t *testing.T, reasons []loader.Reason) {
	t.Helper()
	named := map[string]bool{}
	for _, r := range reasons {
		if _, constraint, ok := strings.Cut(r.Example, " violates "); ok {
			named[constraint] = true
		}
	}
	for _, want := range []string{"not-null constraint", "check constraint \"tested_n_check", "unique constraint \"tested_pkey"} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(named)), func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("no %s among the reasons %v", want, reasons)
		}
	}
}

// mend mends the rejected records and loads them.
func mend(t *testing.T, dsn string, conn *pgx.Conn, path string, bad map[int64]damage) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	want.WriteString("id,tenant,name,n,at\n")
	mended := want.String()
	lines := []int64{}
	for line := range bad {
		lines = append(lines, line)
	}
	slices.Sort(lines)
	for i, line := range lines {
		want.WriteString(bad[line].record + "\n")
		mended += fmt.Sprintf("%d,1,mended,1,\n", -1-i)
	}
	if diff := gocmp.Diff(want.String(), string(data)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
	before := len(goodKeys(t, conn))
	if err := os.WriteFile(path, []byte(mended+"1,1,\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := open(t, loader.Config{Conn: parse(t, dsn), Table: "tested", MaxErrors: loader.ErrorLimit{Records: 1}, RejectsDir: filepath.Dir(path)})
	res, err := l.Load(context.Background(), loader.File(path))
	if err != nil {
		t.Fatal(err)
	}
	if after := len(goodKeys(t, conn)); after != before+len(bad) || !strings.HasSuffix(res.Rejects, "tested.rejects.2.jsonl") {
		t.Errorf("%d rows, want %d; rejects %s", after, before+len(bad), res.Rejects)
	}
	if now, err := os.ReadFile(path); err != nil || string(now) != mended+"1,1,\n" {
		t.Errorf("the file that was loaded has changed: %v", err)
	}
}

// TestRejectsResume holds that a load which is stopped again and again rejects each
// bad record once.
func TestRejectsResume(t *testing.T) {
	t.Parallel()
	in, bad, good := strewn(20_000, 40)
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		exec(t, conn, "DROP TABLE IF EXISTS tested; "+tested)
		distribute(t, conn, "tested", "tenant")
		dir := t.TempDir()
		path := writeInput(t, in)
		cfg := loader.Config{Conn: parse(t, dsn), Table: "tested", Route: route, MaxErrors: loader.ErrorLimit{Records: 10_000}, RejectsDir: dir, Batch: 8 << 10, Job: "resumed", Memory: 8 << 20, MaxRecord: 2 << 20}
		if route == loader.RouteCoordinator {
			cfg.Memory = 8 << 20 // smaller than needed to store it whole
		}
		for run := 1; ; run++ {
			ctx, cancel := context.WithCancel(context.Background())
			var batches atomic.Int64 // streams to several nodes report them
			stop := cfg
			stop.Streams = 1
			stop.Observe = func(loader.StoredBatch) {
				if batches.Add(1) == int64(25*run) {
					cancel()
				}
			}
			res, err := open(t, stop).Load(ctx, loader.File(path))
			cancel()
			if err == nil {
				if run == 1 {
					t.Error("the load was not stopped once")
				}
				if res.Rejected != int64(len(bad)) {
					t.Errorf("%d rejected, want %d", res.Rejected, len(bad))
				}
				checkRejects(t, res.Rejects, bad, in)
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		if diff := gocmp.Diff(good, goodKeys(t, conn)); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
		if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 2 {
			t.Errorf("files %v, want one of each kind", files)
		}
	})
}

// TestTooManyRejects holds that a load stops early, and goes on when more is
// allowed.
func TestTooManyRejects(t *testing.T) {
	t.Parallel()
	eachRoute(t, func(t *testing.T, dsn string, conn *pgx.Conn, route loader.Route) {
		exec(t, conn, "DROP TABLE IF EXISTS tested; "+tested)
		distribute(t, conn, "tested", "tenant")
		for _, record := range []string{"x,1,1\n", "x,1,a,1,\n", "1,1,a,1,\n"} {
			exec(t, conn, "TRUNCATE tested")
			in := "id,tenant,name,n,at\n" + strings.Repeat(record, pgtest.Sized(30_000, 100_000))
			cfg := loader.Config{Conn: parse(t, dsn), Table: "tested", Route: route, MaxErrors: loader.ErrorLimit{Records: 10}, RejectsDir: t.TempDir(), NoResume: true}
			res, err := open(t, cfg).Load(context.Background(), loader.File(writeInput(t, []byte(in))))
			many, ok := errors.AsType[*loader.TooManyError](err)
			if !ok || many.Rejected < 11 || many.Rejected > 20 || !strings.Contains(err.Error(), "more than Config.MaxErrors 10 allows; the last one: ") {
				t.Errorf("%q: error %v", record, err)
			}
			if res.Rejected > 10 {
				t.Errorf("%d rejected", res.Rejected)
			}
		}
	})
}

// TestPassingError holds that no record is rejected for an error of a run of rows that
// does not come again.
func TestPassingError(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, tested+`; CREATE SEQUENCE calls;
		CREATE FUNCTION once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF nextval('calls') = 1 THEN RAISE EXCEPTION 'a hiccup'; END IF; RETURN NULL; END $$;
		CREATE TRIGGER once BEFORE INSERT ON tested FOR EACH STATEMENT EXECUTE FUNCTION once()`)
	var in strings.Builder
	in.WriteString("id,tenant,name,n,at\n")
	for i := range 1000 {
		fmt.Fprintf(&in, "%d,1,x,1,\n", i)
	}
	res, err := load(t, dsn, "tested", in.String(), func(c *loader.Config) { c.MaxErrors, c.RejectsDir = loader.ErrorLimit{Records: 5}, t.TempDir() })
	if err != nil || res.Rows != 1000 || res.Rejected != 0 {
		t.Errorf("%d rows, %d rejected, %v; want all 1000", res.Rows, res.Rejected, err)
	}
}
