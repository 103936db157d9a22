package decode

import (
	"context"
	"fmt"

	"shardload/internal/input"
)

// hashSample is how many of the input's distribution values are hashed by the
// server for comparison.
const hashSample = 100

// CheckHashes compares our hashes of the first chunk's values with the server's.
func (lay *Layout) CheckHashes(ctx context.Context, first *input.Chunk, ask *Asker) (differs string, err error) {
	if lay.Router.finder == nil || lay.Router.Filled || lay.Router.Keys[0].Hash == nil {
		return "", nil
	}
	k := lay.Router.Keys[0]
	values, ours := lay.sample(first, k)
	theirs, refused, err := ask.hashes(ctx, k.ask, values)
	if refused >= 0 {
		return "", nil // a bad value; the load will name it
	}
	if err != nil {
		return "", err
	}
	for i := range values {
		if ours[i] != theirs[i] {
			return fmt.Sprintf("the server hashes values of column %q in another way than shardload", k.column), nil
		}
	}
	return "", nil
}

// sample returns distribution values of the chunk and our hashes of them.
func (lay *Layout) sample(first *input.Chunk, k key) (values []string, hashes []int32) {
	for _, v := range lay.Values(first, k, hashSample) {
		if h, sure := k.Hash([]byte(v)); sure {
			values = append(values, v)
			hashes = append(hashes, h)
		}
	}
	return values, hashes
}

// Values returns different values of a key that the chunk holds, at most n.
func (lay *Layout) Values(first *input.Chunk, k key, n int) (values []string) {
	d := fieldValues{lay: lay}
	seen := map[string]bool{}
	offset := int32(0)
	for index, scan := 0, first.Scanner(lay.Dialect); scan.Next() && len(values) < n; index++ {
		raw := scan.Record()
		of := subject{c: first, raw: raw, index: index, line: scan.Line() - first.Line, start: offset, end: offset + int32(len(raw))}
		offset += int32(scan.Size())
		if d.fields = lay.split(d.fields[:0], raw); len(d.fields) != lay.fields() {
			continue
		}
		d.scratch = d.scratch[:0]
		if v, null := d.value(&of, k.field); !null && !seen[string(v)] {
			seen[string(v)] = true
			values = append(values, string(v))
		}
	}
	return values
}
