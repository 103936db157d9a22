package target

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/server"
	"shardload/loader/failure"
	"shardload/loader/waiting"
)

// A Target is the table that is loaded and its server, as they were found when the load was
// prepared. It does not change while a load runs.
type Target struct {
	*Control
	Table        *catalog.Table
	Server       catalog.ServerInfo
	Distribution *citus.Distribution
	Cluster      citus.Cluster // as the coordinator has it; zero without Citus
	Rights       catalog.Rights
	Session      server.Session
	Code         bool            // on Citus: what the table calls may need the role's search path
	Rule         string          // that INSERT fires, "" for none; read where something is selected
	Key          *catalog.Key    // by which records conflict; nil if conflicts are errors
	Clocks       map[string]bool // columns of keys whose type reads "now" as of the moment
}

// MayLock reports whether the role may lock shards: it owns the table.
func (t *Target) MayLock() bool { return t.Rights.Owner || t.Rights.Superuser }

// MayStage reports whether the role may create temporary tables.
func (t *Target) MayStage() bool { return t.Rights.Temporary }

// OrderKey returns the columns the records of which are stored in the order of the
// input where they are alike.
func (t *Target) OrderKey() []string {
	if t.Key != nil {
		return t.Key.Columns
	}
	return t.Table.PrimaryKey
}

// Settled calls fn, which changes distributed tables, and waits until all nodes have
// committed that, if the server says that not all have.
func (t *Target) Settled(ctx context.Context, conn *pgx.Conn, name string, fn func() error) error {
	TakeWarning(conn.PgConn())
	if err := fn(); err != nil {
		return err
	}
	if warning := TakeWarning(conn.PgConn()); warning != "" {
		return t.Settle(ctx, conn, name, warning)
	}
	return nil
}

// Settle waits until nothing is prepared any more on the nodes: Citus decides with the
// coordinator's COMMIT, and a worker that did not hear of it holds its rows prepared,
// in no count and in no mark, until Citus tells it again. warning is what the server
// has said at the COMMIT, "" if that was not heard.
func (t *Target) Settle(ctx context.Context, conn *pgx.Conn, name, warning string) error {
	if t.Server.Citus == "" {
		return nil
	}
	if warning != "" {
		t.Log.Warn("a COMMIT is not complete on all nodes; waiting for Citus to complete it", "warning", warning)
	}
	defer t.Watch.Waits.Begin(waiting.Wait{For: "Citus to complete a COMMIT on all nodes"})()
	left, err := citus.Settle(ctx, conn)
	if err == nil && left > 0 {
		err = &failure.UnsettledError{Job: name, Prepared: left}
	}
	return err
}

// DropLocale forgets the settings on which nothing in the table depends: the locale for
// money where no column is of that type, and what only functions ask for where no default
// calls one. A node need not even have those locales.
func (t *Target) DropLocale() {
	const money = 790 // its OID
	if slices.ContainsFunc(t.Table.Columns, func(c catalog.Column) bool { return c.Default != "" }) {
		return
	}
	t.Session.NoDefaults()
	if !slices.ContainsFunc(t.Table.Columns, func(c catalog.Column) bool { return c.BaseOID == money }) {
		t.Session.Monetary = ""
	}
}

// ReadClocks finds out which of the columns that decide a row's lane have a date or time
// inside.
func (t *Target) ReadClocks(ctx context.Context) error {
	t.Clocks = map[string]bool{}
	for _, name := range append(t.OrderKey(), t.Distribution.Column) {
		c := t.Table.Column(name)
		if c == nil || plainTypes[c.TypeOID] {
			continue
		}
		in, err := catalog.LookInside(ctx, t.Conn, c.TypeOID)
		if err != nil {
			return err
		}
		t.Clocks[name] = in.Clock
	}
	return nil
}

// plainTypes are those of which no setting decides what a value means.
var plainTypes = map[uint32]bool{
	pgtype.BoolOID: true, pgtype.Int2OID: true, pgtype.Int4OID: true, pgtype.Int8OID: true, pgtype.Float4OID: true, pgtype.Float8OID: true,
	pgtype.NumericOID: true, pgtype.TextOID: true, pgtype.VarcharOID: true, pgtype.BPCharOID: true, pgtype.UUIDOID: true, pgtype.JSONOID: true,
	pgtype.JSONBOID: true, pgtype.ByteaOID: true, pgtype.InetOID: true, pgtype.CIDROID: true,
}

// Meaning returns the settings that decide what values of the columns mean, in words, ""
// where none does.
func (t *Target) Meaning(columns []*catalog.Column) string {
	if !slices.ContainsFunc(columns, func(c *catalog.Column) bool { return !plainTypes[c.BaseOID] }) {
		return ""
	}
	return t.Session.Meaning()
}
