package loader_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// long reports whether the tests are to try everything, and often:
// SHARDLOAD_TEST_CHAOS=1 go test -timeout 30m ./loader -run 'Resume|Runs|Fault|Crash|Stop|Model|Reject|Alone'
func long() bool { return os.Getenv("SHARDLOAD_TEST_CHAOS") != "" }

// sized returns a size for the normal tests, or that for the long ones.
func sized[T any](normal, longer T) T {
	if long() {
		return longer
	}
	return normal
}

// inTurn returns the whole list in the long tests, and else the one of it whose turn it is.
func inTurn[T any](n int, list []T) []T {
	if long() {
		return list
	}
	i := n % len(list)
	return list[i : i+1 : i+1] // nobody appends to the list itself
}

// pieces returns the settings of a load of table flowing in hundreds of batches.
func pieces(t *testing.T, dsn string) loader.Config {
	return loader.Config{Conn: parse(t, dsn), Table: "flowing", Job: "chaos", Batch: 8 << 10, Memory: 8 << 20, MaxRecord: 1 << 20}
}

// run loads in with a Loader of its own, as a new process does. The load is
// interrupted after that many batches; 0 lets it end.
func run(t *testing.T, cfg loader.Config, in loader.Input, batches int64) (loader.Result, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var stored atomic.Int64
	cfg.Observe = func(loader.StoredBatch) {
		if stored.Add(1) == batches {
			cancel()
		}
	}
	l, err := loader.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Load(ctx, in)
}

// makeFlowing makes the table flowing, distributed if the server has Citus.
func makeFlowing(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, flowing)
	distribute(t, conn, "flowing", "tenant")
	return conn
}

// complete holds that cfg has nothing left to load of in, and leaves nothing behind
// but the job's summary.
func complete(t *testing.T, conn *pgx.Conn, cfg loader.Config, in loader.Input, rows int) {
	t.Helper()
	sameRows(t, conn, "flowing", rows)
	_, err := run(t, cfg, in, 0)
	done, ok := errors.AsType[*loader.CompleteError](err)
	if !ok || done.Rows != int64(rows) {
		t.Errorf("once more: %v, want a CompleteError of %d rows", err, rows)
	}
	sameRows(t, conn, "flowing", rows)
	if got := query(t, conn, "SELECT count(*), sum(rows) FROM shardload_jobs WHERE finished IS NOT NULL AND progress IS NULL")[0]; got != fmt.Sprintf("1|%d", rows) {
		t.Errorf("complete jobs|rows: %s, want 1|%d", got, rows)
	}
}

// flowBlocks is a flow in blocks.
type flowBlocks [][]byte

func (b flowBlocks) Header() []string                       { return []string{"id", "tenant", "name", "n", "at"} }
func (b flowBlocks) Len() int64                             { return int64(len(b)) }
func (b flowBlocks) AppendBlock(dst []byte, i int64) []byte { return append(dst, b[i]...) }

// flowInputs returns the ways to give the first rows of a flow, each as often as it
// is called for.
func flowInputs(t *testing.T, rows int) (inputs map[string]func() loader.Input, n int) {
	t.Helper()
	path, n := flowFile(t, rows)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(data)
	z.Close()
	zipped := filepath.Join(t.TempDir(), "flow.csv.gz")
	if err := os.WriteFile(zipped, packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var blocks flowBlocks
	for f := newFlow(0); f.rows < rows; {
		var block []byte
		for len(block) < 100<<10 && f.rows < rows {
			block = append(block, f.more()...)
		}
		blocks = append(blocks, block)
	}
	return map[string]func() loader.Input{
		"file":   func() loader.Input { return loader.File(path) },
		"gzip":   func() loader.Input { return loader.File(zipped) },
		"reader": func() loader.Input { return loader.Reader("-", iotest.HalfReader(bytes.NewReader(data))) },
		"blocks": func() loader.Input { return loader.Blocks("blocks", blocks) },
	}, n
}

// TestResume holds that a load which is stopped again and again, and each time goes
// on in another way, stores every row once.
func TestResume(t *testing.T) {
	t.Parallel()
	inputs, rows := flowInputs(t, 12_000)
	pgtest.Each(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		ways, short := routes(t), false
		if short = testing.Short() && strings.HasSuffix(t.Name(), "/citus"); short {
			ways = differentRoutes
		}
		for name, in := range inputs {
			if short && name != "file" && name != "blocks" {
				continue // they are read alike on each server
			}
			t.Run(name, func(t *testing.T) {
				exec(t, conn, "TRUNCATE flowing")
				cfg := pieces(t, dsn)
				cfg.Job = name
				var res loader.Result
				err := context.Canceled
				runs := 0
				for ; errors.Is(err, context.Canceled); runs++ {
					cfg.Route = ways[runs%len(ways)]
					cfg.Streams = 1 + runs%3
					cfg.Batch = 4<<10 + rand.IntN(16<<10)
					cfg.Memory = int64(8+runs%2*8) << 20
					res, err = run(t, cfg, in(), 1+rand.Int64N(80))
				}
				if err != nil {
					t.Fatal(err)
				}
				if res.Before+res.Rows != int64(rows) || runs < 3 {
					t.Errorf("after %d runs the last one says %d rows before and %d now, want %d together", runs, res.Before, res.Rows, rows)
				}
				exec(t, conn, "DELETE FROM shardload_jobs WHERE name <> '"+name+"'")
				complete(t, conn, cfg, in(), rows)
			})
		}
	})
}

// TestMarksAhead holds that a load whose marks promise rows which are not stored is
// not called complete: the records of the input are counted apart from the marks.
func TestMarksAhead(t *testing.T) {
	t.Parallel()
	path, _ := flowFile(t, 3000)
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		cfg := pieces(t, dsn)
		if _, err := run(t, cfg, loader.File(path), 10); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		exec(t, conn, "UPDATE "+query(t, conn, "SELECT progress FROM shardload_jobs")[0]+" SET in_chunk = in_chunk + 50, in_sum = 0 WHERE chunk = 0 OR in_chunk > 0")
		for range 2 { // it is not called so later either
			_, err := run(t, cfg, loader.File(path), 0)
			want := "the input has 3,000 records, but "
			if _, ok := errors.AsType[*loader.JobError](err); !ok || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v\nwant a JobError with %q", err, want)
			}
		}
	})
}
