package citus

import (
	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/pghash"
)

// A Hasher hashes a value from its text form, as the server hashes the value. It
// reports false for a form that it is not sure of; the server is to be asked then,
// and may find that it is no value of the type at all.
type Hasher func(text []byte) (hash int32, sure bool)

// HasherFor returns the Hasher of a type, and the SQL function that gives the
// server's own answer. maxLen is the length limit of a varchar in characters, 0
// for none. utf8 says that the text reaches the server byte for byte: input and
// server are both UTF-8. ok is false for a type that only the server can hash.
//
// Text must have a deterministic collation; Citus takes no other for a
// distribution column.
func HasherFor(typeOID uint32, maxLen int, utf8 bool) (h Hasher, function string, ok bool) {
	switch typeOID {
	case pgtype.Int2OID:
		return hashInteger(16), "hashint2", true
	case pgtype.Int4OID:
		return hashInteger(32), "hashint4", true
	case pgtype.Int8OID:
		return hashInteger(64), "hashint8", true
	case pgtype.TextOID, pgtype.VarcharOID:
		return hashText(maxLen, utf8), "hashtext", true
	case pgtype.UUIDOID:
		return hashUUID, "uuid_hash", true
	}
	return nil, "", false
}

// hashInteger is sure of digits with or without a sign, in range.
func hashInteger(size int) Hasher {
	limit := uint64(1) << (size - 1)
	return func(text []byte) (int32, bool) {
		digits, negative := text, false
		if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
			negative = digits[0] == '-'
			digits = digits[1:]
		}
		if len(digits) == 0 || len(digits) > 19 {
			return 0, false
		}
		var n uint64
		for _, c := range digits {
			if c < '0' || c > '9' {
				return 0, false
			}
			n = n*10 + uint64(c-'0')
		}
		if n > limit || n == limit && !negative {
			return 0, false
		}
		v := int64(n)
		if negative {
			v = -v
		}
		// hashint8 of a value that fits is hashint4 of it, and hashint2 too.
		return pghash.Int8(v), true
	}
}

// hashText is sure of what the server stores byte for byte. A text longer than
// the type allows is not: the server cuts blanks off its end.
func hashText(maxLen int, utf8 bool) Hasher {
	return func(text []byte) (int32, bool) {
		if maxLen > 0 && len(text) > maxLen || !utf8 && !ascii(text) {
			return 0, false
		}
		return pghash.Bytes(text), true
	}
}

func ascii(text []byte) bool {
	for _, c := range text {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// hashUUID is sure of the standard form, 8-4-4-4-12 hexadecimal digits.
func hashUUID(text []byte) (int32, bool) {
	if len(text) != 36 {
		return 0, false
	}
	var id [16]byte
	n := 0
	for i, c := range text {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return 0, false
			}
			continue
		}
		var d byte
		switch {
		case c >= '0' && c <= '9':
			d = c - '0'
		case c >= 'a' && c <= 'f':
			d = c - 'a' + 10
		case c >= 'A' && c <= 'F':
			d = c - 'A' + 10
		default:
			return 0, false
		}
		id[n/2] = id[n/2]<<4 | d
		n++
	}
	return pghash.Bytes(id[:]), true
}
