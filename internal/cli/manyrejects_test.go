package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shardload/internal/pgtest"
)

// TestManyProcessesReject holds that of a set which several processes load, each with a disk of its own, and which are
// killed and stopped at random, each bad record is in one list once, and in one file of records.
func TestManyProcessesReject(t *testing.T) {
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		runSQL(t, conn, "CREATE TABLE events (id int, tenant int, what text)")
		if strings.HasSuffix(t.Name(), "/citus") {
			runSQL(t, conn, "SELECT create_distributed_table('events', 'tenant', colocate_with => 'none')")
		}
		files, good, bad := manyBadFiles(t, 80, 400)
		lists := make([]string, manyProcesses)
		h := &herd{t: t, dsn: dsn}
		h.kills.Store(8)
		var all sync.WaitGroup
		for i := range lists {
			lists[i] = t.TempDir()
			all.Go(func() {
				h.live(i, 3, append([]string{"--batch", "20kB", "--max-errors", "20%", "--rejects", lists[i]}, files...)...)
			})
		}
		all.Wait()
		var got []string
		for _, dir := range lists {
			got = append(got, rejectedIn(t, dir)...)
		}
		slices.Sort(got)
		slices.Sort(bad)
		if diff := cmp.Diff(bad, got); diff != "" {
			t.Errorf("rejected (-want +got):\n%.3000s", diff)
		}
		stored := row(t, conn, "SELECT count(*), count(DISTINCT id) FROM events")
		if want := fmt.Sprintf("(%d,%[1]d)", good); stored != want {
			t.Errorf("count, different: %s, want %s", stored, want)
		}
		if left := row(t, conn, "SELECT count(*), (SELECT count(*) FROM pg_class WHERE relname LIKE 'shardload_rejects_%' AND relkind = 'r') FROM shardload_rejects"); left != "(0,0)" {
			t.Errorf("rows and tables left: %s", left)
		}
		t.Log(row(t, conn, "SELECT count(*) AS runs, sum(epoch - 1) AS taken_over, sum(rejected) FROM shardload_runs"))
	})
}

// manyBadFiles writes so many files of so many records each, one in ten of which is bad, and returns the number of
// good ones, and the bad ones as rejectedIn does.
func manyBadFiles(t *testing.T, files, each int) (paths []string, good int, bad []string) {
	t.Helper()
	dir := t.TempDir()
	for f := range files {
		var in bytes.Buffer
		in.WriteString("id,tenant,what\n")
		path := filepath.Join(dir, fmt.Sprintf("events.%03d.csv", f))
		for i := range each {
			id := f*each + i
			if i%10 != 3 {
				good++
				fmt.Fprintf(&in, "%d,%d,%s\n", id, id%89, strings.Repeat("what ", 40))
				continue
			}
			record := []string{fmt.Sprintf("%dx,%d,bad", id, id%89), fmt.Sprintf("%d,%d", id, id%89), fmt.Sprintf("%d,x%d,bad", id, id%89)}[i/10%3]
			bad = append(bad, fmt.Sprintf("%s:%d %s", path, i+2, record))
			in.WriteString(record + "\n")
		}
		if err := os.WriteFile(path, in.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths, good, bad
}

// rejectedIn returns what the lists in dir have, as "file:line record". The files of records beside them must have the same.
func rejectedIn(t *testing.T, dir string) (got []string) {
	t.Helper()
	lists, _ := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	for _, list := range lists {
		var records []string
		for _, line := range linesOf(t, list) {
			var r struct {
				Input, Record string
				Line          int64
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s:%d %s", r.Input, r.Line, r.Record))
			records = append(records, r.Record)
		}
		beside := linesOf(t, strings.TrimSuffix(list, ".jsonl")+".csv")
		if diff := cmp.Diff(append([]string{"id,tenant,what"}, records...), beside); diff != "" {
			t.Errorf("records beside %s (-list +file):\n%.2000s", list, diff)
		}
	}
	return got
}

func linesOf(t *testing.T, path string) (lines []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return lines
}
