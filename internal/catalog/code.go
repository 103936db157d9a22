package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// codeSQL tells whether something of a table, or of its partitions, calls what somebody
// has made: a trigger, a rule, a type, or a function, operator or operator class in a
// constraint, an index, a default or statistics. The server keeps no note of what is its
// own; of that, little looks a name up while it runs. Definitions are read of this table's
// constraints alone: of one that somebody drops meanwhile there is none, which is an error.
const codeSQL = `
WITH parts AS MATERIALIZED (SELECT $1::oid AS oid UNION SELECT relid FROM pg_partition_tree($1::oid)),
made AS (
	SELECT 'pg_class'::regclass::oid AS class, oid FROM parts
	UNION ALL SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index i JOIN parts p ON p.oid = i.indrelid
	UNION ALL SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint k JOIN parts p ON p.oid = k.conrelid
	UNION ALL SELECT 'pg_attrdef'::regclass, d.oid FROM pg_attrdef d JOIN parts p ON p.oid = d.adrelid
	UNION ALL SELECT 'pg_statistic_ext'::regclass, s.oid FROM pg_statistic_ext s JOIN parts p ON p.oid = s.stxrelid),
checks AS MATERIALIZED (SELECT k.oid FROM pg_constraint k JOIN parts p ON p.oid = k.conrelid WHERE k.contype = 'c')
SELECT EXISTS (SELECT FROM pg_depend d JOIN made m ON m.class = d.classid AND m.oid = d.objid
		WHERE d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_opfamily'::regclass)
			OR d.refclassid = 'pg_type'::regclass AND d.classid <> 'pg_class'::regclass)
	OR EXISTS (SELECT FROM pg_trigger t JOIN parts p ON p.oid = t.tgrelid JOIN pg_proc f ON f.oid = t.tgfoid
		WHERE NOT t.tgisinternal AND f.pronamespace <> 'pg_catalog'::regnamespace)
	OR EXISTS (SELECT FROM pg_rewrite r JOIN parts p ON p.oid = r.ev_class)
	OR EXISTS (SELECT FROM pg_attribute a JOIN parts p ON p.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
		WHERE a.attnum > 0 AND NOT a.attisdropped AND t.oid >= 16384 AND t.typtype <> 'e')
	OR EXISTS (SELECT FROM checks WHERE pg_get_constraintdef(oid) ~ '::reg|to_reg|current_schema|to_ts')`

// HasCode reports whether the table with that OID calls what somebody has made, which may
// look names up under the search path that it meets.
func HasCode(ctx context.Context, conn *pgx.Conn, table uint32) (has bool, err error) {
	batch := &pgx.Batch{}
	QueueCode(batch, table, &has)
	err = server.Ask(ctx, conn, batch)
	return has, err
}

// QueueCode adds the query of HasCode to batch, after which the answer is in has.
func QueueCode(batch *pgx.Batch, table uint32, has *bool) {
	batch.Queue(codeSQL, table).QueryRow(func(row pgx.Row) error {
		if err := row.Scan(has); err != nil {
			return fmt.Errorf("what the table calls: %w", err)
		}
		return nil
	})
}

// QueueRule adds to batch what finds a rule that INSERT into the table with that OID fires, and
// COPY does not. Its name is in rule after that, "" if there is none.
func QueueRule(batch *pgx.Batch, table uint32, rule *string) {
	const sql = `SELECT coalesce((SELECT rulename::text FROM pg_rewrite WHERE ev_class = $1::oid AND ev_type = '3' AND ev_enabled <> 'D' ORDER BY rulename LIMIT 1), '')`
	batch.Queue(sql, table).QueryRow(func(row pgx.Row) error {
		if err := row.Scan(rule); err != nil {
			return fmt.Errorf("the table's rules: %w", err)
		}
		return nil
	})
}
