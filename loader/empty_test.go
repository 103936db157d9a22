package loader_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestEmptyInput holds that an input without rows is loaded like any other, and stops
// no set: it has no bytes, a byte order mark, a header, or no blocks. What an earlier
// run has begun to load is not over because its file is empty now.
func TestEmptyInput(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		makeFlowing(t, dsn)
		dir := t.TempDir()
		for name, data := range map[string]string{"none": "", "mark": "\xef\xbb\xbf", "header": modelHeader, "mark and header": "\xef\xbb\xbf" + modelHeader} {
			path := filepath.Join(dir, name)
			write(t, path, data)
			for _, in := range []loader.Input{loader.File(path), loader.Reader("-"+name, strings.NewReader(data))} {
				for _, header := range []loader.Header{loader.HeaderYes} {
					var log bytes.Buffer
					cfg := loader.Config{Conn: parse(t, dsn), Table: "flowing", Header: header, Log: logTo(&log)}
					cfg.Job = name + in.Name() + string(header)
					res, err := open(t, cfg).Load(t.Context(), in)
					if err != nil || res.Rows != 0 {
						t.Errorf("%s, header %s: %d rows, %v", name, header, res.Rows, err)
					}
					if noted := strings.Contains(log.String(), "is empty"); noted == strings.HasSuffix(name, "header") {
						t.Errorf("%s, header %s: log\n%s", name, header, &log)
					}
					in = loader.File(path) // a reader is read
				}
			}
		}
		if res, err := open(t, loader.Config{Conn: parse(t, dsn), Table: "flowing"}).Load(t.Context(), loader.Blocks("none", flowBlocks{})); err != nil || res.Rows != 0 {
			t.Errorf("no blocks: %d rows, %v", res.Rows, err)
		}

		path, _ := flowFile(t, 3000)
		cfg := pieces(t, dsn)
		if _, err := run(t, cfg, loader.File(path), 3); err == nil {
			t.Fatal("the load was not stopped")
		}
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		_, err := run(t, cfg, loader.File(path), 0)
		if _, refused := errors.AsType[*loader.JobError](err); !refused {
			t.Errorf("a file that was begun and is empty now: %v, want a JobError", err)
		}
	})
}

// write makes a file of data.
func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}
