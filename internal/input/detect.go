package input

import (
	"context"

	"shardload/internal/parquettext"
	"shardload/internal/pgjson"
)

// headSize is how many bytes of a file, decompressed, tell what it looks like.
const headSize = 4 << 10

// LooksLike returns the format that the regular file or the object at a location, compressed so,
// is probably in: JSON if it begins like it, Parquet if both its ends say so, Delimited for all
// others and for what cannot be read, which its load will say.
func LooksLike(ctx context.Context, at Location, as Compression) Format {
	object, err := at.object(ctx)
	if err != nil {
		return Delimited
	}
	if object.Random() && looksLikeParquet(object) {
		_ = object.Close() // it was only read
		return Parquet
	}
	src := &Source{Name: at.Name, asked: as, ending: at.ending(), close: []func() error{object.Close}}
	defer func() { _ = src.Close() }() // likewise
	if err := openObject(src, object); err != nil {
		return Delimited
	}
	head := make([]byte, headSize)
	n, _ := src.Read(head)
	if pgjson.LooksLike(head[:n]) {
		return JSON
	}
	return Delimited
}

// looksLikeParquet reports whether the object begins and ends as Parquet files do.
func looksLikeParquet(object Object) bool {
	const n = len(parquettext.Magic)
	var head, tail [n]byte
	if got, _ := object.ReadAt(head[:], 0); got < n || string(head[:]) != parquettext.Magic {
		return false
	}
	stat, err := object.Stat()
	if err != nil {
		return false
	}
	got, _ := object.ReadAt(tail[:], stat.Size-int64(n))
	return got == n && string(tail[:]) == parquettext.Magic
}
