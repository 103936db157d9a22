package ledger

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/server"
)

// candidates has, by base type, the SQL expression that makes a value out of the
// integer i. Any other type is made from i's text.
var candidates = map[uint32]string{
	pgtype.Int2OID:        "(i OPERATOR(pg_catalog.%) 32768)",
	pgtype.UUIDOID:        "pg_catalog.md5(i::pg_catalog.text)",
	pgtype.ByteaOID:       "pg_catalog.decode(pg_catalog.md5(i::pg_catalog.text), 'hex')",
	pgtype.DateOID:        "date '2000-01-01' OPERATOR(pg_catalog.+) (i OPERATOR(pg_catalog.%) 1000000)",
	pgtype.TimestampOID:   "timestamp '2000-01-01' OPERATOR(pg_catalog.+) (i OPERATOR(pg_catalog.*) interval '1 minute')",
	pgtype.TimestamptzOID: "timestamptz '2000-01-01 00:00:00Z' OPERATOR(pg_catalog.+) (i OPERATOR(pg_catalog.*) interval '1 minute')",
	pgtype.TimeOID:        "time '00:00' OPERATOR(pg_catalog.+) (i OPERATOR(pg_catalog.*) interval '1 millisecond')",
	pgtype.IntervalOID:    "(i OPERATOR(pg_catalog.*) interval '1 minute')",
	pgtype.BoolOID:        "((i OPERATOR(pg_catalog.%) 2) OPERATOR(pg_catalog.=) 0)",
	pgtype.JSONBOID:       "pg_catalog.to_jsonb(i)",
	pgtype.InetOID:        "inet '10.0.0.0' OPERATOR(pg_catalog.+) i",
}

// candidate returns the expression of candidates of the column's type.
func candidate(c *catalog.Column) string {
	expr, ok := candidates[c.BaseOID]
	if !ok {
		return c.ValueSQL("i::pg_catalog.text")
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
	made := fmt.Sprintf("SELECT k::pg_catalog.text, pg_catalog.worker_hash(k) FROM (SELECT %s AS k FROM pg_catalog.generate_series(1, %d) AS i) AS c", candidate(c), perRange*len(lanes))
	refusal, err := tryKeys(ctx, tx, lanes, made)
	if err != nil {
		return err
	}
	if len(samples) > 0 && len(missing(lanes)) > 0 {
		given := "SELECT k::pg_catalog.text, pg_catalog.worker_hash(k) FROM (SELECT " + c.ValueSQL("s") + " AS k FROM pg_catalog.unnest($1::pg_catalog.text[]) AS s WHERE s OPERATOR(pg_catalog.<>) '') AS c"
		if refusal, err = tryKeys(ctx, tx, lanes, given, samples); err != nil {
			return err
		}
	}
	for _, i := range missing(lanes) {
		wide := fmt.Sprintf("SELECT k::pg_catalog.text, h FROM (SELECT k, pg_catalog.worker_hash(k) AS h FROM (SELECT %s AS k FROM pg_catalog.generate_series(1, %d) AS i) AS c) AS d WHERE h OPERATOR(pg_catalog.>=) %d AND h OPERATOR(pg_catalog.<=) %d LIMIT 1",
			candidate(c), widest, lanes[i].Min, lanes[i].Max)
		if _, err := tryKeys(ctx, tx, lanes, wide); err != nil {
			return err
		}
	}
	return borrowKeys(c, lanes, refusal)
}

// checked reports whether the marks' keys are of a domain over one of the server's own
// types. Its checks look names up in the role's search path, so what makes such a value runs
// under that, and names the schema of each operator.
func (t Target) checked() bool {
	if t.Distribution == nil || t.Distribution.Kind != citus.Hash {
		return false
	}
	c := t.Table.Column(t.Distribution.Column)
	const firstOfUsers = 16384 // the first OID that is not the server's own
	return c.TypeOID != c.BaseOID && c.BaseOID < firstOfUsers
}

// asRole calls fn under the role's search path if the keys need it.
func (t Target) asRole(ctx context.Context, tx pgx.Tx, fn func() error) error {
	if !t.checked() {
		return fn()
	}
	return server.DoAsRole(ctx, tx.Conn().PgConn(), fn)
}

// tryKeys gives keys to lanes out of the values and hashes that sql returns. A
// type may refuse to make values in this way: then there are none, and refusal says why.
func tryKeys(ctx context.Context, tx pgx.Tx, lanes []Lane, sql string, args ...any) (refusal, err error) {
	savepoint, err := tx.Begin(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := savepoint.Query(ctx, sql, args...)
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
	if err != nil && !fault.Server(err) {
		return nil, err
	}
	if err != nil {
		return err, savepoint.Rollback(ctx)
	}
	return nil, savepoint.Commit(ctx)
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

// withoutProgress is what else one can do.
const withoutProgress = "Config.NoResume does without"

// borrowKeys gives the lanes without a key that of another lane. refusal is the server's
// of values that were tried, or nil.
func borrowKeys(c *catalog.Column, lanes []Lane, refusal error) error {
	i := slices.IndexFunc(lanes, func(l Lane) bool { return l.Key != "" })
	if i < 0 && refusal != nil {
		return fault.Advise(fmt.Errorf("found no value of type %s for column %q to keep progress under: %w", c.Type, c.Name, refusal), withoutProgress)
	}
	if i < 0 {
		return fault.Advise(fmt.Errorf("found no value of type %s for column %q to keep progress under", c.Type, c.Name), withoutProgress)
	}
	for _, j := range missing(lanes) {
		lanes[j].Key, lanes[j].KeyHash = lanes[i].Key, lanes[i].KeyHash
	}
	return nil
}
