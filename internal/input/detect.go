package input

import (
	"os"

	"shardload/internal/pgjson"
)

// headSize is how many bytes of a file, decompressed, tell what it looks like.
const headSize = 4 << 10

// LooksLike returns the format that the regular file at path, compressed so, is probably in: JSON if it begins like
// it, Delimited for all others and for what cannot be read, which its load will say.
func LooksLike(path string, as Compression) Format {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return Delimited
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
