package verify

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"shardload/internal/catalog"
	"shardload/internal/charset"
	"shardload/internal/checksum"
	"shardload/internal/server"
	"shardload/internal/term"
)

// DefaultLimit is how many differing tenants a DeepCheck names.
const DefaultLimit = 10

// A DeepConfig says what to compare with what. The zero value of each field but
// Conn, Table and Inputs is usable.
type DeepConfig struct {
	// Conn names the server: the coordinator of a Citus cluster, or a plain
	// PostgreSQL server. It must come from pgx.ParseConfig. Required.
	Conn *pgx.ConnConfig

	// Table is the table's name as SQL writes it. Required.
	Table string

	// Inputs are all that was loaded into the table. Required.
	Inputs []Input

	// Reading is how files are to be read: as they were loaded.
	Reading Reading

	// Select and Where are the list and the condition of the load, "" for none.
	Select, Where string

	// Rejects has the files of records that the load rejected (TABLE.rejects.jsonl).
	// The table is not expected to have them.
	Rejects []string

	// Expected are the checksums of what the table should have, as a manifest has
	// them; nil if nobody knows. They decide where inputs hold records that are not
	// meant to be stored, and tell that inputs have changed since they were made.
	Expected *checksum.Table

	// Procs is the number of goroutines that decode. Zero means one per CPU.
	Procs int

	// Limit is how many differing tenants are named. Zero means DefaultLimit.
	Limit int
}

// Deep compares the contents of a table with the inputs that were loaded into it:
// by checksums of each column and of the rows, which are computed here and by the
// shards at the same time. Where they differ, it looks for the tenants that do.
//
// On Citus the shards are read at once, but not in one snapshot: nothing should be
// writing meanwhile, and Recover comes first.
func Deep(ctx context.Context, cfg DeepConfig) (DeepCheck, error) {
	check, err := newDeep(cfg).run(ctx)
	if err != nil {
		return check, fmt.Errorf("compare %s: %w", cfg.Table, err)
	}
	return check, nil
}

func (c DeepConfig) withDefaults() DeepConfig {
	c.Reading = c.Reading.withDefaults()
	c.Reading.charset = Charset(c.Conn, c.Reading.Encoding)
	if c.Procs <= 0 {
		c.Procs = runtime.GOMAXPROCS(0)
	}
	if c.Limit <= 0 {
		c.Limit = DefaultLimit
	}
	return c
}

// Charset returns what converts files of an encoding, by what the server says of it, nil if they are
// read as they are encoded.
func Charset(cfg *pgx.ConnConfig, encoding string) *charset.Converter {
	return charset.New(encoding, func(ctx context.Context) (*pgconn.PgConn, error) {
		conn, err := server.Open(ctx, cfg)
		if err != nil {
			return nil, err
		}
		return conn.PgConn(), nil
	})
}

// A deep is one comparison.
type deep struct {
	cfg     DeepConfig
	conn    *pgx.Conn
	session session
	rights  catalog.Rights
	inputs
	selection
	tenants int // how many are compared at once; 0 for what fits into tenantMemory
}

func newDeep(cfg DeepConfig) *deep {
	cfg = cfg.withDefaults()
	d := &deep{cfg: cfg, inputs: inputs{list: cfg.Inputs, reading: cfg.Reading}}
	d.settle()
	return d
}

func (d *deep) run(ctx context.Context) (check DeepCheck, err error) {
	if d.conn, err = server.Open(ctx, d.cfg.Conn); err != nil {
		return check, err
	}
	defer func() { server.CloseSoon(d.conn.PgConn()) }()
	d.cfg.Conn = server.LinkOf(d.conn.PgConn()).Keep(d.cfg.Conn)
	err = catalog.Steady(ctx, func() *pgx.Conn { return d.conn }, d.cfg.Table, func() (*catalog.Table, error) {
		d.table = nil
		err := d.prepare(ctx)
		return d.table, err
	})
	if notFound, ok := errors.AsType[*catalog.NotFoundError](err); ok {
		return DeepCheck{Table: d.cfg.Table, Problem: notFound.Error(), Next: "create the table and load it"}, nil
	}
	if err != nil {
		return check, err
	}
	check = d.newCheck()
	mine, theirs, err := d.total(ctx)
	if err != nil {
		return check, err
	}
	if mine.rejected != d.rejects.count {
		return check, fmt.Errorf("of %s that were rejected the inputs have %d: they have changed since, or it is another load's list",
			term.Plural(d.rejects.count, "record"), mine.rejected)
	}
	check.Input, check.Database = mine.sums.Table(), theirs
	check.Unloadable, check.Rejected, check.Left = mine.unloadable, mine.rejected, mine.left
	check.compare()
	if check.Expected = d.cfg.Expected; check.Expected != nil && !sameColumns(check.Expected.Columns, theirs.Columns) {
		check.Expected = nil // of other columns: they say nothing
	}
	if !check.Same() && !check.asExpected() {
		err = d.locate(ctx, mine, &check)
	}
	check.describe()
	return check, err
}

// prepare reads what the table and the inputs are.
func (d *deep) prepare(ctx context.Context) (err error) {
	if d.table, err = catalog.Lookup(ctx, d.conn, d.cfg.Table); err != nil {
		return err
	}
	if err := d.table.Loadable(); err != nil {
		return err
	}
	d.rights, err = catalog.Privileges(ctx, d.conn, d.table)
	switch {
	case err != nil:
		return err
	case !d.rights.Select:
		return fmt.Errorf("role %s may not read it; its owner can allow it: GRANT SELECT ON %s TO %s", d.rights.Role, d.table, server.Name(d.rights.Role))
	case d.table.RowSecurity:
		return errors.New("row-level security hides rows from this role: verify as the table's owner or as a role with BYPASSRLS")
	}
	if d.session, err = readSession(ctx, d.conn, d.table, d.cfg.Reading.sent()); err != nil {
		return err
	}
	if d.columns, err = d.readLayouts(ctx); err != nil {
		return err
	}
	if d.rejects, err = readRejects(ctx, d.cfg.Rejects, d.cfg.Inputs, d.cfg.Reading.charset); err != nil {
		return err
	}
	if err := d.readForms(ctx); err != nil {
		return err
	}
	return d.findKey(ctx, d.conn, d.session.citus)
}

// total computes the checksums of the inputs and of the table at the same time.
func (d *deep) total(ctx context.Context) (mine *totals, theirs checksum.Table, err error) {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		theirs, err = d.readTotals(ctx)
		return err
	})
	g.Go(func() error {
		sinks := make([]*totals, d.cfg.Procs)
		err := d.scan(ctx, func(i int) sink {
			sinks[i] = newTotals(&d.selection)
			return sinks[i]
		})
		if err != nil {
			return err
		}
		mine = sinks[0]
		for _, s := range sinks[1:] {
			mine.merge(s)
		}
		return nil
	})
	return mine, theirs, g.Wait()
}
