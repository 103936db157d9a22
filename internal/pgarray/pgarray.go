// Package pgarray knows which of PostgreSQL's built-in types are arrays, and of what.
package pgarray

import (
	"sync"

	"github.com/jackc/pgx/v5/pgtype"
)

// types are made once: all built-in types as pgx knows them.
var types = sync.OnceValue(pgtype.NewMap)

// ElementOf returns the OID of the element type of a built-in array type, or 0.
func ElementOf(oid uint32) uint32 {
	if t, ok := types().TypeForOID(oid); ok {
		if array, ok := t.Codec.(*pgtype.ArrayCodec); ok {
			return array.ElementType.OID
		}
	}
	return 0
}
