package verify

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/server"
	"shardload/internal/term"
)

// A Reference says that the child's columns, in this order, have the values of the
// parent's columns in some row of the parent. As with a foreign key, a child with
// a NULL among them refers to nothing. On Citus both must hold the distribution
// column, so that each shard can be checked by itself.
type Reference struct {
	Child         string // as SQL writes it, like Parent
	ChildColumns  []string
	Parent        string
	ParentColumns []string
}

// An IntegrityCheck says how many rows of a table refer to a row that is missing.
type IntegrityCheck struct {
	Child   string `json:"child"`
	Parent  string `json:"parent"`
	Orphans int64  `json:"orphans"`

	// Problem says so in words, "" without orphans. Query is the query that shows
	// them.
	Problem string `json:"problem,omitempty"`
	Query   string `json:"query,omitempty"`
}

// Integrity looks for rows whose parent is missing, by one pass over each child.
func Integrity(ctx context.Context, conn *pgx.Conn, refs []Reference) ([]IntegrityCheck, error) {
	var checks []IntegrityCheck
	for _, ref := range refs {
		var check IntegrityCheck
		err := server.Tx(ctx, conn, server.Read, func() (err error) {
			check, err = checkReference(ctx, conn, ref)
			return err
		})
		if err != nil {
			return checks, fmt.Errorf("references of %s to %s: %w", ref.Child, ref.Parent, err)
		}
		checks = append(checks, check)
	}
	return checks, nil
}

func checkReference(ctx context.Context, conn *pgx.Conn, ref Reference) (IntegrityCheck, error) {
	check := IntegrityCheck{Child: ref.Child, Parent: ref.Parent}
	orphans, err := orphansSQL(ctx, conn, ref)
	if err != nil {
		return check, err
	}
	if err := conn.QueryRow(ctx, "SELECT count(*) "+orphans).Scan(&check.Orphans); err != nil {
		return check, err
	}
	if check.Orphans > 0 {
		check.Problem = fmt.Sprintf("%s whose %s is not in %s", term.Plural(check.Orphans, "row"), strings.Join(ref.ChildColumns, ", "), ref.Parent)
		check.Query = "SELECT c.* " + orphans + " LIMIT 10"
	}
	return check, nil
}

// orphansSQL returns the query for ref's orphans from FROM on: an anti-join that
// PostgreSQL does by hashing the parent, and Citus shard by shard.
func orphansSQL(ctx context.Context, conn *pgx.Conn, ref Reference) (string, error) {
	if len(ref.ChildColumns) == 0 || len(ref.ChildColumns) != len(ref.ParentColumns) {
		return "", fmt.Errorf("%d columns refer to %d", len(ref.ChildColumns), len(ref.ParentColumns))
	}
	child, err := catalog.Lookup(ctx, conn, ref.Child)
	if err != nil {
		return "", err
	}
	parent, err := catalog.Lookup(ctx, conn, ref.Parent)
	if err != nil {
		return "", err
	}
	var on, where []string
	for i, name := range ref.ChildColumns {
		c, p := child.Column(name), parent.Column(ref.ParentColumns[i])
		if c == nil {
			return "", fmt.Errorf("%s has no column %s", ref.Child, name)
		}
		if p == nil {
			return "", fmt.Errorf("%s has no column %s", ref.Parent, ref.ParentColumns[i])
		}
		column := pgx.Identifier{"c", c.Name}.Sanitize()
		on = append(on, pgx.Identifier{"p", p.Name}.Sanitize()+" = "+column)
		if !c.NotNull {
			where = append(where, server.IsNotNull(column))
		}
	}
	where = append(where, "NOT EXISTS (SELECT FROM "+parent.SQL()+" AS p WHERE "+strings.Join(on, " AND ")+")")
	return "FROM " + child.SQL() + " AS c WHERE " + strings.Join(where, " AND "), nil
}
