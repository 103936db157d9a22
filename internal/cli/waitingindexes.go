package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/indexes"
	"shardload/internal/ledger"
	"shardload/internal/server"
)

// indexNames returns the names of indexes that wait.
func indexNames(w *ledger.WaitingIndexes) string {
	var names []string
	for _, x := range w.Indexes {
		names = append(names, server.Shown(x.Name))
	}
	return strings.Join(names, ", ")
}

// noteWaiting tells which indexes wait, and what to do about them.
func (v *statusVerb) noteWaiting(list []*ledger.WaitingIndexes) {
	for _, w := range list {
		since := w.Indexes[0].Dropped
		for _, x := range w.Indexes {
			if x.Dropped.Before(since) {
				since = x.Dropped
			}
		}
		what := fmt.Sprintf("%s to be built, since %s: %s", waitText(len(w.Indexes)), since.Local().Format(time.DateTime), indexNames(w))
		if w.Gone {
			v.note("%s; their table is gone, or was made anew: DROP TABLE %s forgets them", what, w.Table)
			continue
		}
		table := server.Shown(w.Of.Table.Schema, w.Of.Table.Name)
		v.note("%s: %s; the load that has dropped them builds them at its end when it is run again, shardload forget %s at once", table, what, shellWord(table))
	}
}

// waitingOf returns the indexes of the table with that OID, nil if none wait.
func waitingOf(list []*ledger.WaitingIndexes, table uint32) *ledger.WaitingIndexes {
	for _, w := range list {
		if !w.Gone && w.Of.Table.OID == table {
			return w
		}
	}
	return nil
}

// waitingNamed returns the indexes of the table of that name, as SQL or status writes it, nil if
// none wait.
func waitingNamed(list []*ledger.WaitingIndexes, name string) (found *ledger.WaitingIndexes, err error) {
	parts, parseErr := server.ParseName(name)
	for _, w := range list {
		t := w.Of.Table
		whole := parseErr == nil && len(parts) == 2 && parts[0] == t.Schema && parts[1] == t.Name
		if w.Gone || !whole && (parseErr != nil || len(parts) != 1 || parts[0] != t.Name) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("indexes of several tables of the name %s wait: name one with its schema", name)
		}
		found = w
	}
	return found, nil
}

// build builds the indexes that wait.
func (v *forgetVerb) build(ctx context.Context, w *ledger.WaitingIndexes) error {
	cfg, err := v.server()
	if err != nil {
		return err
	}
	begun := time.Now()
	table := server.Shown(w.Of.Table.Schema, w.Of.Table.Name)
	v.note("%s: building %s: %s", table, plural(int64(len(w.Indexes)), "index"), indexNames(w))
	b := &indexes.Builder{
		Target:  w.Of,
		Connect: func(ctx context.Context) (*pgx.Conn, error) { return v.connect(ctx, cfg) },
		Persist: func(_ context.Context, fn func() error) error { return fn() },
		Log:     v.waitLog(),
		AtOnce:  indexesAtOnce,
		Tell:    func(int, int) {},
	}
	n, err := b.Build(ctx)
	if n > 0 {
		v.note("%s: %s built in %s", table, plural(int64(n), "index"), seconds(time.Since(begun)))
	}
	return err
}

// indexesAtOnce is how many indexes are built at a time where no load says how many connections
// its server has to spare.
const indexesAtOnce = 2

// buildNamed builds the indexes of the tables among names, and returns the other names, which are
// those of jobs.
func (v *forgetVerb) buildNamed(ctx context.Context, conn *pgx.Conn, list *ledger.Listing, jobs []jobStatus, names []string) (left []string, err error) {
	waiting, _, err := ledger.ListWaiting(ctx, conn)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if _, err := chooseJob(list, jobs, name); err == nil {
			left = append(left, name)
			continue
		}
		w, err := waitingNamed(waiting, name)
		if err != nil {
			return nil, err
		}
		if w == nil {
			left = append(left, name)
			continue
		}
		if err := v.build(ctx, w); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// buildFor builds the indexes of the table of a job that is to be forgotten: nothing else may
// remind of them afterwards.
func (v *forgetVerb) buildFor(ctx context.Context, conn *pgx.Conn, job jobStatus) error {
	if job.State == stateRunning {
		return nil // it is refused
	}
	waiting, _, err := ledger.ListWaiting(ctx, conn)
	if err != nil {
		return err
	}
	w := waitingOf(waiting, job.entry.TableOID)
	if w == nil {
		return nil
	}
	if err := v.build(ctx, w); err != nil {
		return fmt.Errorf("%s is not forgotten: %w", job.Job, err)
	}
	return nil
}
