package input

import (
	"io"
	"os"

	"shardload/internal/parquettext"
	"shardload/internal/pgjson"
)

// headSize is how many bytes of a file, decompressed, tell what it looks like.
const headSize = 4 << 10

// LooksLike returns the format that the regular file at path, compressed so, is probably in: JSON if
// it begins like it, Parquet if both its ends say so, Delimited for all others and for what cannot
// be read, which its load will say.
func LooksLike(path string, as Compression) Format {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return Delimited
	}
	if looksLikeParquet(path) {
		return Parquet
	}
	src, err := Open(path, as)
	if err != nil {
		return Delimited
	}
	defer func() { _ = src.Close() }() // it was only read
	head := make([]byte, headSize)
	n, _ := src.Read(head)
	if pgjson.LooksLike(head[:n]) {
		return JSON
	}
	return Delimited
}

// looksLikeParquet reports whether the file begins and ends as Parquet files do.
func looksLikeParquet(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // it was only read
	const n = len(parquettext.Magic)
	var head, tail [n]byte
	if _, err := f.ReadAt(head[:], 0); err != nil || string(head[:]) != parquettext.Magic {
		return false
	}
	if _, err := f.Seek(-int64(n), io.SeekEnd); err != nil {
		return false
	}
	_, err = io.ReadFull(f, tail[:])
	return err == nil && string(tail[:]) == parquettext.Magic
}
