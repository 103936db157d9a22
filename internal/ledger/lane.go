package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
)

// A Mark says how much of the input is stored as far as it belongs to a lane: all
// chunks before Chunk, and the first Records of that one, whichever lanes they belong
// to. So a mark holds for the parts of a lane as for the lane. Rejected records count
// as stored.
type Mark struct {
	Chunk   int64
	Records int64
}

// Before reports whether m is behind n.
func (m Mark) Before(n Mark) bool {
	return m.Chunk < n.Chunk || m.Chunk == n.Chunk && m.Records < n.Records
}

// A Place is where a chunk begins in the input.
type Place struct {
	Offset  int64 // in bytes, decompressed
	Line    int64 // from 1
	Records int64 // that come before it
}

// A Lane is an ordered flow of rows into one place, and how far it is stored. If
// it is a shard, it is that of the distribution values that hash into [Min, Max].
type Lane struct {
	Number   int32
	Key      string // the distribution value, as text, under which the row is stored
	KeyType  string // of Key, as SQL writes it under any search path
	KeyHash  int32  // of Key, where lanes are ranges of hashes
	Min, Max int32
	Mark     Mark
	Place    Place // of the mark's chunk
	Rows     int64 // stored
	Rejected int64
	Merged
}

// Home reports whether the lane's row lies in the lane's own shard, so that both
// can be written to on its node.
func (l Lane) Home() bool { return l.Min <= l.KeyHash && l.KeyHash <= l.Max }

// A Step moves a lane's mark from From to To, with what the batch adds.
type Step struct {
	From, To Mark
	Place    Place // of To's chunk
	Rows     int64
	Rejected int64
}

// Lanes reads the marks of an unfinished job through the coordinator, in the order
// of the lanes' numbers.
func Lanes(ctx context.Context, conn *pgx.Conn, j *Job) ([]Lane, error) {
	keyType, err := keyType(ctx, conn, j.Progress)
	if err != nil {
		return nil, fmt.Errorf("read the marks: %w", err)
	}
	hash := "0"
	if j.Kind == citus.Hash {
		hash = "pg_catalog.worker_hash(key)"
	}
	// Citus drops a cast to text of a domain with a collation on its way to the nodes.
	rows, err := conn.Query(ctx, `SELECT lane, format('%s', key), `+hash+`, min, max, chunk, in_chunk, place, line, records, rows, rejected, updated, skipped FROM `+j.Progress+` ORDER BY lane`)
	if err != nil {
		return nil, fmt.Errorf("read the marks: %w", err)
	}
	lanes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l Lane, err error) {
		l.KeyType = keyType
		err = row.Scan(&l.Number, &l.Key, &l.KeyHash, &l.Min, &l.Max, &l.Mark.Chunk, &l.Mark.Records, &l.Place.Offset, &l.Place.Line, &l.Place.Records, &l.Rows, &l.Rejected, &l.Updated, &l.Skipped)
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the marks: %w", err)
	}
	if !whole(lanes, j.Kind) {
		return nil, ErrMarksGone
	}
	return lanes, nil
}

// ErrMarksGone says that some of a job's marks are no longer there.
var ErrMarksGone = errors.New("the marks of some lanes are gone, as a crash empties unlogged tables; empty the table and load it anew with --replace")

// whole reports whether the lanes are all there are: any hash has one.
func whole(lanes []Lane, kind citus.Kind) bool {
	if kind != citus.Hash {
		return len(lanes) > 0
	}
	byRange := slices.SortedFunc(slices.Values(lanes), func(a, b Lane) int { return cmp.Compare(a.Min, b.Min) })
	next := int64(math.MinInt32) // the first hash that has none yet
	for _, l := range byRange {
		if int64(l.Min) > next {
			return false
		}
		next = max(next, int64(l.Max)+1)
	}
	return next > math.MaxInt32
}

// UpdateSQL returns the statement that moves the mark of l by s. table is the
// progress table, or its shard that holds the lane's row. It updates one row, or
// none if the mark is not where s begins. It waits for another transaction that is
// moving it, were it one whose COMMIT got no answer.
func UpdateSQL(table string, l Lane, s Step) string {
	return fmt.Sprintf(`UPDATE %s SET chunk = %d, in_chunk = %d, place = %d, line = %d, records = %d, rows = rows + %d, rejected = rejected + %d, advanced = now()
		WHERE key = %s AND lane = %d AND chunk = %d AND in_chunk = %d`,
		table, s.To.Chunk, s.To.Records, s.Place.Offset, s.Place.Line, s.Place.Records, s.Rows, s.Rejected, l.key(), l.Number, s.From.Chunk, s.From.Records)
}

// key returns the lane's key in SQL. Without its type it would not be understood
// where that is a composite, and Citus 13.2 crashes where it is a domain with a
// constraint.
func (l Lane) key() string { return literal(l.Key) + "::" + l.KeyType }

// keyType returns the type of the keys of a progress table.
func keyType(ctx context.Context, conn querier, progress string) (name string, err error) {
	err = conn.QueryRow(ctx, `SELECT format('%I.%I', n.nspname, t.typname) FROM pg_catalog.pg_attribute a
		JOIN pg_catalog.pg_type t ON t.oid = a.atttypid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
		WHERE a.attrelid = $1::text::regclass AND a.attname = 'key'`, progress).Scan(&name)
	return name, err
}

// A querier is a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// CorrectSQL returns the statement that makes some of the rows rejected ones that
// UpdateSQL, before it in the transaction, has counted as stored, and counts those
// that were merged. at is where it has moved the mark of l.
func CorrectSQL(table string, l Lane, at Mark, rejected int64, m Merged) string {
	return fmt.Sprintf(`UPDATE %s SET rows = rows - %d, rejected = rejected + %d, updated = updated + %d, skipped = skipped + %d
		WHERE key = %s AND lane = %d AND chunk = %d AND in_chunk = %d`,
		table, rejected, rejected, m.Updated, m.Skipped, l.key(), l.Number, at.Chunk, at.Records)
}

// literal returns s as an SQL string, whatever standard_conforming_strings says.
func literal(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}
