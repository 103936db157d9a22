package loader

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/catalog"
	"shardload/internal/charset"
	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/server"
	"shardload/internal/term"
	"shardload/loader/failure"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/route"
)

// The oldest servers that shardload is made for.
const (
	oldestPostgres = 130000
	oldestCitus    = 11
)

// A planner finds out what server and table are, and plans the loads of a Loader.
type planner struct {
	*Loader
	plan Plan
}

// prepare reads what the table is, makes the plan, and checks what would stop a
// load.
func (pl *planner) prepare(ctx context.Context) (err error) {
	if pl.target.Session, err = server.ReadSession(ctx, pl.target.Conn); err != nil {
		return err
	}
	batch := &pgx.Batch{}
	info := catalog.QueueServer(batch)
	err = server.TxFrom(ctx, pl.target.Conn, server.Read, batch, func() error {
		pl.target.Server = *info
		if !pl.thrifty { // for the fence; it is not among the connections that were just counted
			pl.target.MakeAhead(ctx)
		}
		return pl.survey(ctx)
	})
	if err != nil {
		return err
	}
	if pl.target.Table.BeforeInsert {
		pl.triggers.Drop.Store(true)
	}
	if pl.cfg.Select == "" && pl.cfg.Where == "" { // whatever they call may depend on all
		pl.target.DropLocale()
	}
	if pl.nodes, err = route.NewNodes(pl.target, pl.cfg.NodeMap); err != nil {
		return err
	}
	found := pl.findRows(ctx)
	err = pl.makePlan(ctx)
	if failed := found(); err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	pl.Loader.plan = pl.plan
	return nil
}

// survey reads what the table is, and whether it can be loaded into the server.
func (pl *planner) survey(ctx context.Context) (err error) {
	if err := pl.checkServer(); err != nil {
		return err
	}
	if err := pl.target.CheckEncoding(ctx, pl.cfg.Encoding); err != nil {
		return err
	}
	if pl.target.Table, err = catalog.Lookup(ctx, pl.target.Conn, pl.cfg.Table); err != nil {
		return err
	}
	if err := pl.checkTable(ctx); err != nil {
		return err
	}
	if err := pl.chooseKey(); err != nil {
		return err
	}
	pl.target.Distribution = &citus.Distribution{Kind: citus.Local}
	if pl.target.Server.Citus != "" {
		if err := pl.surveyCluster(ctx); err != nil {
			return err
		}
	}
	if err := pl.surveyIndexes(ctx); err != nil {
		return err
	}
	if pl.cfg.Select != "" || pl.cfg.Where != "" {
		batch := &pgx.Batch{}
		catalog.QueueRule(batch, pl.target.Table.OID, &pl.target.Rule)
		if err := server.Ask(ctx, pl.target.Conn, batch); err != nil {
			return err
		}
	}
	return pl.target.ReadClocks(ctx)
}

// surveyCluster reads how the table is distributed, what it calls, and which nodes there are.
func (pl *planner) surveyCluster(ctx context.Context) error {
	batch := &pgx.Batch{}
	d, cluster := citus.Queue(batch, pl.target.Table.OID)
	catalog.QueueCode(batch, pl.target.Table.OID, &pl.target.Code)
	if err := server.Ask(ctx, pl.target.Conn, batch); err != nil {
		return err
	}
	pl.target.Distribution, pl.target.Cluster = d, *cluster
	return nil
}

// checkServer checks version, writability and encoding.
func (pl *planner) checkServer() error {
	s := pl.target.Server
	major := 0
	if s.Citus != "" {
		if _, err := fmt.Sscanf(s.Citus, "%d", &major); err != nil {
			return fmt.Errorf("the version of Citus, %q: %w", s.Citus, err)
		}
	}
	switch {
	case s.Version < oldestPostgres:
		return &failure.PreflightError{Problem: fmt.Sprintf("the server is PostgreSQL %s", s.VersionText), Do: "shardload needs 13 or later"}
	case s.Citus != "" && major < oldestCitus:
		return &failure.PreflightError{Problem: fmt.Sprintf("the cluster runs Citus %s", s.Citus), Do: "shardload needs 11 or later"}
	case s.InRecovery:
		return &failure.PreflightError{Problem: "the server is a standby and takes no writes", Do: "connect to the primary; target_session_attrs=read-write finds it among several hosts"}
	}
	if charset.Is(pl.cfg.Encoding) && !server.IsUTF8(s.Encoding) {
		return &failure.PreflightError{
			Problem: fmt.Sprintf("in encoding %s a part of a character may look like a quote or a comma, and the server, which is in %s, cannot say which characters they are in UTF8", pl.cfg.Encoding, s.Encoding),
			Do:      "convert the input first: iconv -f " + pl.cfg.Encoding + " -t UTF-8",
		}
	}
	return nil
}

// checkTable checks the kind of the table and the rights on it.
func (pl *planner) checkTable(ctx context.Context) (err error) {
	if err := pl.target.Table.Loadable(); err != nil {
		return err
	}
	if pl.target.Table.Schema == "pg_catalog" || pl.target.Table.Schema == "information_schema" {
		return &failure.PreflightError{Problem: pl.target.Table.String() + " belongs to the server itself", Do: "name a table of your own"}
	}
	if pl.target.Rights, err = catalog.Privileges(ctx, pl.target.Conn, pl.target.Table); err != nil {
		return err
	}
	name := pl.target.Table
	switch {
	case !pl.target.Rights.Insert && len(pl.target.Rights.InsertInto) == 0:
		return &failure.PreflightError{
			Problem: fmt.Sprintf("role %s may not insert into %s", pl.target.Rights.Role, name),
			Do:      fmt.Sprintf("its owner can allow it: GRANT INSERT ON %s TO %s", name, server.Name(pl.target.Rights.Role)),
		}
	case pl.target.Table.RowSecurity:
		return &failure.PreflightError{
			Problem: fmt.Sprintf("row-level security is in force on %s for role %s, and COPY cannot load such a table", name, pl.target.Rights.Role),
			Do:      "load as the table's owner or as a role with BYPASSRLS",
		}
	}
	return nil
}

// findRows looks for rows in the table, all of whose shards are asked, while the plan is made:
// the answer is in it after found. It asks on a connection for streams, which has those to the
// nodes afterwards.
func (pl *planner) findRows(ctx context.Context) (found func() error) {
	if !pl.target.Rights.Select {
		return func() error { return nil }
	}
	if pl.thrifty {
		var err error
		pl.plan.HasRows, err = pl.target.HasRows(ctx, pl.target.Conn.PgConn())
		return func() error { return pl.explainRows(err) }
	}
	first := pl.nodes.First() // the others come while it is asked
	var has bool
	var err error
	var looking sync.WaitGroup
	looking.Go(func() { has, err = first.HasRows(ctx, pl.target) })
	return func() error {
		looking.Wait()
		pl.plan.HasRows = has
		return pl.explainRows(err)
	}
}

// explainRows says what it means that the table could not be looked at for rows.
func (pl *planner) explainRows(err error) error {
	if err == nil {
		return nil
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && fault.Lost(pgErr) {
		return &fault.PassingError{
			Err: &failure.PreflightError{
				Problem: "a node of the cluster does not answer: " + strings.Join(strings.Fields(pgErr.Message), " "),
				Do:      "start it, and run the same command again",
			},
			Awaits: fault.Awaits(pgErr),
		}
	}
	return fmt.Errorf("look for rows in %s: %w", pl.target.Table, err)
}

// makePlan chooses the route and the number of streams.
func (pl *planner) makePlan(ctx context.Context) error {
	p := &pl.plan
	p.Table, p.Batch, p.Memory = pl.target.Table.String(), pl.cfg.Batch, pl.cfg.Memory
	p.Route = RouteCoordinator
	p.Server = "PostgreSQL " + strings.Fields(pl.target.Server.VersionText + " ")[0]
	lay, err := decode.NewRouter(pl.target, pl.target.Table.CopyColumns(), false)
	if err != nil {
		return err
	}
	p.Lanes, p.Shards = lay.Lanes, pl.target.Distribution.Kind == citus.Hash || pl.target.Distribution.Kind == citus.Single
	p.Why = "the server is plain PostgreSQL"
	if pl.target.Server.Citus != "" {
		if err := pl.planCitus(); err != nil {
			return err
		}
	}
	if err := pl.chooseRoute(ctx); err != nil {
		return err
	}
	return pl.planStreams()
}

// planCitus says why rows take the coordinator, and refuses what cannot be loaded
// through it.
func (pl *planner) planCitus() error {
	nodes := pl.target.Cluster.Nodes
	workers := 0
	for _, n := range nodes {
		if n.Group != 0 && n.Role == "primary" {
			workers++
		}
	}
	pl.plan.Server += fmt.Sprintf(", Citus %s, %s", pl.target.Server.Citus, term.Plural(workers, "worker"))
	if pl.target.Cluster.Group != 0 {
		return &failure.PreflightError{Problem: "the server is a worker of a Citus cluster", Do: "connect to the coordinator" + coordinatorOf(nodes)}
	}
	switch pl.target.Distribution.Kind {
	case citus.Append:
		return &failure.PreflightError{Problem: pl.target.Table.String() + " is append-distributed", Do: "distribute it by hash: no other shards can be loaded"}
	case citus.Hash:
		pl.plan.Why = fmt.Sprintf("the table is distributed by %s over %s; a batch holds rows of one of them", pl.target.Distribution.Column, term.Plural(len(pl.target.Distribution.Shards), "shard"))
	case citus.Single:
		pl.plan.Why = "the table has a single shard"
	case citus.Reference:
		pl.plan.Why = "the table is a reference table, which the coordinator writes to all nodes"
	default:
		pl.plan.Why = "the table is not distributed"
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
func (pl *planner) planStreams() error {
	others := otherConnections
	if pl.cfg.selects() && pl.target.Distribution.Kind == citus.Hash {
		others += valueConnections()
	}
	free := pl.target.Server.Free() - others
	pl.plan.Nodes = max(pl.nodes.Len()-1, 1)
	want := pl.cfg.Streams
	if want == 0 {
		want = (defaultStreams() + pl.plan.Nodes - 1) / pl.plan.Nodes
		want = min(want, max(free-spareConnections, 1))
	}
	// A reference table's replicas are written under a lock that only one
	// transaction can hold.
	if pl.cfg.Streams == 0 && pl.target.Distribution.Kind == citus.Reference {
		want = 1
	}
	if want > free {
		return &failure.PreflightError{
			Problem: fmt.Sprintf("%s wanted, but the server has %s left for this role, and %d more are needed",
				term.Plural(want, "stream"), term.Plural(max(pl.target.Server.Free(), 0), "connection"), others),
			Do: "ask for fewer with Config.Streams, close other sessions, or raise max_connections (and the role's or the database's CONNECTION LIMIT)",
		}
	}
	pl.plan.Streams = want
	return nil
}
