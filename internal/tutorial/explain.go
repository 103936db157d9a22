package tutorial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// Shards says where Citus sends a statement.
type Shards struct {
	// Tasks is the number of shards, or of sets of colocated shards, that it is
	// sent to.
	Tasks int `json:"tasks"`

	// Node is the host:port of the first of them and Tables the shards' names
	// there. They are all there is if Tasks is 1.
	Node   string   `json:"node"`
	Tables []string `json:"tables"`
}

// explain asks Citus where it would send sql, without running it. It returns nil
// if the plan has nothing distributed.
func explain(ctx context.Context, conn *pgx.Conn, sql string) (*Shards, error) {
	plan, err := planOf(ctx, conn, sql)
	if err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	shards, err := parsePlan(plan)
	if err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	return shards, nil
}

// planOf asks for the plan of sql. Citus asks a worker, in a transaction.
func planOf(ctx context.Context, conn *pgx.Conn, sql string) (plan []byte, err error) {
	if conn.PgConn().TxStatus() == 'I' {
		if err = server.Exec(ctx, conn.PgConn(), "BEGIN READ ONLY"); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, rollback(ctx, conn)) }()
		if err = server.NodesOwnPath(ctx, conn.PgConn()); err != nil {
			return nil, err
		}
	}
	// A simple query: what is prepared could be planned without the values.
	err = conn.QueryRow(ctx, "EXPLAIN (FORMAT json, COSTS off) "+sql, pgx.QueryExecModeSimpleProtocol).Scan(&plan)
	return plan, err
}

// nodeText matches what a plan calls a node: "host=10.0.0.7 port=5432 dbname=x".
var nodeText = regexp.MustCompile(`^host=(\S+) port=(\d+)`)

// parsePlan reads a plan in JSON. It returns nil if nothing is distributed.
func parsePlan(plan []byte) (*Shards, error) {
	var root any
	if err := json.Unmarshal(plan, &root); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	query, ok := find(root, "Distributed Query")
	if !ok {
		return nil, nil
	}
	tasks, _ := find(query, "Task Count")
	count, ok := tasks.(float64)
	if !ok {
		return nil, fmt.Errorf("plan: a distributed query without a task count")
	}
	shards := &Shards{Tasks: int(count)}
	if node, ok := find(query, "Node"); ok {
		shards.Node = fmt.Sprint(node)
		if m := nodeText.FindStringSubmatch(shards.Node); m != nil {
			shards.Node = m[1] + ":" + m[2]
		}
	}
	collect(query, "Relation Name", func(v any) { shards.Tables = append(shards.Tables, fmt.Sprint(v)) })
	slices.Sort(shards.Tables)
	shards.Tables = slices.Compact(shards.Tables)
	return shards, nil
}

// find returns the value of the first member called key, at any depth.
func find(v any, key string) (value any, found bool) {
	collect(v, key, func(got any) {
		if !found {
			value, found = got, true
		}
	})
	return value, found
}

// collect calls f with the value of each member called key, at any depth, the
// elements of arrays in their order.
func collect(v any, key string, f func(any)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			collect(e, key, f)
		}
	case map[string]any:
		if got, ok := v[key]; ok {
			f(got)
		}
		for _, e := range v {
			collect(e, key, f)
		}
	}
}
