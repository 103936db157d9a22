package loader

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/catalog"
	"shardload/internal/citus"
)

// The oldest servers that shardload is made for.
const (
	oldestPostgres = 130000
	oldestCitus    = 11
)

// unsafeEncodings are those in which a byte of a longer character may look like a
// quote, a delimiter or a line break. The server cannot use them itself either.
const unsafeEncodings = " SJIS SHIFTJIS2004 BIG5 GBK UHC GB18030 JOHAB "

// prepare reads what the table is, makes the plan, and checks what would stop a
// load.
func (l *Loader) prepare(ctx context.Context) (err error) {
	if l.server, err = catalog.Server(ctx, l.control); err != nil {
		return err
	}
	if err := l.checkServer(); err != nil {
		return err
	}
	if l.table, err = catalog.Lookup(ctx, l.control, l.cfg.Table); err != nil {
		return err
	}
	if err := l.readSession(ctx); err != nil {
		return err
	}
	rights, err := l.checkTable(ctx)
	if err != nil {
		return err
	}
	if err := l.chooseKey(rights); err != nil {
		return err
	}
	l.distribution = &citus.Distribution{Kind: citus.Local}
	if l.server.Citus != "" {
		if l.distribution, err = citus.Distribute(ctx, l.control, l.table.OID); err != nil {
			return err
		}
	}
	return l.makePlan(ctx, rights)
}

// checkServer checks version, writability and encoding.
func (l *Loader) checkServer() error {
	s := l.server
	major := 0
	if s.Citus != "" {
		if _, err := fmt.Sscanf(s.Citus, "%d", &major); err != nil {
			return fmt.Errorf("the version of Citus, %q: %w", s.Citus, err)
		}
	}
	switch {
	case s.Version < oldestPostgres:
		return &PreflightError{fmt.Sprintf("the server is PostgreSQL %s", s.VersionText), "shardload needs 13 or later"}
	case s.Citus != "" && major < oldestCitus:
		return &PreflightError{fmt.Sprintf("the cluster runs Citus %s", s.Citus), "shardload needs 11 or later"}
	case s.InRecovery:
		return &PreflightError{"the server is a standby and takes no writes", "connect to the primary; target_session_attrs=read-write finds it among several hosts"}
	}
	name := strings.ToUpper(strings.NewReplacer("-", "", "_", "", " ", "").Replace(l.cfg.Encoding))
	if strings.Contains(unsafeEncodings, " "+name+" ") {
		return &PreflightError{fmt.Sprintf("in encoding %s a part of a character may look like a quote or a comma", l.cfg.Encoding),
			"convert the input first: iconv -f " + l.cfg.Encoding + " -t UTF-8"}
	}
	return nil
}

// checkTable checks the kind of the table and the rights on it.
func (l *Loader) checkTable(ctx context.Context) (rights catalog.Rights, err error) {
	if err := l.table.Loadable(); err != nil {
		return rights, err
	}
	if l.table.Schema == "pg_catalog" || l.table.Schema == "information_schema" {
		return rights, &PreflightError{l.table.SQL() + " belongs to the server itself", "name a table of your own"}
	}
	if rights, err = catalog.Privileges(ctx, l.control, l.table); err != nil {
		return rights, err
	}
	name := l.table.SQL()
	switch {
	case !rights.Insert:
		return rights, &PreflightError{fmt.Sprintf("role %s may not insert into %s", rights.Role, name),
			fmt.Sprintf("its owner can allow it: GRANT INSERT ON %s TO %s", name, rights.Role)}
	case l.table.RowSecurity:
		return rights, &PreflightError{fmt.Sprintf("row-level security is in force on %s for role %s, and COPY cannot load such a table", name, rights.Role),
			"load as the table's owner or as a role with BYPASSRLS"}
	}
	if rights.Select {
		l.plan.HasRows, err = hasRows(ctx, l.control, name)
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && strings.HasPrefix(pgErr.Code, "08") {
			return rights, &PreflightError{"a node of the cluster does not answer: " + strings.Join(strings.Fields(pgErr.Message), " "),
				"start it, and run the same command again"}
		}
		if err != nil {
			return rights, fmt.Errorf("look for rows in %s: %w", name, err)
		}
	}
	return rights, nil
}

// hasRows reports whether the table has a row.
func hasRows(ctx context.Context, conn *pgx.Conn, table string) (has bool, err error) {
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, citus.FewConnectionsSQL); err != nil {
			return err
		}
		var one int
		err := tx.QueryRow(ctx, "SELECT 1 FROM "+table+" LIMIT 1").Scan(&one)
		if has = err == nil; errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return has, err
}

// makePlan chooses the route and the number of streams.
func (l *Loader) makePlan(ctx context.Context, rights catalog.Rights) error {
	p := &l.plan
	p.Table, p.Batch, p.Memory = l.table.SQL(), l.cfg.Batch, l.cfg.Memory
	p.Route = RouteCoordinator
	p.Server = "PostgreSQL " + strings.Fields(l.server.VersionText + " ")[0]
	lay, err := l.newRouter(tableColumns(l.table))
	if err != nil {
		return err
	}
	p.Lanes, p.Shards = lay.lanes, l.distribution.Kind == citus.Hash || l.distribution.Kind == citus.Single
	p.Why = "the server is plain PostgreSQL"
	if l.server.Citus != "" {
		if err := l.planCitus(ctx); err != nil {
			return err
		}
	}
	if err := l.chooseRoute(ctx, rights); err != nil {
		return err
	}
	return l.planStreams()
}

// planCitus says why rows take the coordinator, and refuses what cannot be loaded
// through it.
func (l *Loader) planCitus(ctx context.Context) error {
	nodes, err := citus.Nodes(ctx, l.control)
	if err != nil {
		return err
	}
	group, err := citus.LocalGroup(ctx, l.control)
	if err != nil {
		return err
	}
	workers := 0
	for _, n := range nodes {
		if n.Group != 0 && n.Role == "primary" {
			workers++
		}
	}
	l.plan.Server += fmt.Sprintf(", Citus %s, %s", l.server.Citus, plural(workers, "worker"))
	if group != 0 {
		return &PreflightError{"the server is a worker of a Citus cluster", "connect to the coordinator" + coordinatorOf(nodes)}
	}
	switch l.distribution.Kind {
	case citus.Append:
		return &PreflightError{l.table.SQL() + " is append-distributed", "distribute it by hash; shardload loads no other shards"}
	case citus.Hash:
		l.plan.Why = fmt.Sprintf("the table is distributed by %s over %s; a batch holds rows of one of them", l.distribution.Column, plural(len(l.distribution.Shards), "shard"))
	case citus.Single:
		l.plan.Why = "the table has a single shard"
	case citus.Reference:
		l.plan.Why = "the table is a reference table, which the coordinator writes to all nodes"
	default:
		l.plan.Why = "the table is not distributed"
	}
	return nil
}

func coordinatorOf(nodes []citus.Node) string {
	for _, n := range nodes {
		if n.Group == 0 {
			return fmt.Sprintf(": %s:%d", n.Name, n.Port)
		}
	}
	return ""
}

// Connections that a load needs beside its streams, on the first node: the
// control connection is counted already; the fence and the question of a hash are
// not.
const otherConnections = 2

// spareConnections are left to others when shardload chooses the number of
// streams itself.
const spareConnections = 3

// planStreams fits the streams into the connections that are left. Those of other
// nodes are not counted beforehand: where there are too few, fewer streams run.
func (l *Loader) planStreams() error {
	free := l.server.Free() - otherConnections
	l.plan.Nodes = max(len(l.nodes)-1, 1)
	want := l.cfg.Streams
	if want == 0 {
		want = (defaultStreams() + l.plan.Nodes - 1) / l.plan.Nodes
		want = min(want, max(free-spareConnections, 1))
	}
	// A reference table's replicas are written under a lock that only one
	// transaction can hold.
	if l.cfg.Streams == 0 && l.distribution.Kind == citus.Reference {
		want = 1
	}
	if want > free {
		return &PreflightError{fmt.Sprintf("%s wanted, but the server has %s left for this role, and %d more are needed",
			plural(want, "stream"), plural(max(l.server.Free(), 0), "connection"), otherConnections),
			"ask for fewer with --streams, close other sessions, or raise max_connections (and the role's or the database's CONNECTION LIMIT)"}
	}
	l.plan.Streams = want
	return nil
}
