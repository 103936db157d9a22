package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/bench/left"
	"shardload/internal/bench/shape"
	"shardload/internal/fault"
	"shardload/internal/server"
	"shardload/internal/term"
)

// A place is the benchmark's own schema and the tables in it.
type place struct {
	conn       *pgx.Conn
	citus      bool
	schema     string
	made       bool
	statements []string // that made the tables
	checkpoint error    // why there is none between runs
}

// newPlace makes a schema that nobody else has.
func newPlace(ctx context.Context, conn *pgx.Conn, citus bool) (*place, error) {
	p := &place{conn: conn, citus: citus, schema: "shardload_bench_" + strings.ToLower(rand.Text()[:8])}
	sql := "CREATE SCHEMA " + p.schema
	if citus {
		// Where each schema is a tenant of its own, tables in it could not be
		// distributed.
		sql = "SELECT pg_catalog.set_config('citus.enable_schema_based_sharding', 'off', true); " + sql
	}
	err := left.MakeMarked(ctx, conn, left.Bench, p.schema[len(p.schema)-8:], sql, "SCHEMA "+p.schema)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == fault.InsufficientPrivilege {
		return nil, fmt.Errorf("%s: a benchmark needs a schema of its own: GRANT CREATE ON DATABASE %s TO %s, or run it elsewhere", pgErr.Message,
			pgx.Identifier{conn.Config().Database}.Sanitize(), pgx.Identifier{conn.Config().User}.Sanitize())
	}
	if err != nil {
		return nil, fmt.Errorf("make a schema: %w", err)
	}
	p.made = true
	return p, nil
}

// table returns the name of the point's table.
func (p *place) table(of Point) string { return p.schema + "." + p.name(of) }

func (p *place) name(of Point) string { return fmt.Sprintf("%s_%d", of.Shape, of.Shards) }

// makeTable makes the table of the point's shape, with its indexes, and distributes it over the
// point's shards; 0 leaves it local. Autovacuum keeps off it, so that it does not meet one arm and
// not the other.
func (p *place) makeTable(ctx context.Context, of Point) error {
	s, name := shape.Lookup(of.Shape), p.table(of)
	statements := s.Statements(name, "(autovacuum_enabled = false)")
	if of.Shards > 0 {
		statements = append(statements, fmt.Sprintf("SELECT create_distributed_table('%s', '%s', colocate_with => 'none', shard_count => %d)", name, s.Table.DistributionColumn, of.Shards))
	}
	if err := server.Run(ctx, p.conn, statements...); err != nil {
		return err
	}
	p.statements = append(p.statements, statements...)
	return nil
}

// empty empties a table and has the servers write a checkpoint.
func (p *place) empty(ctx context.Context, table string) error {
	if err := server.Run(ctx, p.conn, "TRUNCATE "+table); err != nil {
		return fmt.Errorf("empty %s: %w", table, err)
	}
	if p.checkpoint != nil {
		return nil
	}
	if p.checkpoint = server.Run(ctx, p.conn, "CHECKPOINT"); p.checkpoint != nil || !p.citus {
		return context.Cause(ctx)
	}
	var failed int
	err := server.Value(ctx, p.conn, &failed, "SELECT count(*) FILTER (WHERE NOT success) FROM pg_catalog.run_command_on_workers('CHECKPOINT')")
	if err == nil && failed > 0 {
		err = fmt.Errorf("%s %s it", term.Plural(failed, "worker"), term.Verb(failed, "refuses", "refuse"))
	}
	p.checkpoint = err
	return context.Cause(ctx)
}

// between says what empty does.
func (p *place) between() string {
	if p.checkpoint != nil {
		return "TRUNCATE; no CHECKPOINT (" + p.checkpoint.Error() + "); the tables are not autovacuumed"
	}
	return "TRUNCATE, CHECKPOINT on all nodes; the tables are not autovacuumed"
}

// count counts the rows of a table.
func (p *place) count(ctx context.Context, table string) (n int64, err error) {
	err = server.Value(ctx, p.conn, &n, "SELECT count(*) FROM "+table)
	return n, err
}

// dropTimeout bounds the clean-up, which goes on after an interrupt.
const dropTimeout = 30 * time.Second

// drop removes the schema and everything in it. It also works after ctx has ended,
// which may have closed the connection: connect makes another.
func (p *place) drop(ctx context.Context, connect func(context.Context) (*pgx.Conn, error)) error {
	if !p.made {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	conn := p.conn
	if conn.IsClosed() {
		var err error
		if conn, err = connect(ctx); err != nil {
			return p.leftBehind(err)
		}
		defer func() { _ = conn.Close(ctx) }()
	}
	if err := server.Run(ctx, conn, "DROP SCHEMA "+p.schema+" CASCADE"); err != nil {
		return p.leftBehind(err)
	}
	p.made = false
	return nil
}

// leftBehind says what is to be cleaned up by hand.
func (p *place) leftBehind(err error) error {
	return fmt.Errorf("the schema %s could not be dropped; DROP SCHEMA %s CASCADE does it: %w", p.schema, p.schema, err)
}
