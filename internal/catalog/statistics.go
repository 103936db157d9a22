package catalog

import (
	"fmt"
	"strings"
)

// Statistics are how old a table's statistics are.
type Statistics struct {
	Missing bool  // a part of the table has none
	Rows    int64 // that the table had when they were made
	Since   int64 // rows that were added, changed or removed since then, as far as the server has counted
}

// The least number of changed rows, and the part of a table's rows, from which on its statistics
// are stale: as autovacuum has them by default.
const (
	staleRows = 50
	stalePart = 10
)

// Stale reports whether statistics are to be made anew after so many more rows were added or
// changed. Rows that the server has counted already count twice then.
func (s Statistics) Stale(rows int64) bool {
	return s.Missing || s.Since+rows > staleRows+s.Rows/stalePart
}

// Add adds what is known of another part of the table.
func (s *Statistics) Add(other Statistics) {
	s.Missing = s.Missing || other.Missing
	s.Rows += other.Rows
	s.Since += other.Since
}

// StatisticsSQL returns the query for the Statistics of tables together, of which each with that
// name is there, with all partitions: a text for ReadStatistics. names is an expression of type
// text[]. It may run under any search path.
func StatisticsSQL(names string) string {
	return `SELECT pg_catalog.concat_ws(' ', coalesce(pg_catalog.bool_or(c.reltuples OPERATOR(pg_catalog.<) 0::pg_catalog.float4), false)::pg_catalog.int4,
		coalesce(pg_catalog.sum(CASE WHEN c.reltuples OPERATOR(pg_catalog.>) 0::pg_catalog.float4 AND c.relkind OPERATOR(pg_catalog.<>) 'p' THEN c.reltuples END), 0)::pg_catalog.int8,
		coalesce(pg_catalog.sum(pg_catalog.pg_stat_get_mod_since_analyze(c.oid)), 0)::pg_catalog.int8)
		FROM pg_catalog.unnest(` + names + `) AS t (name)
		CROSS JOIN LATERAL (SELECT pg_catalog.to_regclass(t.name)::pg_catalog.oid UNION SELECT relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass(t.name))) AS x (oid)
		JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) x.oid`
}

// ReadStatistics reads the answer to StatisticsSQL.
func ReadStatistics(answer string) (s Statistics, err error) {
	var missing int
	if _, err := fmt.Fscan(strings.NewReader(answer), &missing, &s.Rows, &s.Since); err != nil {
		return s, fmt.Errorf("the server says %q of the table's statistics", answer)
	}
	s.Missing = missing != 0
	return s, nil
}
