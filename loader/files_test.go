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
	"testing"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// flowFiles writes the first rows of a flow into so many files: some are compressed, some are empty,
// some have no header, or one in another order.
func flowFiles(t *testing.T, files, rows int) (paths []string, n int) {
	t.Helper()
	dir := t.TempDir()
	f := newFlow(0)
	for i := range files {
		var data []byte
		names := []string{"id,tenant,name,n,at\n", "", "id,tenant,name,n,at\r\n"}[i%3]
		lines := f.more()
		for f.rows < rows*(i+1)/files {
			lines = append(lines, f.more()...)
		}
		data = append([]byte(names), lines...)
		if strings.HasSuffix(names, "\r\n") {
			data = append([]byte(strings.TrimSuffix(names, "\r\n")+"\n"), lines...)
		}
		name := fmt.Sprintf("part.%03d.csv", i)
		switch i % 5 {
		case 1:
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			z.Write(data)
			z.Close()
			data, name = packed.Bytes(), name+".gz"
		case 3:
			empty := filepath.Join(dir, fmt.Sprintf("part.%03d.empty.csv", i))
			if err := os.WriteFile(empty, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			paths = append(paths, empty)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths, f.rows
}

// TestFiles holds that a set of files which is stopped again and again, and each time goes on in another
// way, stores every row of every file once, and that a file that is new is loaded alone then.
func TestFiles(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		paths, rows := flowFiles(t, pgtest.Sized(30, 60), 12_000)
		cfg := pieces(t, dsn)
		cfg.Job = ""
		first := paths[:len(paths)-3]
		var res loader.Result
		err := context.Canceled
		runs := 0
		for ; errors.Is(err, context.Canceled); runs++ {
			cfg.Route = routes(t)[runs%len(routes(t))]
			cfg.Streams = 1 + runs%3
			cfg.Batch = 4<<10 + rand.IntN(16<<10)
			if res, err = run(t, cfg, files(t, first), 1+rand.Int64N(80)); err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		if runs < 3 {
			t.Errorf("it took %d runs", runs)
		}
		if res, err = run(t, cfg, files(t, paths), 0); err != nil {
			t.Fatal(err)
		}
		if res.Parts.All != len(paths) || res.Parts.Before != len(first) || res.Parts.Loaded != 3 || res.Parts.Failed != 0 {
			t.Errorf("with three more files: %+v", *res.Parts)
		}
		sameRows(t, conn, "flowing", rows)
		_, err = run(t, cfg, files(t, paths), 0)
		if done, ok := errors.AsType[*loader.CompleteError](err); !ok || done.Rows != int64(rows) || done.Parts != len(paths) {
			t.Errorf("once more: %v", err)
		}
		sameRows(t, conn, "flowing", rows)
	})
}
