package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Inside says what a type is, or has inside: as an element, a field, or a bound.
type Inside struct {
	// Clock tells of a date or time type: it reads "now" and "today" as what they are
	// at that moment.
	Clock bool
	// Enum tells of an enumerated type, the hash of which is that of its label's OID: it
	// differs between servers, and Citus goes by the coordinator's.
	Enum bool
}

// insideSQL walks down from a type through domains, arrays, ranges and composites.
// A column that PostgreSQL 13 does not have is asked for as for a field of JSON.
const insideSQL = `
WITH RECURSIVE inside AS (
	SELECT $1::oid AS oid
	UNION
	SELECT part.oid
	  FROM inside AS i
	  JOIN pg_catalog.pg_type AS t ON t.oid = i.oid
	 CROSS JOIN LATERAL (
		SELECT t.typelem WHERE t.typelem <> 0 AND t.typlen = -1
		UNION ALL SELECT t.typbasetype WHERE t.typbasetype <> 0
		UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
		UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range AS r
		           WHERE r.rngtypid = t.oid OR (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::oid = t.oid
	 ) AS part(oid)
)
SELECT coalesce(pg_catalog.bool_or(t.typcategory = 'D'), false), coalesce(pg_catalog.bool_or(t.typtype = 'e'), false)
  FROM inside AS i
  JOIN pg_catalog.pg_type AS t ON t.oid = i.oid`

// LookInside returns what is inside the type of that OID.
func LookInside(ctx context.Context, conn *pgx.Conn, typ uint32) (in Inside, err error) {
	if err := conn.QueryRow(ctx, insideSQL, typ).Scan(&in.Clock, &in.Enum); err != nil {
		return in, fmt.Errorf("what type %d is: %w", typ, err)
	}
	return in, nil
}
