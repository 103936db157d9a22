package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/catalog"
)

// candidates has, by base type, the SQL expression that makes a value out of the
// integer i. Any other type is made from i's text.
var candidates = map[uint32]string{
	pgtype.Int2OID:        "(i % 32768)",
	pgtype.UUIDOID:        "md5(i::text)",
	pgtype.ByteaOID:       "decode(md5(i::text), 'hex')",
	pgtype.DateOID:        "date '2000-01-01' + i % 1000000",
	pgtype.TimestampOID:   "timestamp '2000-01-01' + i * interval '1 minute'",
	pgtype.TimestamptzOID: "timestamptz '2000-01-01 00:00:00Z' + i * interval '1 minute'",
	pgtype.TimeOID:        "time '00:00' + i * interval '1 millisecond'",
	pgtype.IntervalOID:    "i * interval '1 minute'",
	pgtype.BoolOID:        "(i % 2 = 0)",
	pgtype.JSONBOID:       "to_jsonb(i)",
	pgtype.InetOID:        "inet '10.0.0.0' + i",
}

// candidate returns the expression of candidates of the column's type.
func candidate(c *catalog.Column) string {
	expr, ok := candidates[c.BaseOID]
	if !ok {
		expr = "i::text"
	}
	return "(" + expr + ")::" + c.Type
}

// A range of hashes has a key with a probability of 1 - 1/e^perRange; then wider
// searches follow for those that are narrower than others.
const (
	perRange = 24
	widest   = 1 << 20
)

// findKeys fills in the Key of each lane: a value of the distribution column c
// that hashes into its range. samples are the text of values that may serve,
// such as the input's own: a range of a single tenant has no other.
//
// A lane for which none is found borrows that of another lane: it is not at home,
// and its row in another shard than its own.
func findKeys(ctx context.Context, tx pgx.Tx, c *catalog.Column, lanes []Lane, samples []string) error {
	made := fmt.Sprintf("SELECT k::text, pg_catalog.worker_hash(k) FROM (SELECT %s AS k FROM generate_series(1, %d) AS i) AS c", candidate(c), perRange*len(lanes))
	if err := tryKeys(ctx, tx, lanes, made); err != nil {
		return err
	}
	if len(samples) > 0 && len(missing(lanes)) > 0 {
		given := "SELECT k::text, pg_catalog.worker_hash(k) FROM (SELECT s::" + c.Type + " AS k FROM unnest($1::text[]) AS s WHERE s <> '') AS c"
		if err := tryKeys(ctx, tx, lanes, given, samples); err != nil {
			return err
		}
	}
	for _, i := range missing(lanes) {
		wide := fmt.Sprintf("SELECT k::text, h FROM (SELECT k, pg_catalog.worker_hash(k) AS h FROM (SELECT %s AS k FROM generate_series(1, %d) AS i) AS c) AS d WHERE h BETWEEN %d AND %d LIMIT 1",
			candidate(c), widest, lanes[i].Min, lanes[i].Max)
		if err := tryKeys(ctx, tx, lanes, wide); err != nil {
			return err
		}
	}
	return borrowKeys(c, lanes)
}

// tryKeys gives keys to lanes out of the values and hashes that sql returns. A
// type may refuse to make values in this way: then there are none.
func tryKeys(ctx context.Context, tx pgx.Tx, lanes []Lane, sql string, args ...any) error {
	attempt, err := tx.Begin(ctx) // a savepoint
	if err != nil {
		return err
	}
	rows, err := attempt.Query(ctx, sql, args...)
	if err == nil {
		var key string
		var hash int32
		_, err = pgx.ForEachRow(rows, []any{&key, &hash}, func() error {
			for i := range lanes {
				if l := &lanes[i]; l.Key == "" && l.Min <= hash && hash <= l.Max {
					l.Key, l.KeyHash = key, hash
				}
			}
			return nil
		})
	}
	if _, refused := errors.AsType[*pgconn.PgError](err); err != nil && !refused {
		return err
	}
	if err != nil {
		return attempt.Rollback(ctx)
	}
	return attempt.Commit(ctx)
}

// missing returns the indexes of the lanes without a key.
func missing(lanes []Lane) []int {
	var list []int
	for i := range lanes {
		if lanes[i].Key == "" {
			list = append(list, i)
		}
	}
	return list
}

// borrowKeys gives the lanes without a key that of another lane.
func borrowKeys(c *catalog.Column, lanes []Lane) error {
	i := slices.IndexFunc(lanes, func(l Lane) bool { return l.Key != "" })
	if i < 0 {
		return fmt.Errorf("found no value of type %s for column %q to keep progress under; --no-resume does without", c.Type, c.Name)
	}
	for _, j := range missing(lanes) {
		lanes[j].Key, lanes[j].KeyHash = lanes[i].Key, lanes[i].KeyHash
	}
	return nil
}
