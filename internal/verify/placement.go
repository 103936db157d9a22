package verify

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/server"
	"shardload/internal/term"
)

// A PlacementCheck says whether each row of a table lies in the shard that owns
// the hash of its distribution value. A row in another shard is counted, but a
// query for its tenant does not find it.
type PlacementCheck struct {
	Table  string `json:"table"`
	Column string `json:"distribution_column,omitempty"`
	Rows   int64  `json:"rows"`
	Shards int    `json:"shards"`

	// Skipped says why there is nothing to check, "" if there is.
	Skipped string `json:"skipped,omitempty"`

	Misplaced []Misplaced `json:"misplaced,omitempty"`
}

// Misplaced says which rows of a shard should not be there.
type Misplaced struct {
	Shard string `json:"shard"` // the table's name on its node
	Node  string `json:"node"`  // host:port as the cluster calls it
	Rows  int64  `json:"rows"`  // whose hash another shard owns
	Nulls int64  `json:"nulls"` // whose distribution value is NULL: no shard owns them

	// Problem says so in words. Repair is the SQL, to be run on Node, that puts
	// Rows where they belong; "" if there are none, or if only the coordinator knows
	// where that is.
	Problem string `json:"problem"`
	Repair  string `json:"repair,omitempty"`
}

// Placement checks each of the tables, which are named as in SQL, by one pass
// over all of their shards at once. The hash is the server's own.
func Placement(ctx context.Context, conn *pgx.Conn, tables []string) ([]PlacementCheck, error) {
	version, err := citus.Version(ctx, conn)
	if err != nil {
		return nil, err
	}
	var checks []PlacementCheck
	for _, name := range tables {
		check := PlacementCheck{Table: name, Skipped: "no Citus here"}
		if version != "" {
			err := catalog.Steady(ctx, func() *pgx.Conn { return conn }, name, func() (table *catalog.Table, err error) {
				check = PlacementCheck{Table: name}
				err = server.Tx(ctx, conn, server.Read, func() error {
					table, err = check.run(ctx, conn)
					return err
				})
				return table, err
			})
			if err != nil {
				return checks, fmt.Errorf("placement of %s: %w", name, err)
			}
		}
		checks = append(checks, check)
	}
	return checks, nil
}

// run fills in c for a server with Citus, and returns its table.
func (c *PlacementCheck) run(ctx context.Context, conn *pgx.Conn) (*catalog.Table, error) {
	table, err := catalog.Lookup(ctx, conn, c.Table)
	if err != nil {
		return nil, err
	}
	return table, c.look(ctx, conn, table)
}

// look fills in c for its table.
func (c *PlacementCheck) look(ctx context.Context, conn *pgx.Conn, table *catalog.Table) error {
	dist, err := citus.Distribute(ctx, conn, table.OID)
	if err != nil {
		return err
	}
	if dist.Kind != citus.Hash {
		c.Skipped = "not distributed by hash but " + string(dist.Kind)
		return nil
	}
	c.Column, c.Shards = dist.Column, len(dist.Shards)
	contents, err := readTable(ctx, conn, table, table.Column(dist.Column))
	if err != nil {
		return err
	}
	places, err := readPlaces(ctx, conn, table.OID)
	if err != nil {
		return err
	}
	for _, got := range contents {
		c.Rows += got.rows
		place, ok := places[got.id]
		if !ok {
			return fmt.Errorf("there is no shard %s any more: it was moved or split meanwhile; verify again", got.name)
		}
		if got.nulls == 0 && got.inside(place) {
			continue
		}
		m := Misplaced{Shard: place.name, Node: place.node, Nulls: got.nulls}
		if err := m.explain(ctx, conn, table, dist.Column, got, place); err != nil {
			return err
		}
		c.Misplaced = append(c.Misplaced, m)
	}
	return nil
}

// A content is what was found in a shard.
type content struct {
	name        string // as its node prints it
	id          int64
	rows, nulls int64
	low, high   *int32  // the smallest and the largest hash, nil without rows
	labels      []label // nil where each node hashes its own rows
}

// A place is a shard as Citus's metadata have it.
type place struct {
	name, node string
	min, max   int32
}

// sql returns the shard's name for use in a statement on its node. Citus leaves out one
// schema.
func (p place) sql() string {
	if parts, err := server.ParseName(p.name); err == nil && len(parts) == 1 {
		return server.Name("public", parts[0])
	}
	return p.name
}

func (c content) inside(p place) bool {
	return c.low == nil || *c.low >= p.min && *c.high <= p.max
}

// shardNumber is what every name of a shard ends in.
var shardNumber = regexp.MustCompile(`_(\d+)"?$`)

// readTable reads what is in each shard that has rows.
func readTable(ctx context.Context, conn *pgx.Conn, t *catalog.Table, c *catalog.Column) ([]content, error) {
	if err := server.RowByRow(ctx, conn.PgConn()); err != nil {
		return nil, err
	}
	in, err := catalog.LookInside(ctx, conn, c.TypeOID)
	if err != nil {
		return nil, err
	}
	if in.Enum {
		return readLabels(ctx, conn, t, c)
	}
	return readContents(ctx, conn, t, c.Name)
}

// readContents reads what is in each shard that has rows, and lets its node hash them. The shards of a
// partitioned table are those of its partitions.
func readContents(ctx context.Context, conn *pgx.Conn, t *catalog.Table, column string) ([]content, error) {
	k := pgx.Identifier{column}.Sanitize()
	rows, err := conn.Query(ctx, `
		SELECT tableoid::regclass::text, count(*), count(*) FILTER (WHERE `+server.IsNull(k)+`),
		       min(worker_hash(`+k+`)), max(worker_hash(`+k+`))
		  FROM `+t.SQL()+` GROUP BY 1 ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (content, error) {
		var c content
		if err := row.Scan(&c.name, &c.rows, &c.nulls, &c.low, &c.high); err != nil {
			return c, err
		}
		c.id, err = shardID(c.name)
		return c, err
	})
}

// shardID returns the number of the shard of that name.
func shardID(name string) (int64, error) {
	number := shardNumber.FindStringSubmatch(name)
	if number == nil {
		return 0, fmt.Errorf("%s does not look like a shard", name)
	}
	return strconv.ParseInt(number[1], 10, 64)
}

// readPlaces returns the shards of a table, and of its partitions, by number.
func readPlaces(ctx context.Context, conn *pgx.Conn, table uint32) (map[int64]place, error) {
	rows, err := conn.Query(ctx, `
		SELECT s.shardid, shard_name(s.logicalrelid, s.shardid), min(n.nodename || ':' || n.nodeport),
		       s.shardminvalue::int, s.shardmaxvalue::int
		  FROM pg_dist_shard s
		  JOIN pg_dist_placement p USING (shardid)
		  JOIN pg_dist_node n ON n.groupid = p.groupid AND n.noderole = 'primary'
		 WHERE s.logicalrelid IN (SELECT $1::oid UNION SELECT relid::oid FROM pg_partition_tree($1::oid::regclass))
		 GROUP BY s.shardid, s.logicalrelid, s.shardminvalue, s.shardmaxvalue`, table)
	if err != nil {
		return nil, err
	}
	places := map[int64]place{}
	var id int64
	var p place
	_, err = pgx.ForEachRow(rows, []any{&id, &p.name, &p.node, &p.min, &p.max}, func() error {
		places[id] = p
		return nil
	})
	return places, err
}

// explain counts the rows of a shard that should not be there, and says what to
// do about them.
func (m *Misplaced) explain(ctx context.Context, conn *pgx.Conn, t *catalog.Table, column string, got content, p place) error {
	k := pgx.Identifier{column}.Sanitize()
	outside := fmt.Sprintf("pg_catalog.worker_hash(%s) NOT BETWEEN %d AND %d", k, p.min, p.max)
	var parts []string
	belong := func(how string) string {
		return fmt.Sprintf("%s in shard %s on %s %s to other shards, so that queries for %s %s do not find %s%s", term.Plural(m.Rows, "row"), m.Shard, m.Node,
			term.Verb(m.Rows, "belongs", "belong"), term.Verb(m.Rows, "its", "their"), column, term.Verb(m.Rows, "it", "them"), how)
	}
	switch {
	case got.inside(p):
	case got.labels != nil:
		// The node would send them where its own hashes say.
		m.Rows = got.outside(p)
		parts = append(parts, belong("; insert copies of them through the coordinator, and delete them in that shard"))
	default:
		err := conn.QueryRow(ctx, `SELECT count(*) FROM `+t.SQL()+`
			WHERE tableoid::regclass::text = $1::text AND `+outside, got.name).Scan(&m.Rows)
		if err != nil {
			return err
		}
		parts = append(parts, belong(""))
		m.Repair = repairSQL(t, p.sql(), outside)
	}
	if m.Nulls > 0 {
		parts = append(parts, fmt.Sprintf("%s in shard %s on %s %s no %s: delete %s there", term.Plural(m.Nulls, "row"), m.Shard, m.Node, term.Verb(m.Nulls, "has", "have"), column, term.Verb(m.Nulls, "it", "them")))
	}
	m.Problem = strings.Join(parts, "; ")
	return nil
}

// repairSQL returns the statement that takes rows out of a shard on its node and
// stores them through the table's own name, which Citus routes.
func repairSQL(t *catalog.Table, shard, outside string) string {
	var columns []string
	for _, c := range t.Columns {
		if !c.Generated {
			columns = append(columns, pgx.Identifier{c.Name}.Sanitize())
		}
	}
	list := strings.Join(columns, ", ")
	overriding := ""
	if slices.ContainsFunc(t.Columns, func(c catalog.Column) bool { return c.Identity != 0 }) {
		overriding = "OVERRIDING SYSTEM VALUE "
	}
	return fmt.Sprintf("WITH misplaced AS (DELETE FROM %s WHERE %s RETURNING %s) INSERT INTO %s (%s) %sSELECT %s FROM misplaced",
		shard, outside, list, t.SQL(), list, overriding, list)
}
