package input

import (
	"errors"
	"io"
	"os"

	"shardload/internal/ledger"
)

// endSize is how many bytes at the beginning and the end of a part tell whether it is what it was.
const endSize = 4 << 10

// Ends returns hashes of the first and the last bytes of the file at path, as it is stored.
func Ends(path string) (head, tail uint64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, named(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, named(err)
	}
	return endsOf(f, info.Size())
}

func endsOf(f io.ReaderAt, size int64) (head, tail uint64, err error) {
	var buf [endSize]byte
	for _, end := range []struct {
		of *uint64
		at int64
	}{{&head, 0}, {&tail, max(size-endSize, 0)}} {
		n, err := f.ReadAt(buf[:min(endSize, size-end.at)], end.at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, named(err)
		}
		*end.of = ledger.SumOf(buf[:n])
	}
	return head, tail, nil
}

// Opened says what a feed's file was when it was opened. ok is false if it is of no file. A file that
// may change without having another time has no tag.
func Opened(f Feed) (part ledger.Part, ok bool, err error) {
	of, ok := f.(interface{ source() *Source })
	if !ok || of.source().object == nil || of.source().Size < 0 {
		return ledger.Part{Size: -1}, false, nil
	}
	src := of.source()
	stat, _ := src.Stat()
	if stat.Tag != "" { // an object in a store, which says itself what it is
		return ledger.Part{Size: stat.Size, Tag: stat.Tag}, true, nil
	}
	part = ledger.Part{Size: stat.Size}
	if stat.TimeTells {
		part.Tag = ledger.Hints{Modified: stat.Modified}.PartTag()
	}
	part.Head, part.Tail, err = endsOf(src.object, stat.Size)
	return part, true, err
}

func (f *ofSource) source() *Source    { return f.src }
func (f *parquetFeed) source() *Source { return f.src }
