package decode

import (
	"bytes"
	"errors"
	"hash/crc32"
)

// errMoment says that a value which decides a row's shard is another one in a moment.
// Its hash would be asked for at one time, and the row stored at another, in a shard
// where no query looks for it.
var errMoment = errors.New("names a moment that passes, and the row's shard depends on it: write the date or time itself; " +
	"a file that is stored in one transaction may have it")

// moments are the words that date and time types read as of the moment.
var moments = [][]byte{[]byte("now"), []byte("today"), []byte("tomorrow"), []byte("yesterday")}

// namesMoment reports whether v has one of these words, as a type with a date or time
// inside may read it.
func namesMoment(v []byte) bool {
	for start := 0; start < len(v); {
		end := start
		for end < len(v) && isLetter(v[end]) {
			end++
		}
		for _, word := range moments {
			if bytes.EqualFold(v[start:end], word) {
				return true
			}
		}
		start = end + 1
	}
	return false
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// hashMoment decides about a value that only the server can hash. Where it names a
// moment and decides the row's shard the error says so. In a table without shards it
// decides the row's lane alone, and must always decide the same one: then its bytes do.
func (k *key) hashMoment(v []byte) (hash int32, ok bool, err error) {
	switch {
	case !k.clock || !namesMoment(v):
		return 0, false, nil
	case k.required:
		return 0, false, errMoment
	}
	return int32(crc32.ChecksumIEEE(v)), true, nil
}
