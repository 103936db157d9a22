package bench

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"shardload/generate"
	"shardload/internal/bench/shape"
	"shardload/internal/pgcsv"
	"shardload/loader"
)

// An inputFile is a CSV file with a header, that all arms load.
type inputFile struct {
	path  string
	bytes int64

	mu     sync.Mutex
	pieces map[int][]string // by their number
}

// Skew and sizes of the tenants are those of the command generate.
const (
	skew           = 0.8
	adsPerCampaign = 50
	adsPerCompany  = 1000
)

// makeFile writes the rows of a point's shape, in its order.
func makeFile(ctx context.Context, dir string, seed uint64, p Point) (*inputFile, error) {
	of := shape.Lookup(p.Shape)
	dir = filepath.Join(dir, fmt.Sprintf("%d-%s-%s", p.Rows, p.Order, p.Shape))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "ads.csv")
	var err error
	if of.Dataset() {
		err = writeDataset(ctx, dir, seed, p.Rows)
	} else {
		path = filepath.Join(dir, of.Name+".csv")
		err = writeFile(path, func(w io.Writer) error { return of.Write(w, p.Rows, seed) })
	}
	if err != nil {
		return nil, err
	}
	if p.Order == Sorted {
		if err := sortFile(path, of.Key()); err != nil {
			return nil, fmt.Errorf("sort %s: %w", path, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return &inputFile{path: path, bytes: info.Size(), pieces: map[int][]string{}}, ctx.Err()
}

// writeDataset writes the dataset with that many ads.
func writeDataset(ctx context.Context, dir string, seed uint64, rows int64) error {
	data, err := generate.New(generate.Config{Companies: rows/adsPerCompany + 1, Campaigns: rows/adsPerCampaign + 1, Ads: rows, Seed: seed, Skew: skew})
	if err != nil {
		return err
	}
	_, err = data.Write(ctx, dir, generate.Output{})
	return err
}

// sortFile sorts the records of a file by the field at that place, shorter values first, equal
// ones in the order in which they stood. It holds the file in memory.
func sortFile(path string, field int) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	type record struct{ value, text []byte }
	var records []record
	var s pgcsv.Scanner
	var fields []pgcsv.Field
	var header []byte
	for s.Reset(data, pgcsv.LF, 1); s.Next(); {
		if header == nil {
			header = s.Record()
			continue
		}
		fields = s.AppendFields(fields[:0])
		value, _ := fields[field].Value(s.Record(), nil)
		records = append(records, record{value, s.Record()})
	}
	slices.SortStableFunc(records, func(a, b record) int {
		return cmp.Or(len(a.value)-len(b.value), bytes.Compare(a.value, b.value))
	})
	sorted := path + ".sorted"
	err = writeFile(sorted, func(w io.Writer) error {
		if _, err := fmt.Fprintf(w, "%s\n", header); err != nil {
			return err
		}
		for _, r := range records {
			if _, err := fmt.Fprintf(w, "%s\n", r.text); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return os.Rename(sorted, path) // both are in a directory of ours
}

// writeFile writes a new file of that name with what fill writes. What stands there
// stays, and is an error: a link, too, which nobody is to write through.
func writeFile(name string, fill func(io.Writer) error) error {
	f, err := createFile(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	return errors.Join(fill(w), w.Flush(), f.Close())
}

func createFile(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o644)
}

// split cuts the file into at most n files without a header, of about the same
// size, and returns their names. A file of a few MiB makes fewer.
func (f *inputFile) split(n int) (names []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pieces[n] != nil {
		return f.pieces[n], nil
	}
	var out *os.File
	defer func() {
		if out != nil {
			err = errors.Join(err, out.Close())
		}
	}()
	var at int64
	err = f.chunks(func(chunk []byte) error {
		if int(at*int64(n)/f.bytes) >= len(names) {
			if out != nil {
				if err := out.Close(); err != nil {
					return err
				}
			}
			names = append(names, fmt.Sprintf("%s.%d-of-%d", f.path, len(names)+1, n))
			var err error
			if out, err = createFile(names[len(names)-1]); err != nil {
				return err
			}
		}
		at += int64(len(chunk))
		_, err := out.Write(chunk)
		return err
	})
	if err == nil {
		f.pieces[n] = names
	}
	return names, err
}

// chunks calls fn with runs of whole records, of about 1 MiB, without the header.
// fn must not keep them.
func (f *inputFile) chunks(fn func(chunk []byte) error) error {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	chunker := pgcsv.NewChunker(file, loader.DefaultMaxRecord)
	first := true
	for buf := []byte(nil); ; {
		if buf, err = chunker.Next(buf); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		chunk := buf
		if first {
			var s pgcsv.Scanner
			s.Reset(buf, chunker.EOL(), 1)
			s.Next()
			chunk, first = buf[s.Size():], false
		}
		if err := fn(chunk); err != nil {
			return err
		}
	}
}
