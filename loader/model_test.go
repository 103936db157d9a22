package loader_test

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// A modelInput is an input, and what a load must make of it: the table gets each
// good record whose key is new, in the order of the input, and all others are
// rejected.
type modelInput struct {
	records []string
	rows    []string
	bad     map[int64]string // by line
}

const modelHeader = "id,tenant,name,n,at\n"

// drawInput draws an input.
func drawInput(t *rapid.T) *modelInput {
	m := &modelInput{bad: map[int64]string{}}
	taken := map[string]bool{}
	line := int64(2)
	kinds := rapid.SampledFrom([]string{"good", "good", "good", "good", "quoted", "odd", "unlike", "null", "few", "long", "13", "tenant", "again"})
	for i := range rapid.IntRange(1, 400).Draw(t, "records") {
		id, tenant := i, rapid.IntRange(-3, 30).Draw(t, "tenant")
		name, n, good := "x", fmt.Sprint(i*i), true
		record := ""
		switch kinds.Draw(t, "kind") {
		case "quoted":
			name = "a\n\"b,"
		case "odd": // the server is asked
			n = " +" + n
		case "unlike":
			n, good = "many", false
		case "null":
			name, good = "", false
		case "few":
			record, good = fmt.Sprintf("%d,%d", id, tenant), false
		case "long":
			name, good = strings.Repeat("long", 3), false
		case "13":
			n, good = "13", false
		case "tenant":
			record, good = fmt.Sprintf("%d,one,x,1,", id), false
		case "again":
			id = rapid.IntRange(0, i).Draw(t, "id")
		}
		if record == "" {
			field := name
			if strings.ContainsAny(name, "\n\",") {
				field = `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
			}
			record = fmt.Sprintf("%d,%d,%s,%s,", id, tenant, field, n)
		}
		key := fmt.Sprintf("%d|%d", id, tenant)
		if good && !taken[key] {
			taken[key] = true
			m.rows = append(m.rows, fmt.Sprintf("%s|%s|%s", key, name, strings.TrimLeft(n, " +")))
		} else {
			m.bad[line] = record
		}
		m.records = append(m.records, record+"\n")
		line += 1 + int64(strings.Count(record, "\n"))
	}
	slices.Sort(m.rows)
	return m
}

// blocks returns the records in blocks of random lengths.
func (m *modelInput) blocks(t *rapid.T) modelBlocks {
	var blocks modelBlocks
	for rest := m.records; len(rest) > 0; {
		n := rapid.IntRange(1, len(rest)).Draw(t, "block")
		blocks = append(blocks, []byte(strings.Join(rest[:n], "")))
		rest = rest[n:]
	}
	return blocks
}

// input returns the records as one of the kinds of input, and the line that it calls
// the first record's.
func (m *modelInput) input(t *rapid.T, path string) (in func() loader.Input, first int64) {
	data := modelHeader + strings.Join(m.records, "")
	switch rapid.SampledFrom([]string{"file", "reader", "blocks"}).Draw(t, "input") {
	case "reader":
		return func() loader.Input { return loader.Reader("-", strings.NewReader(data)) }, 2
	case "blocks":
		blocks := m.blocks(t)
		return func() loader.Input { return loader.Blocks("blocks", blocks) }, 1
	}
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() loader.Input { return loader.File(path) }, 2
}

// rejectedLines returns the records that are in a directory's list of rejects, by
// their lines if the first record stood on line 2.
func rejectedLines(t *testing.T, dir string, first int64) map[int64]string {
	t.Helper()
	lines := map[int64]string{}
	paths, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		for line, r := range readRejects(t, path) {
			lines[line+2-first] = r.bytes()
		}
	}
	return lines
}

// modelBlocks are the blocks of a modelInput.
type modelBlocks [][]byte

func (b modelBlocks) Header() []string                       { return []string{"id", "tenant", "name", "n", "at"} }
func (b modelBlocks) Len() int64                             { return int64(len(b)) }
func (b modelBlocks) AppendBlock(dst []byte, i int64) []byte { return append(dst, b[i]...) }

// TestModel compares loads of random inputs, in chunks and batches of random sizes,
// stopped at random moments and gone on with by another route, with a model.
//
//	go test ./loader -run TestModel -rapid.checks 1000
func TestModel(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn, ways := pgtest.Connect(t, dsn), routes(t)
		if strings.HasSuffix(t.Name(), "/citus") {
			ways = differentRoutes
		}
		exec(t, conn, tested)
		distribute(t, conn, "tested", "tenant")
		dir := t.TempDir()
		rapid.Check(t, func(rt *rapid.T) {
			m := drawInput(rt)
			exec(t, conn, "TRUNCATE tested")
			chunk := 1 << rapid.IntRange(6, 14).Draw(rt, "chunk")
			in, first := m.input(rt, filepath.Join(dir, "in.csv"))
			cfg := loader.Config{
				Conn: parse(t, dsn), Table: "tested", Job: cryptorand.Text(), RejectsDir: filepath.Join(dir, cryptorand.Text()),
				MaxErrors: loader.ErrorLimit{Percent: 100}, Memory: 8 << 20, MaxRecord: 1 << 20,
			}
			err := context.Canceled
			for runs := 0; errors.Is(err, context.Canceled); runs++ {
				cfg.Route = rapid.SampledFrom(ways).Draw(rt, "route")
				cfg.Streams = rapid.IntRange(1, 3).Draw(rt, "streams")
				cfg.Batch = 1 << rapid.IntRange(6, 14).Draw(rt, "batch")
				stop := int64(0)
				if runs < 4 {
					stop = rapid.Int64Range(0, 30).Draw(rt, "stop")
				}
				_, err = run(t, cfg.WithChunkSize(chunk), in(), stop)
			}
			if _, done := errors.AsType[*loader.CompleteError](err); err != nil && !done {
				rt.Fatal(err)
			}
			got := query(t, conn, "SELECT id, tenant, name, n FROM tested")
			slices.Sort(got)
			if diff := gocmp.Diff(m.rows, got, cmpopts.EquateEmpty()); diff != "" {
				rt.Errorf("rows (-want +got):\n%s", diff)
			}
			if diff := gocmp.Diff(m.bad, rejectedLines(t, cfg.RejectsDir, first), cmpopts.EquateEmpty()); diff != "" {
				rt.Errorf("rejected records by line (-want +got):\n%s", diff)
			}
		})
	})
}
