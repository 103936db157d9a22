package input

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"github.com/cespare/xxhash/v2"
)

const (
	// lineSamples is how many lines are kept of the head, and as many of the tail: those
	// with the least hashes, so that two samples of the same lines are the same.
	lineSamples = 16
	// sampledBytes is how much of the head and of the tail they are chosen from.
	sampledBytes = 64 << 10
)

// EachLine calls fn with the hash of each line of b that is not empty.
func EachLine(b []byte, fn func(uint64)) {
	for len(b) > 0 {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		if line = bytes.TrimSuffix(line, []byte{'\r'}); len(line) > 0 {
			fn(xxhash.Sum64(line))
		}
	}
}

// sampleLines returns the hashes of some lines of b, in order and each once.
func sampleLines(b []byte) []uint64 {
	var all []uint64
	EachLine(b, func(sum uint64) { all = append(all, sum) })
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.Clone(all[:min(len(all), lineSamples)])
}

// lines returns the hashes of some lines of the input, the first records of which are in
// first. Its header is none of them.
func (f *ofSource) lines(first *Chunk) ([]uint64, error) {
	lines := sampleLines(first.Raw()[:min(len(first.Raw()), sampledBytes)])
	if !f.src.Plain() || f.src.Size <= sampledBytes {
		return lines, nil
	}
	tail := make([]byte, sampledBytes)
	n, err := f.src.ReadAt(tail, f.src.Size-sampledBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	_, tail, _ = bytes.Cut(tail[:n], []byte{'\n'}) // the first line is not whole
	lines = append(lines, sampleLines(tail)...)
	slices.Sort(lines)
	return slices.Compact(lines), nil
}
