package citus

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"shardload/internal/fault"
	"shardload/internal/server"
)

// Droppers are what nodes have, by their groups: hashes of the qualified names of tables
// with a trigger that may drop rows before they are inserted, or of which a partition has
// such a trigger.
type Droppers map[int32][]string

// DroppersSQL is the query for the Droppers of a node: its group, and names. It may run
// under any search path. Names are hashed so that they look the same in any answer.
const DroppersSQL = `SELECT pg_catalog.concat('group ', (SELECT groupid FROM pg_catalog.pg_dist_local_group), ': ',
	pg_catalog.string_agg(DISTINCT pg_catalog.md5((pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, a.oid, 0)).identity), ' ')) AS d
	FROM pg_catalog.pg_trigger t CROSS JOIN LATERAL (SELECT t.tgrelid UNION ALL SELECT relid::pg_catalog.oid FROM pg_catalog.pg_partition_ancestors(t.tgrelid)) AS a(oid)
	WHERE NOT t.tgisinternal AND t.tgenabled OPERATOR(pg_catalog.<>) 'D' AND (t.tgtype OPERATOR(pg_catalog.&) 7::pg_catalog.int2) OPERATOR(pg_catalog.=) 7::pg_catalog.int2`

// DroppersBesideSQL returns the query for the Droppers of the nodes on which a table of
// ours has rows: a row for each of those. It uses the connections that the transaction
// has to them already. Citus does not pass on a query of a node's catalog, but neither
// does it look into text.
func DroppersBesideSQL(table string) string {
	return `SELECT pg_catalog.query_to_xml(` + server.Literal(DroppersSQL) + `, true, true, '') FROM ` + table
}

var (
	groupInText = regexp.MustCompile(`\bgroup ([0-9]+): `)
	hashInText  = regexp.MustCompile(`\b[0-9a-f]{32}\b`)
)

// Add adds a node's answer to d. It reports whether it was one.
func (d Droppers) Add(answer []byte) bool {
	m := groupInText.FindSubmatch(answer)
	if m == nil {
		return false
	}
	group, err := strconv.ParseInt(string(m[1]), 10, 32)
	if err != nil {
		return false
	}
	tables := hashInText.FindAll(answer, -1)
	d[int32(group)] = make([]string, len(tables))
	for i, text := range tables {
		d[int32(group)][i] = string(text)
	}
	return true
}

// Among returns how many of the placements are among d. It reports false if d does not
// have all of their nodes.
func (d Droppers) Among(places []Placement) (n int, ok bool) {
	for _, p := range places {
		tables, asked := d[p.Group]
		if !asked {
			return 0, false
		}
		if slices.Contains(tables, p.sum) {
			n++
		}
	}
	return n, true
}

// DroppersOf returns the Droppers of all nodes that the coordinator behind conn knows,
// itself included. The coordinator connects to each of them anew, which takes its time.
func DroppersOf(ctx context.Context, conn *pgx.Conn) (Droppers, error) {
	answers, err := askNodes(ctx, conn, `SELECT nodename, success, coalesce(result, '')
		FROM pg_catalog.run_command_on_workers($1::text) UNION ALL SELECT 'the coordinator', true, (`+DroppersSQL+`)`, DroppersSQL)
	if err != nil {
		return nil, fmt.Errorf("ask the nodes for triggers: %w", err)
	}
	d := Droppers{}
	for _, a := range answers {
		if !a.Success || !d.Add([]byte(a.Result)) {
			return nil, &fault.PassingError{Err: fmt.Errorf("ask the nodes for triggers: the coordinator does not reach all of them: %s", a.Result)}
		}
	}
	return d, nil
}

// Of returns how many tables the node of that group, a number as text, has, and whether it
// was asked.
func (d Droppers) Of(group []byte) (n int, asked bool) {
	number, err := strconv.ParseInt(string(group), 10, 32)
	tables, asked := d[int32(number)]
	return len(tables), asked && err == nil
}
