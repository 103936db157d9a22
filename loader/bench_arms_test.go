package loader

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"shardload/loader/internal/lane"

	osexec "os/exec"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"shardload/internal/pgcsv"
)

// benchStreams is how many connections the other ways to load have, as many as
// the loader takes here by itself.
const benchStreams = 2

func psqlCopy(b *testing.B, dsn, path string) {
	b.Helper()
	command(b, "psql", dsn, "-qc", `\copy ads from '`+path+`' with (format csv, header)`)
}

// Batches of timescaledb-parallel-copy that did best, in bytes: on a cluster each
// pays for a connection to every shard.
const (
	parallelBatch      = 16 << 20
	parallelBatchCitus = 64 << 20
)

// parallelCopy loads with timescaledb-parallel-copy, where it is installed.
func parallelCopy(b *testing.B, dsn, schemaName, path string, batch int) {
	b.Helper()
	const name = "timescaledb-parallel-copy"
	if _, err := osexec.LookPath(name); err != nil {
		b.Skip(name + " is not on the PATH")
	}
	command(b, name, "--connection", dsn, "--schema", schemaName, "--table", "ads", "--file", path, "--skip-header",
		"--workers", strconv.Itoa(benchStreams), "--batch-size", "10000000", "--batch-byte-size", strconv.Itoa(batch))
}

func command(b *testing.B, name string, args ...string) {
	b.Helper()
	if out, err := osexec.Command(name, args...).CombinedOutput(); err != nil {
		b.Fatalf("%s: %v: %s", name, err, out)
	}
}

// obviousCopy is what comes to mind first: batches of 4 MiB, cut at a record's
// end, and each connection COPYs one after the other into the table.
func obviousCopy(b *testing.B, dsn, path string) {
	b.Helper()
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		b.Fatal(err)
	}
	batches := make(chan []byte)
	g, ctx := errgroup.WithContext(b.Context())
	g.Go(func() error {
		defer close(batches)
		return cutBatches(f, func(batch []byte) error { return send(ctx, batches, batch) })
	})
	for range benchStreams {
		g.Go(func() error {
			conn, err := pgx.Connect(ctx, dsn)
			if err != nil {
				return err
			}
			for batch := range batches {
				if err := copyCSV(b, conn.PgConn(), batch); err != nil {
					return err
				}
			}
			return conn.Close(ctx)
		})
	}
	if err := errors.Join(g.Wait(), f.Close()); err != nil {
		b.Fatal(err)
	}
}

func copyCSV(b *testing.B, conn *pgconn.PgConn, batch []byte) error {
	_, err := conn.CopyFrom(b.Context(), bytes.NewReader(batch), "COPY ads FROM STDIN (FORMAT csv)")
	return err
}

// cutBatches sends the records behind the header of r in batches.
func cutBatches(r io.Reader, send func([]byte) error) error {
	chunker := pgcsv.NewChunker(r, DefaultMaxRecord)
	header := true
	for batch := []byte(nil); ; {
		chunk, err := chunker.Next(nil)
		if header {
			_, chunk, _ = bytes.Cut(chunk, lane.Newline)
			header = false
		}
		batch = append(batch, chunk...)
		if len(batch) > DefaultBatch-pgcsv.ChunkSize || err != nil && len(batch) > 0 {
			if sendErr := send(batch); sendErr != nil {
				return sendErr
			}
			batch = nil
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func openAds(b *testing.B, dsn string, memory int64, route Route) *Loader {
	b.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		b.Fatal(err)
	}
	l, err := Open(b.Context(), Config{Conn: cfg, Table: "ads", Memory: memory, Route: route, Job: rand.Text()})
	if err != nil {
		b.Fatal(err)
	}
	return l
}

func closeLoader(b *testing.B, l *Loader) {
	b.Helper()
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

func loadInput(b *testing.B, dsn string, in Input, route Route) {
	b.Helper()
	l := openAds(b, dsn, 0, route)
	if _, err := l.Load(b.Context(), in); err != nil {
		b.Fatal(err)
	}
	closeLoader(b, l)
}
