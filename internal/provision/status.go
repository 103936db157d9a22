package provision

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
	"shardload/internal/server"
)

// A TableStatus says what there is of one of the dataset's tables.
type TableStatus struct {
	Table  string `json:"table"`
	Exists bool   `json:"exists"`

	// The rest is empty if the table does not exist.

	Name  string `json:"name,omitempty"` // quoted, with its schema
	Rows  int64  `json:"rows"`           // counted, not estimated
	Bytes int64  `json:"bytes"`          // on all nodes, indexes included

	// Problem says why the table is not the dataset's, "" if it is. Of a relation
	// that is no table nothing else is known.
	Problem string `json:"problem,omitempty"`

	// Distribution is citus.Local where the table has no shards.
	Distribution citus.Kind   `json:"distribution,omitempty"`
	Column       string       `json:"distribution_column,omitempty"`
	Colocation   int64        `json:"colocation_id,omitempty"`
	Shards       int          `json:"shards,omitempty"`
	Nodes        []NodeShards `json:"nodes,omitempty"`
}

// NodeShards says how much of a table a node holds.
type NodeShards struct {
	Node   string `json:"node"` // host:port as the cluster calls it
	Shards int    `json:"shards"`
	Bytes  int64  `json:"bytes"`
}

// Status returns what there is of each table, parents first. It counts the rows,
// which takes a while if there are many.
func Status(ctx context.Context, conn *pgx.Conn) ([]TableStatus, error) {
	states, err := status(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("status of the tables: %w", err)
	}
	return states, nil
}

func status(ctx context.Context, conn *pgx.Conn) ([]TableStatus, error) {
	if err := citus.CheckCoordinator(ctx, conn); err != nil {
		return nil, err
	}
	version, err := citus.Version(ctx, conn)
	if err != nil {
		return nil, err
	}
	tables, err := lookupTables(ctx, conn)
	if err != nil {
		return nil, err
	}
	states := make([]TableStatus, len(tables))
	for i, t := range tables {
		states[i] = TableStatus{Table: t.want.Name, Exists: t.have != nil}
		if t.have == nil {
			continue
		}
		if err := states[i].read(ctx, conn, t, version != ""); err != nil {
			return nil, fmt.Errorf("%s: %w", t.want.Name, err)
		}
	}
	return states, nil
}

// read fills in s for a table that exists.
func (s *TableStatus) read(ctx context.Context, conn *pgx.Conn, t found, hasCitus bool) error {
	s.Name = t.have.SQL()
	if err := checkShape(t.want, t.have); err != nil {
		s.Problem = err.Error()
	}
	if t.have.Kind != 'r' && t.have.Kind != 'p' {
		return nil
	}
	if err := server.Value(ctx, conn, &s.Rows, "SELECT count(*) FROM "+s.Name); err != nil {
		return err
	}
	s.Distribution = citus.Local
	if hasCitus {
		d, err := citus.Distribute(ctx, conn, t.have.OID)
		if err != nil {
			return err
		}
		s.Distribution, s.Column = d.Kind, d.Column
		if d.Kind != citus.Local {
			s.Colocation, s.Shards = d.Colocation, len(d.Shards)
			return server.Tx(ctx, conn, server.Read, func() error { return s.readNodes(ctx, conn, t.have.OID) })
		}
	}
	return server.Value(ctx, conn, &s.Bytes, `SELECT pg_total_relation_size($1::oid)`, t.have.OID)
}

// readNodes asks the nodes how large their shards are.
func (s *TableStatus) readNodes(ctx context.Context, conn *pgx.Conn, table uint32) error {
	shares, err := citus.Shares(ctx, conn, table)
	for _, n := range shares {
		s.Nodes = append(s.Nodes, NodeShards(n))
		s.Bytes += n.Bytes
	}
	return err
}
