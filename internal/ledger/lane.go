package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/server"
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
	// Sum is a hash of all that comes before it, 0 if that is not known.
	Sum uint64
}

// A Lane is an ordered flow of rows into one place, and how far it is stored. If
// it is a shard, it is that of the distribution values that hash into [Min, Max].
type Lane struct {
	Run      string // the ID of the run whose marks share a table with others', "" without
	Number   int32
	Key      string // the distribution value, as text, under which the row is stored
	KeyType  string // of Key, as SQL writes it under any search path
	KeyEqual string // the operator of equal keys, likewise; "" for the server's
	KeyHash  int32  // of Key, where lanes are ranges of hashes
	Min, Max int32
	// Epoch is that of the run whose lane it is, 0 of a job that is none: see Run.
	Epoch int64
	Mark  Mark
	Place Place // of the mark's chunk
	// Within is a hash of the mark's records of its chunk, 0 if there are none or that is
	// not known.
	Within   uint64
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
	Within   uint64
	Rows     int64
	Rejected int64
}

// Lanes reads the marks of an unfinished job through the coordinator, in the order
// of the lanes' numbers. The error is ErrEpoch for those of a run that this process had, and that
// another one has closed, or taken over: then they may be gone.
func Lanes(ctx context.Context, conn *pgx.Conn, t Target, j *Job) (lanes []Lane, err error) {
	err = guarded(ctx, conn, guardProgress(t, reading, j), "ROLLBACK", func() error {
		lanes, err = readLanes(ctx, conn, j)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the marks: %w", err)
	}
	if whole(lanes, j.Kind) {
		return lanes, nil
	}
	if j.Epoch != 0 {
		if err := stillOf(ctx, conn, t, j); err != nil {
			return nil, err
		}
	}
	return nil, ErrMarksGone
}

// AddColumns adds what marks of an earlier version lack: the hashes of what comes before
// them, which are not known, and a count and an epoch that are zero there.
func AddColumns(ctx context.Context, conn *pgx.Conn, t Target, j *Job) error {
	err := guarded(ctx, conn, guardProgress(t, writing, j), "COMMIT", func() error {
		_, err := conn.Exec(ctx, `ALTER TABLE `+j.Progress+` ADD COLUMN IF NOT EXISTS sum pg_catalog.int8 NOT NULL DEFAULT 0,
			ADD COLUMN IF NOT EXISTS in_sum pg_catalog.int8 NOT NULL DEFAULT 0, ADD COLUMN IF NOT EXISTS filtered pg_catalog.int8 NOT NULL DEFAULT 0,
			ADD COLUMN IF NOT EXISTS epoch pg_catalog.int8 NOT NULL DEFAULT 0`)
		return err
	})
	if err != nil {
		return fmt.Errorf("go on with the marks of an earlier version: %w", err)
	}
	return nil
}

func readLanes(ctx context.Context, conn *pgx.Conn, j *Job) ([]Lane, error) {
	keyType, equal, err := keyType(ctx, conn, j.Progress)
	if err != nil {
		return nil, err
	}
	hash := "0"
	if j.Kind == citus.Hash {
		hash = "pg_catalog.worker_hash(key)"
	}
	// Citus drops a cast to text of a domain with a collation on its way to the nodes.
	rows, err := conn.Query(ctx, `SELECT lane, pg_catalog.format('%s', key), `+hash+`, min, max, chunk, in_chunk, place, line, records, sum, in_sum, rows, rejected, updated, skipped, filtered, epoch FROM `+j.Progress+` WHERE `+j.ofRunSQL()+` ORDER BY lane`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (l Lane, err error) {
		l.Run, l.KeyType, l.KeyEqual = j.laneRun(), keyType, equal
		var sum, within int64
		err = row.Scan(&l.Number, &l.Key, &l.KeyHash, &l.Min, &l.Max, &l.Mark.Chunk, &l.Mark.Records, &l.Place.Offset, &l.Place.Line, &l.Place.Records,
			&sum, &within, &l.Rows, &l.Rejected, &l.Updated, &l.Skipped, &l.Filtered, &l.Epoch)
		l.Place.Sum, l.Within = uint64(sum), uint64(within)
		return l, err
	})
}

// ErrMarksGone says that some of a job's marks are no longer there.
var ErrMarksGone = fault.Advise(errors.New("the marks of some lanes are gone, as a crash empties unlogged tables"), "empty the table and load it anew")

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
//
// Where keys are checked another statement comes first, and the search path is the role's
// afterwards.
func UpdateSQL(t Target, table string, l Lane, s Step) (sql string, statements int) {
	sql = fmt.Sprintf(`UPDATE %s SET chunk = %d, in_chunk = %d, place = %d, line = %d, records = %d, sum = %d, in_sum = %d,
		rows = rows OPERATOR(pg_catalog.+) %d, rejected = rejected OPERATOR(pg_catalog.+) %d, advanced = pg_catalog.now() WHERE `,
		table, s.To.Chunk, s.To.Records, s.Place.Offset, s.Place.Line, s.Place.Records, int64(s.Place.Sum), int64(s.Within), s.Rows, s.Rejected) + l.at(t, s.From)
	return t.withKeys(sql)
}

// withKeys returns sql, which has a lane's key in it, as it is to be run under our own search
// path, and the number of its statements.
func (t Target) withKeys(sql string) (all string, statements int) {
	if t.checked() {
		return server.RolePathSQL + "; " + sql, 2
	}
	return sql, 1
}

// at returns the condition that the lane's row is the one whose mark is m, of the lane's epoch
// and range: whoever has slept while another process took the run over, or divided the lane,
// finds no row. Else a row would be stored by a mark that is no longer the only one of its hash.
func (l Lane) at(t Target, m Mark) string {
	same := l.equal()
	if t.checked() {
		same = "OPERATOR(pg_catalog.=)"
	}
	return l.rowSQL(same) + fmt.Sprintf(" AND chunk OPERATOR(pg_catalog.=) %d AND in_chunk OPERATOR(pg_catalog.=) %d"+
		" AND epoch OPERATOR(pg_catalog.=) %d AND min OPERATOR(pg_catalog.=) %d AND max OPERATOR(pg_catalog.=) %d",
		m.Chunk, m.Records, l.Epoch, l.Min, l.Max)
}

// RowSQL returns the condition that a row of the progress table is the lane's, "" where that takes more
// than one statement.
func (l Lane) RowSQL(t Target) string {
	if t.checked() {
		return ""
	}
	return l.rowSQL(l.equal())
}

// rowSQL is RowSQL, with the operator of equal keys.
func (l Lane) rowSQL(same string) string {
	sql := fmt.Sprintf("key %s %s AND lane OPERATOR(pg_catalog.=) %d", same, l.key(), l.Number)
	if l.Run != "" {
		sql += " AND run OPERATOR(pg_catalog.=) " + server.Literal(l.Run)
	}
	return sql
}

// key returns the lane's key in SQL. Without its type it would not be understood
// where that is a composite, and Citus 13.2 crashes where it is a domain with a
// constraint.
func (l Lane) key() string { return server.Literal(l.Key) + "::" + l.KeyType }

// equal returns the operator of equal keys.
func (l Lane) equal() string { return cmp.Or(l.KeyEqual, "=") }

// keyTypeSQL asks for the type of the keys of a progress table, and for the operator by which
// the type itself tells that values are equal: that of an extension's type is where the
// extension is. What has none of its own, as enums and arrays, is compared by the server's.
const keyTypeSQL = `WITH RECURSIVE below (oid, base) AS (
		SELECT t.oid, t.typbasetype FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
		WHERE a.attrelid = $1::pg_catalog.text::pg_catalog.regclass AND a.attname = 'key'
		UNION ALL SELECT t.oid, t.typbasetype FROM below JOIN pg_catalog.pg_type t ON t.oid = below.base)
	SELECT pg_catalog.format('%I.%I', n.nspname, t.typname), coalesce(
		(SELECT pg_catalog.format('OPERATOR(%I.%s)', s.nspname, o.oprname) FROM below JOIN pg_catalog.pg_opclass c ON c.opcintype = below.oid
			JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod
			JOIN pg_catalog.pg_amop p ON p.amopfamily = c.opcfamily AND p.amoplefttype = c.opcintype AND p.amoprighttype = c.opcintype AND p.amopstrategy = 1
			JOIN pg_catalog.pg_operator o ON o.oid = p.amopopr JOIN pg_catalog.pg_namespace s ON s.oid = o.oprnamespace
			WHERE c.opcdefault AND m.amname = 'hash' AND below.base = 0), '=')
	FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
	WHERE a.attrelid = $1::pg_catalog.text::pg_catalog.regclass AND a.attname = 'key'`

// keyType returns the type of the keys of a progress table, and the operator of equal ones.
func keyType(ctx context.Context, conn querier, progress string) (name, equal string, err error) {
	err = conn.QueryRow(ctx, keyTypeSQL, progress).Scan(&name, &equal)
	return name, equal, err
}

// A querier is a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// CorrectSQL returns the statement that makes some of the rows rejected or filtered ones that
// UpdateSQL, before it in the transaction, has counted as stored, and counts those
// that were merged. at is where it has moved the mark of l. As with UpdateSQL another may
// come before it.
func CorrectSQL(t Target, table string, l Lane, at Mark, rejected int64, m Merged) string {
	filtered := ""
	if m.Filtered > 0 {
		filtered = fmt.Sprintf(", filtered = filtered OPERATOR(pg_catalog.+) %d", m.Filtered)
	}
	sql, _ := t.withKeys(fmt.Sprintf(`UPDATE %s SET rows = rows OPERATOR(pg_catalog.-) %d, rejected = rejected OPERATOR(pg_catalog.+) %d,
		updated = updated OPERATOR(pg_catalog.+) %d, skipped = skipped OPERATOR(pg_catalog.+) %d%s WHERE `, table, rejected+m.Filtered, rejected, m.Updated, m.Skipped, filtered) + l.at(t, at))
	return sql
}
