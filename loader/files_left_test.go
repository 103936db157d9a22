package loader_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestFilesOfWhichOneIsBad holds that a file which cannot be read, or has a bad record, is named, and left
// out, and that all others are stored; and that a load goes on once it is mended. A record that only the
// server refuses may keep others that were on their way with it from being stored, until it may be
// rejected.
func TestFilesOfWhichOneIsBad(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		paths, rows := flowFiles(t, pgtest.Sized(12, 20), pgtest.Sized(3000, 4_000))
		bad := filepath.Join(filepath.Dir(paths[0]), "part.009z.csv")
		all := append(paths, bad)
		f := newFlow(0)
		for f.rows < rows {
			f.more()
		}
		good := append([]byte("id,tenant,name,n,at\n"), f.more()...)
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		z.Write(good)
		z.Close()
		for name, content := range map[string][]byte{
			"header": append([]byte("id,tenant,nome,n,at\n"), good...), "field": append(bytes.Clone(good), "1,2\n"...),
			"gzip": packed.Bytes()[:packed.Len()-9], "tenant": append(bytes.Clone(good), "1,x,a,1,\n"...),
		} {
			t.Run(name, func(t *testing.T) {
				exec(t, conn, "TRUNCATE flowing")
				cfg := pieces(t, dsn)
				cfg.Job = name
				writeBytes(t, bad, content)
				res, err := run(t, cfg, files(t, all), 0)
				set, ok := errors.AsType[*loader.SetError](err)
				if !ok || len(set.Failed) != 1 || set.Failed[0].Part != bad || !strings.Contains(err.Error(), filepath.Base(bad)) {
					t.Errorf("error %v", err)
				}
				byServer := name == "tenant"
				if !byServer && (res.Parts.Failed != 1 || res.Parts.Loaded != len(all)-1) {
					t.Errorf("%+v", *res.Parts)
				}
				if !byServer {
					sameRows(t, conn, "flowing", rows)
				}
				if byServer { // its lanes may have stored what follows: it must be kept aside
					cfg.MaxErrors, cfg.RejectsDir = loader.ErrorLimit{Records: 1}, t.TempDir()
				} else {
					writeBytes(t, bad, good)
				}
				if res, err = run(t, cfg, files(t, all), 0); err != nil || !byServer && (res.Parts.Before != len(all)-1 || res.Parts.Loaded != 1) {
					t.Errorf("mended: %+v, %v", res.Parts, err)
				}
				sameRows(t, conn, "flowing", f.rows)
			})
		}
	})
}

// TestFilesOfDeadProcess holds that what a process has begun, and left without a word, is gone on with, though
// some of its files are empty, or it had none.
func TestFilesOfDeadProcess(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		paths, rows := flowFiles(t, 10, 2_000)
		cfg := pieces(t, dsn)
		_, err := run(t, cfg, files(t, paths), 5)
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		exec(t, conn, "UPDATE shardload_runs SET released = false, host = 'elsewhere'")
		exec(t, conn, "INSERT INTO shardload_parts (of, name, size) SELECT DISTINCT of, 'z.empty.csv', 0 FROM shardload_parts")
		empty := filepath.Join(filepath.Dir(paths[0]), "z.empty.csv")
		writeBytes(t, empty, nil)
		if _, err := run(t, cfg, files(t, append(paths, empty)), 0); err != nil {
			t.Fatal(err)
		}
		sameRows(t, conn, "flowing", rows)
	})
}

// files returns the set of files.
func files(t *testing.T, paths []string) loader.Input {
	t.Helper()
	in, err := loader.Files(paths...)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func writeBytes(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
