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
// such a trigger. Every node has two of Citus's own.
type Droppers map[int32][]string

// DroppersSQL is the query for the Droppers of a node: its group, and names. It may run
// under any search path. Names are hashed so that they look the same in any answer.
const DroppersSQL = `SELECT pg_catalog.concat('group ', (SELECT groupid FROM pg_catalog.pg_dist_local_group), ': ',
	pg_catalog.string_agg(DISTINCT pg_catalog.md5((pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, a.oid, 0)).identity), ' ')) AS d
	FROM pg_catalog.pg_trigger t CROSS JOIN LATERAL (SELECT t.tgrelid UNION ALL SELECT relid::pg_catalog.oid FROM pg_catalog.pg_partition_ancestors(t.tgrelid)) AS a(oid)
	WHERE NOT t.tgisinternal AND t.tgenabled OPERATOR(pg_catalog.<>) 'D' AND (t.tgtype OPERATOR(pg_catalog.&) 7::pg_catalog.int2) OPERATOR(pg_catalog.=) 7::pg_catalog.int2`

// DroppersBesideSQL returns the query for the Droppers of the nodes on which a table of
// ours has rows for which where holds, "" for all: an answer for each of those. It uses the
// connections that the transaction has to them already. Citus does not pass on a query of a
// node's catalog, but neither does it look into text.
func DroppersBesideSQL(table, where string) string {
	if where != "" {
		where = " WHERE " + where
	}
	return `SELECT pg_catalog.query_to_xml(` + server.Literal(DroppersSQL) + `, true, true, '') FROM ` + table + where
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

// PlacesSQL returns the query for the placements of a table that Droppers.None takes: of all shards, or
// of those that have hashes of a range.
func PlacesSQL(table uint32, of *Shard) string {
	sql := `SELECT p.groupid, pg_catalog.md5(` + nameSQL + `)` + fromPlaced + `s.logicalrelid = ` + fmt.Sprint(table) + `::oid`
	if of != nil {
		sql += fmt.Sprintf(" AND s.shardminvalue::int4 <= %d AND s.shardmaxvalue::int4 >= %d", of.Max, of.Min)
	}
	return sql
}

// None reports whether none of the placements, which are rows of PlacesSQL, is among d. It reports
// false, too, if d does not have all of their nodes.
func (d Droppers) None(places [][][]byte) bool {
	list := make([]Placement, len(places))
	for i, p := range places {
		group, err := strconv.ParseInt(string(p[0]), 10, 32)
		if err != nil {
			return false
		}
		list[i] = Placement{Group: int32(group), sum: string(p[1])}
	}
	n, ok := d.Among(list)
	return ok && n == 0 && len(list) > 0
}
