package decode

import (
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
// inside may read it. Arrays, ranges and composites drop quotes and backslashes: so {n\ow} is
// one.
func namesMoment(v []byte) bool {
	for start := 0; start < len(v); start++ {
		if start > 0 && isLetter(v[start-1]) || !isLetter(v[start]) {
			continue
		}
		for _, word := range moments {
			if isWord(v[start:], word) {
				return true
			}
		}
	}
	return false
}

// isWord reports whether the letters at the head of v are those of word.
func isWord(v, word []byte) bool {
	n := 0
	for _, c := range v {
		switch {
		case c == '"', c == '\\':
			continue
		case !isLetter(c):
			return n == len(word)
		case n == len(word) || c|0x20 != word[n]:
			return false
		}
		n++
	}
	return n == len(word)
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
