// Package citus reads a Citus cluster as data: its nodes, how a table is
// distributed, where its shards are, and which shard a value belongs to. Its
// hashes are PostgreSQL's own, bit for bit.
package citus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// Version returns the version of the Citus extension in the database that conn is
// connected to, "" without it.
func Version(ctx context.Context, conn *pgx.Conn) (string, error) {
	var v string
	err := server.Value(ctx, conn, &v, `SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'citus'`)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("the version of Citus: %w", err)
	}
	return v, nil
}

// FewConnectionsSQL makes the statements of a transaction that concern all shards
// take turns on one connection to each node. By default Citus opens many, each of
// which costs a new server process more work than a small statement. A server
// without Citus takes it for settings that mean nothing. A COMMIT of which a node has not
// heard is told of, whatever the role's settings are.
const FewConnectionsSQL = `SELECT pg_catalog.set_config('citus.multi_shard_modify_mode', 'sequential', true),
	pg_catalog.set_config('citus.max_adaptive_executor_pool_size', '1', true),
	pg_catalog.set_config('client_min_messages', 'warning', true)`

// LockTableSQL returns the statement that locks a table, whose name is quoted, in a mode of
// LOCK TABLE. On a cluster that would lock the workers' tables, too; what local says is not so
// is locked by another statement, on this node alone.
func LockTableSQL(table, mode string, local bool) string {
	if local {
		return "LOCK TABLE " + table + " IN " + mode + " MODE"
	}
	// Where it does not exist that is the error of LOCK TABLE, too, by a name that nothing has.
	return "SELECT CASE WHEN NOT pg_catalog.lock_relation_if_exists(" + server.Literal(table) + ", '" + mode + "') THEN " +
		server.Literal(`pg_catalog."that is to be locked"`) + "::pg_catalog.text::pg_catalog.regclass END"
}

// A Node is a Citus server.
type Node struct {
	Group  int32 // 0 is the coordinator
	Name   string
	Port   int32
	Active bool
	Role   string // primary, secondary
	// HasShards says that the node is meant to hold shards.
	HasShards bool
	// Synced says that the node knows the cluster's metadata, and that they are
	// up to date as the coordinator believes.
	Synced bool
}

// Address returns the node's name and port as the cluster's nodes call it.
func (n Node) Address() string { return fmt.Sprintf("%s:%d", n.Name, n.Port) }

// Nodes returns the nodes of the cluster, the coordinator first if it is one of
// them.
func Nodes(ctx context.Context, conn *pgx.Conn) ([]Node, error) {
	var nodes []Node
	batch := &pgx.Batch{}
	queueNodes(batch, &nodes)
	err := server.Ask(ctx, conn, batch)
	return nodes, err
}

// queueNodes adds the query of Nodes to batch, after which nodes are the answer.
func queueNodes(batch *pgx.Batch, nodes *[]Node) {
	batch.Queue(`
		SELECT groupid, nodename, nodeport, isactive, noderole::text, shouldhaveshards, hasmetadata AND metadatasynced
		FROM pg_catalog.pg_dist_node ORDER BY groupid, nodeid`).Query(func(rows pgx.Rows) (err error) {
		if *nodes, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Node]); err != nil {
			return fmt.Errorf("the nodes of the cluster: %w", err)
		}
		return nil
	})
}

// collect runs a query in a transaction of ours, and reads its rows.
func collect[T any](ctx context.Context, conn *pgx.Conn, read pgx.RowToFunc[T], sql string, args ...any) (list []T, err error) {
	batch := &pgx.Batch{}
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) (err error) {
		list, err = pgx.CollectRows(rows, read)
		return err
	})
	err = server.Ask(ctx, conn, batch)
	return list, err
}

// A Cluster is what a node knows of its cluster.
type Cluster struct {
	Nodes []Node // the coordinator first if it is one of them
	Group int32  // of the node itself: 0 on the coordinator
}

// QueueNodes adds the query of Nodes to batch, and returns what is the answer after it.
func QueueNodes(batch *pgx.Batch) *[]Node {
	nodes := new([]Node)
	queueNodes(batch, nodes)
	return nodes
}

// Queue adds the queries for how the table with that OID is distributed, and for what the
// node knows of its cluster, to batch, and returns what are the answers after it.
func Queue(batch *pgx.Batch, table uint32) (*Distribution, *Cluster) {
	c := &Cluster{}
	d := QueueDistribution(batch, table)
	queueNodes(batch, &c.Nodes)
	batch.Queue(localGroupSQL).QueryRow(func(row pgx.Row) error {
		if err := row.Scan(&c.Group); err != nil {
			return fmt.Errorf("the role of this node: %w", err)
		}
		return nil
	})
	return d, c
}

const localGroupSQL = `SELECT groupid FROM pg_catalog.pg_dist_local_group`

// LocalGroup returns the group of the node that conn is connected to. It is 0 on
// the coordinator.
func LocalGroup(ctx context.Context, conn *pgx.Conn) (int32, error) {
	var group int32
	err := server.Value(ctx, conn, &group, localGroupSQL)
	if err != nil {
		return 0, fmt.Errorf("the role of this node: %w", err)
	}
	return group, nil
}

// CheckCoordinator returns an error if conn leads to a worker of a cluster, which
// says where the coordinator is.
func CheckCoordinator(ctx context.Context, conn *pgx.Conn) error {
	return server.Tx(ctx, conn, server.Read, func() error { return checkCoordinator(ctx, conn) })
}

func checkCoordinator(ctx context.Context, conn *pgx.Conn) error {
	version, err := Version(ctx, conn)
	if err != nil || version == "" {
		return err
	}
	group, err := LocalGroup(ctx, conn)
	if err != nil || group == 0 {
		return err
	}
	nodes, err := Nodes(ctx, conn)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if n.Group == 0 {
			return fmt.Errorf("this server is a worker of a Citus cluster: connect to the coordinator, %s", n.Address())
		}
	}
	return errors.New("this server is a worker of a Citus cluster: connect to the coordinator")
}

// A Kind is a way for Citus to place a table's rows.
type Kind string

// The kinds of tables.
const (
	Local     Kind = "local"     // not a Citus table
	Hash      Kind = "hash"      // distributed over shards by the hash of a column
	Reference Kind = "reference" // one shard, a copy on every node
	Single    Kind = "single"    // one shard without a distribution column
	Managed   Kind = "managed"   // local, but known to Citus
	Range     Kind = "range"
	Append    Kind = "append"
)

// A Distribution says how a table is distributed.
type Distribution struct {
	Kind       Kind
	Column     string // the distribution column, "" for none
	Colocation int64
	// Replicated says that a shard has more than one placement which Citus itself
	// keeps alike.
	Replicated bool
	// Shards are in the order of their hash ranges.
	Shards []Shard
}

// A Shard is a part of a table: the rows whose distribution value hashes into
// [Min, Max]. Tables without a distribution column have one shard, for which Min
// and Max mean nothing.
type Shard struct {
	ID       int64
	Min, Max int32
}

// Distribute reads how the table with that OID is distributed. The server must
// have Citus.
func Distribute(ctx context.Context, conn *pgx.Conn, table uint32) (*Distribution, error) {
	batch := &pgx.Batch{}
	d := QueueDistribution(batch, table)
	if err := server.Ask(ctx, conn, batch); err != nil {
		return nil, err
	}
	return d, nil
}

// QueueDistribution adds the queries of Distribute to batch, and returns what is the answer
// after it.
func QueueDistribution(batch *pgx.Batch, table uint32) *Distribution {
	d := &Distribution{}
	batch.Queue(`
		SELECT p.partmethod::text, p.repmodel::text, p.colocationid,
		       coalesce(pg_catalog.column_to_column_name(p.logicalrelid, p.partkey), '')
		FROM pg_catalog.pg_dist_partition p WHERE p.logicalrelid = $1::oid`, table).QueryRow(d.read)
	batch.Queue(`SELECT s.shardid, CASE WHEN p.partmethod = 'h' THEN s.shardminvalue::int ELSE 0 END, CASE WHEN p.partmethod = 'h' THEN s.shardmaxvalue::int ELSE 0 END
		FROM pg_catalog.pg_dist_shard s JOIN pg_catalog.pg_dist_partition p USING (logicalrelid) WHERE s.logicalrelid = $1::oid`, table).Query(d.readShards)
	return d
}

func (d *Distribution) read(row pgx.Row) error {
	var method, replication string
	err := row.Scan(&method, &replication, &d.Colocation, &d.Column)
	if errors.Is(err, pgx.ErrNoRows) {
		d.Kind = Local
		return nil
	}
	if err != nil {
		return fmt.Errorf("the distribution of the table: %w", err)
	}
	d.Kind = kind(method, replication, d.Colocation)
	d.Replicated = replication == "c"
	return nil
}

// kind translates pg_dist_partition. A managed local table and a single-shard
// table look alike but for the colocation group.
func kind(method, replication string, colocation int64) Kind {
	switch {
	case method == "h":
		return Hash
	case method == "r":
		return Range
	case method == "a":
		return Append
	case replication == "t":
		return Reference
	case colocation == 0:
		return Managed
	}
	return Single
}

func (d *Distribution) readShards(rows pgx.Rows) (err error) {
	if d.Shards, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Shard]); err != nil {
		return fmt.Errorf("the shards of the table: %w", err)
	}
	slices.SortFunc(d.Shards, func(a, b Shard) int { return cmp.Or(cmp.Compare(a.Min, b.Min), cmp.Compare(a.ID, b.ID)) })
	if d.Kind == Hash {
		return d.checkRanges()
	}
	return nil
}

// checkRanges makes sure that every hash has exactly one shard.
func (d *Distribution) checkRanges() error {
	next := int64(-1 << 31)
	for _, s := range d.Shards {
		if int64(s.Min) != next || s.Max < s.Min {
			return fmt.Errorf("shard %d owns the hashes %d to %d, but the shard before it ends at %d", s.ID, s.Min, s.Max, next-1)
		}
		next = int64(s.Max) + 1
	}
	if next != 1<<31 {
		return fmt.Errorf("no shard owns the hashes from %d on", next)
	}
	return nil
}

// A Finder finds shards by hash.
type Finder struct {
	mins []int32
	// step is the width of all ranges but the last, 0 if they differ.
	step uint64
}

// NewFinder returns the Finder of shards, which are those of a hash-distributed
// table in the order of their ranges.
func NewFinder(shards []Shard) *Finder {
	f := &Finder{mins: make([]int32, len(shards))}
	for i, s := range shards {
		f.mins[i] = s.Min
	}
	if len(shards) > 0 {
		f.step = uint64(int64(shards[0].Max) - int64(shards[0].Min) + 1)
	}
	for i, s := range shards {
		if i+1 < len(shards) && uint64(int64(s.Max)-int64(s.Min)+1) != f.step {
			f.step = 0
		}
	}
	return f
}

// Find returns the index of the shard that owns hash.
func (f *Finder) Find(hash int32) int {
	if f.step > 0 {
		// The last range may be a little wider than the others.
		return min(int(uint64(int64(hash)+1<<31)/f.step), len(f.mins)-1)
	}
	i, found := slices.BinarySearch(f.mins, hash)
	if found {
		return i
	}
	return i - 1
}
