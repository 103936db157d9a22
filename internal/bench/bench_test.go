package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestPoints(t *testing.T) {
	grid := Grid{Shapes: []string{DefaultShape}, AllStreams: []int{2, 4}, Batches: []int64{4, 1, 16}, Notations: []Notation{Binary, CSV}, Shards: []int{32}, Rows: []int64{10}, Orders: []Order{Mixed, Sorted}}
	text := func(points []Point) (list []string) {
		for _, p := range points {
			list = append(list, fmt.Sprintf("%s %d %d %s %d %d %s", p.Route, p.AllStreams, p.Batch, p.Notation, p.Shards, p.Rows, p.Order))
		}
		return list
	}
	want := []string{
		"shard 2 4 binary 32 10 mixed", "node 2 4 binary 32 10 mixed", "shard 4 4 binary 32 10 mixed",
		"shard 2 1 binary 32 10 mixed", "shard 2 16 binary 32 10 mixed", "shard 2 4 csv 32 10 mixed", "shard 2 4 binary 32 10 sorted",
	}
	routes := []loader.Route{loader.RouteShard, loader.RouteNode}
	if diff := cmp.Diff(want, text(grid.points(routes))); diff != "" {
		t.Errorf("one at a time (-want +got):\n%s", diff)
	}
	grid.Cross = true
	if got := len(grid.points(routes)); got != 2*2*3*2*2 {
		t.Errorf("combined: %d points, want 48", got)
	}
}

func TestConfigMistakes(t *testing.T) {
	cfg := Config{
		Conn: &pgx.ConnConfig{}, Dir: "x", Rivals: []Rival{{Name: "x"}}, Rounds: Rounds{Slow: -1},
		Grid: Grid{Routes: []loader.Route{"auto"}, AllStreams: []int{0}, Batches: []int64{1, 1}, Orders: []Order{Mixed, Mixed}, Notations: []Notation{"text"}},
		Arms: []string{"psql", "copy-batches", "shardload:node", "x", "nothing"},
	}
	err := cfg.Validate()
	for _, want := range []string{
		`route "auto"`, "streams 0: want 1 to", "batch 1 is there twice", `rival "x": want name=command`,
		"order mixed is there twice", `format "text": want one of ["binary" "csv"]`, "slow after -1ns", `no arm is named "nothing": want some of shardload:shard, `,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate does not say %q: %v", want, err)
		}
	}
}

// Every arm that a benchmark makes has a name that --arms may have.
func TestArmNames(t *testing.T) {
	s := &site{cfg: Config{Conn: &pgx.ConnConfig{}}.withDefaults(), citus: true, place: &place{}}
	ours, others := loaders{site: s}, rivals{site: s}
	p := Point{Shape: DefaultShape, Route: loader.RouteShard, AllStreams: 2}
	arms, skips := others.arms(p, 2)
	names := []string{ours.arm(p).Name, ours.wireArm(p).Name, ours.sinkArm(p).Name}
	for _, a := range arms {
		names = append(names, a.Name)
	}
	for _, s := range skips {
		names = append(names, s.Arm)
	}
	for _, name := range names {
		if err := (Config{Arms: []string{name}}).Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestQuantiles(t *testing.T) {
	list := []float64{}
	for i := range 100 {
		list = append(list, float64(i+1))
	}
	for q, want := range map[float64]float64{0: 1, 0.07: 7, 0.5: 50, 0.9: 90, 0.99: 99, 1: 100} {
		if got := *quantile(list, q); got != want {
			t.Errorf("quantile %v of 1 to 100 is %v, want %v", q, got, want)
		}
	}
}

func TestWithoutPassword(t *testing.T) {
	for dsn, want := range map[string]string{
		"postgres://me:secret@h:1/db?sslmode=disable":                        "postgres://me@h:1/db?sslmode=disable",
		"postgresql://me@h/db?password=secret&passfile=/secret&options=-c+a": "postgresql://me@h/db?options=-c%20a",
		"host=h password=secret user=me":                                     "host=h  user=me",
		`host=h PassWord = 'sec\'ret 1' user=me`:                             "host=h  user=me",
		"host=h sslpassword='secret 2' user=me":                              "host=h  user=me",
		"postgres://me@h/db?sslpassword=secret&sslmode=require":              "postgres://me@h/db?sslmode=require",
		`password=sec\ ret`:                                                  "",
	} {
		if got := withoutPassword(dsn); got != want {
			t.Errorf("withoutPassword(%q) = %q, want %q", dsn, got, want)
		}
	}
}

// The pieces of a file are the whole, and a sorted one has the same records.
func TestFiles(t *testing.T) {
	ctx := context.Background()
	mixed, err := makeFile(ctx, t.TempDir(), 1, Point{Shape: DefaultShape, Rows: 20_000, Order: Mixed})
	if err != nil {
		t.Fatal(err)
	}
	sorted, err := makeFile(ctx, t.TempDir(), 1, Point{Shape: DefaultShape, Rows: 20_000, Order: Sorted})
	if err != nil {
		t.Fatal(err)
	}
	pieces, err := mixed.split(2)
	if err != nil || len(pieces) != 2 {
		t.Fatalf("split into %d pieces: %v", len(pieces), err)
	}
	read := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	whole := read(mixed.path)
	header, rows, _ := strings.Cut(whole, "\n")
	if rows != read(pieces[0])+read(pieces[1]) {
		t.Error("the pieces do not add up to the file")
	}
	lines := strings.SplitAfter(read(sorted.path), "\n")
	if lines[0] != header+"\n" || mixed.bytes != sorted.bytes {
		t.Errorf("the sorted file begins with %q and has %d bytes, want %q and %d", lines[0], sorted.bytes, header, mixed.bytes)
	}
	last := 0
	for _, line := range lines[1 : len(lines)-1] {
		var id, company int
		if _, err := fmt.Sscanf(line, "%d,%d,", &id, &company); err != nil || company < last {
			t.Fatalf("line %q follows company %d: %v", line, last, err)
		}
		last = company
	}
}

// A benchmark measures its arms in turn, counts what they store, gives up the one
// that does not store everything, and leaves nothing behind.
func TestRun(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		cfg := testConfig(t, dsn)
		cfg.Repeat, cfg.Warmup = 2, 0
		cfg.Arms = []string{"shardload", "wire-limit", "null-sink", "psql", "psql-split", "copy-batches", "server-file", "lossy", "none"}
		if strings.HasSuffix(t.Name(), "citus") {
			cfg.Repeat = 1 // of many more arms
		}
		if testing.Short() {
			cfg.Routes, cfg.Arms = []loader.Route{loader.RouteCoordinator}, []string{"shardload", "psql", "lossy", "none"}
		}
		cfg.Rivals = []Rival{{"lossy", `psql -Xq {dsn} -c "insert into {table} select 1,1,1,'','','',0,0,now(),now()"`}, {"none", "no-such-program"}}
		var last Running
		begun, ended := 0, 0
		cfg.Running = func(r Running) func() {
			begun, last = begun+1, r
			return func() { ended++ }
		}
		b, err := Open(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		report, err := b.Run(ctx)
		if err != nil || !report.Complete {
			t.Errorf("run: %v", err)
		}
		if begun == 0 || ended != begun || last.Number != begun || last.Of != begun {
			t.Errorf("%d runs began, %d ended, and the last was %+v", begun, ended, last)
		}
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
		skipped := map[string]string{}
		for _, s := range report.Skipped {
			skipped[s.Arm] = s.Why
		}
		if got := skipped["lossy"]; got != "the table held 1 rows afterwards, not 1000" {
			t.Errorf("a rival that loses rows: %q", got)
		}
		if got := skipped["none"]; got != "no-such-program is not on PATH" {
			t.Errorf("a rival that is not there: %q", got)
		}
		for _, g := range report.Groups() {
			if r := g.Arm(); len(g.Runs) != cfg.Repeat || r.RowsPerSecond <= 0 || r.WAL == nil {
				t.Errorf("%s: %d runs, %+v", g.Label, len(g.Runs), r)
			}
		}
		var left int
		if err := pgtest.Connect(t, dsn).QueryRow(ctx, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'shardload\\_bench%'").Scan(&left); err != nil || left > 0 {
			t.Errorf("%d schemas are left behind: %v", left, err)
		}
		if !testing.Short() && strings.HasSuffix(t.Name(), "postgres") { // charts take long to draw under the race detector
			checkFiles(t, report)
		}
	})
}

// checkFiles writes the report and reads it back.
func checkFiles(t *testing.T, report Report) {
	t.Helper()
	dir := t.TempDir()
	if err := report.Write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	report.Batches = nil // they are in a file of their own
	if diff := cmp.Diff(&report, got); diff != "" {
		t.Errorf("read back (-wrote +read):\n%s", diff)
	}
	text, err := os.ReadFile(filepath.Join(dir, BenchFile))
	if err != nil || !strings.Contains(string(text), "BenchmarkLoad/arm=") {
		t.Errorf("%s: %v: %s", BenchFile, err, text)
	}
}

// An interrupted benchmark says what it has, and cleans up.
func TestRunInterrupted(t *testing.T) {
	dsn := pgtest.Plain(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cfg := testConfig(t, dsn)
	cfg.Arms, cfg.Repeat = []string{"shardload", "psql"}, 1000
	cfg.Note = func(format string, args ...any) {
		if strings.HasPrefix(fmt.Sprintf(format, args...), "2 of 1000") {
			cancel()
		}
	}
	b, err := Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	report, err := b.Run(ctx)
	if err == nil || report.Complete || len(report.Results) == 0 {
		t.Errorf("run: %v, complete: %t, %d results", err, report.Complete, len(report.Results))
	}
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
	var left int
	conn := pgtest.Connect(t, dsn)
	if err := conn.QueryRow(context.Background(), "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'shardload\\_bench%'").Scan(&left); err != nil || left > 0 {
		t.Errorf("%d schemas are left behind: %v", left, err)
	}
}

// A program that is interrupted ends, with what it has started.
func TestProgramInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	r := rivals{site: &site{cfg: Config{Conn: &pgx.ConnConfig{}}}}
	ended := make(chan error)
	go func() { ended <- r.program(ctx, nil, "sh", "-c", "(echo started; sleep 1000) > "+pipe+"; true") }()
	f, err := os.Open(pipe) // waits for the child
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	said := make([]byte, 8)
	if _, err := io.ReadFull(f, said); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("program: %v", err)
	}
	if _, err := io.ReadAll(f); err != nil { // until nobody has it open for writing
		t.Error(err)
	}
}

func testConfig(t *testing.T, dsn string) Config {
	t.Helper()
	conn, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Conn: conn, DSN: dsn, Dir: t.TempDir(), Rounds: Rounds{Repeat: 1},
		Grid: Grid{Rows: []int64{1000}, AllStreams: []int{2}, Batches: []int64{64 << 10}, Shards: []int{4}},
	}
}

// A stream more or less than the nodes can share makes no arm of its own.
func TestDistinct(t *testing.T) {
	l := loaders{site: &site{}, nodes: 2}
	var got []string
	for _, p := range l.distinct([]Point{{Route: "shard", AllStreams: 1}, {Route: "shard", AllStreams: 2}, {Route: "node", AllStreams: 5}, {Route: "coordinator", AllStreams: 1}}) {
		got = append(got, fmt.Sprint(p.Route, p.AllStreams))
	}
	if diff := cmp.Diff([]string{"shard2", "node4", "coordinator1"}, got); diff != "" {
		t.Errorf("distinct (-want +got):\n%s", diff)
	}
}

// The password of a key is in no argument: libpq reads it from a file of ours.
func TestSecrets(t *testing.T) {
	conn, err := pgx.ParseConfig("host=h user=me password=first")
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Conn: conn, DSN: "host=h user=me password=first sslpassword='sec ret'"}
	env, err := secrets(t.TempDir(), cfg)
	if err != nil || len(env) != 3 || env[0] != "PGPASSWORD=first" || env[2] != "PGSERVICE=shardload" {
		t.Fatalf("%q, %v", env, err)
	}
	file := strings.TrimPrefix(env[1], "PGSERVICEFILE=")
	text, err := os.ReadFile(file)
	if err != nil || string(text) != "[shardload]\nsslpassword=sec ret\n" {
		t.Errorf("%q, %v", text, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	cfg.DSN = "host=h"
	if env, err := secrets(t.TempDir(), cfg); err != nil || len(env) != 1 {
		t.Errorf("%q, %v", env, err)
	}
}
