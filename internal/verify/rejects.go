package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"shardload/internal/charset"
	"shardload/internal/pghash"
)

// rejects are records that a load has rejected: no table is expected to have them.
type rejects struct {
	count   int64
	records []map[int64][]rejectedAt // by input and line
}

// A rejectedAt is a record on a line, on which others may stand, too.
type rejectedAt struct{ offset, hash int64 }

// A rejected is an entry of TABLE.rejects.jsonl.
type rejected struct {
	Input  string  `json:"input"`
	Line   int64   `json:"line"`
	Offset int64   `json:"offset"`
	Record *string `json:"record"`
	Base64 []byte  `json:"record_base64"` // instead, where it is not UTF-8
}

// readRejects reads the files of records that were rejected.
func readRejects(ctx context.Context, paths []string, inputs []Input, charset *charset.Converter) (rejects, error) {
	r := rejects{records: make([]map[int64][]rejectedAt, len(inputs))}
	for _, path := range paths {
		if err := r.read(ctx, path, inputs, charset); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (r *rejects) read(ctx context.Context, path string, inputs []Input, charset *charset.Converter) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	decoder := json.NewDecoder(f)
	for entry := 1; ; entry++ {
		var e rejected
		err := decoder.Decode(&e)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: entry %d: %w", path, entry, err)
		}
		i := inputNamed(e.Input, inputs)
		if i < 0 || e.Line < 1 {
			return fmt.Errorf("%s: entry %d: is about line %d of %q, which is not compared here", path, entry, e.Line, e.Input)
		}
		if r.records[i] == nil {
			r.records[i] = map[int64][]rejectedAt{}
		}
		on := r.records[i][e.Line]
		if slices.ContainsFunc(on, func(a rejectedAt) bool { return a.offset == e.Offset }) {
			return fmt.Errorf("%s: entry %d: line %d of %q is there twice", path, entry, e.Line, e.Input)
		}
		record := e.Base64
		if e.Record != nil {
			record = []byte(*e.Record)
		}
		if charset != nil {
			if record, err = charset.Convert(ctx, record); err != nil {
				return fmt.Errorf("%s: entry %d: %w", path, entry, err)
			}
		}
		r.records[i][e.Line] = append(on, rejectedAt{e.Offset, hashRecord(record)})
		r.count++
	}
}

// inputNamed returns the index of the input of that name, or of the only one with
// that file name: the load may have run in another directory. It returns -1 if
// there is none.
func inputNamed(name string, inputs []Input) int {
	found := -1
	for i, in := range inputs {
		if filepath.Clean(in.at.Name) == filepath.Clean(name) {
			return i
		}
		if filepath.Base(in.at.Name) == filepath.Base(name) {
			if found >= 0 {
				return -1
			}
			found = i
		}
	}
	return found
}

// hashRecord returns the hash of a record, with its line break or without.
func hashRecord(record []byte) int64 { return pghash.Text(bytes.TrimRight(record, "\r\n")) }

// has reports whether the record on that line of an input, and at that offset, was rejected.
func (r *rejects) has(input int, line, offset int64, record []byte) bool {
	on := r.records[input][line]
	return slices.ContainsFunc(on, func(a rejectedAt) bool {
		return a.hash == hashRecord(record) && (len(on) == 1 || a.offset == offset)
	})
}
