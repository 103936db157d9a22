// Package tutorial runs the statements of the Citus multi-tenant tutorial letter by
// letter as they are published, and says what they did, how long they took and, on
// Citus, which shards they went to. Unless told otherwise it takes the dataset's tables
// as they are, and leaves no trace.
package tutorial

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// DefaultMaxRows is how many rows of a result are kept unless Options says so.
const DefaultMaxRows = 20

// Options says how to run. The zero value is usable.
type Options struct {
	// Whole runs all of the tutorial, from its first CREATE TABLE on: the tables must
	// not be there yet, and the files companies.csv, campaigns.csv and ads.csv must lie
	// in the current directory, in COPY's text format. Everything stays.
	Whole bool

	// Commit keeps what the update and the deletes change. Otherwise they run in
	// one transaction that is rolled back.
	Commit bool

	// MaxRows is how many rows of a result are kept to be shown. Zero means
	// DefaultMaxRows.
	MaxRows int
}

// A Report says what Run did, statement by statement in their order.
type Report struct {
	Steps     []Step `json:"steps"`
	Committed bool   `json:"committed"` // the changes are there to stay
	Citus     bool   `json:"citus"`
}

// OK reports whether each statement did what the tutorial says it does.
func (r Report) OK() bool {
	for _, s := range r.Steps {
		if s.Problem != "" {
			return false
		}
	}
	return true
}

// A Step is one statement and what came of it.
type Step struct {
	Title string `json:"title"`
	SQL   string `json:"sql"` // as it was run, without a semicolon

	// Columns and Rows are the result of a query, as text in PostgreSQL's own
	// output format; nil is NULL. Of many rows only the first are kept.
	Columns []string    `json:"columns,omitempty"`
	Rows    [][]*string `json:"rows,omitempty"`

	// Affected is the number of rows that the query returned, or that the update
	// or delete hit.
	Affected int64 `json:"affected"`

	// Elapsed is from sending the statement to its last row.
	Elapsed time.Duration `json:"-"`
	Seconds float64       `json:"seconds"` // Elapsed

	// Shards says where Citus sent the statement. It is nil without Citus, for
	// tables that are not distributed, and for BEGIN and its like.
	Shards *Shards `json:"shards,omitempty"`

	// Note is what a reader of the result should know, "" for nothing.
	Note string `json:"note,omitempty"`

	// Problem says what is not as the tutorial has it, "" if nothing is.
	Problem string `json:"problem,omitempty"`

	tag string // the server's own word for what it did
}

// Run runs the tutorial's statements on conn. After an error the Report has the
// steps that were run, and nothing is changed but by those that were committed.
func Run(ctx context.Context, conn *pgx.Conn, opts Options) (Report, error) {
	if conn.PgConn().TxStatus() != 'I' {
		return Report{}, errors.New("tutorial: the connection is inside a transaction")
	}
	if opts.MaxRows == 0 {
		opts.MaxRows = DefaultMaxRows
	}
	var report Report
	err := server.Tx(ctx, conn, server.Read, func() error {
		return conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')`).Scan(&report.Citus)
	})
	if err != nil {
		return report, fmt.Errorf("tutorial: %w", err)
	}
	for _, s := range statements(opts) {
		step, err := s.run(ctx, conn, opts.MaxRows, report.Citus)
		if err != nil {
			return report, errors.Join(fmt.Errorf("tutorial: %s: %w", s.title, err), rollback(ctx, conn))
		}
		report.Steps = append(report.Steps, step)
	}
	report.Committed = opts.Commit || opts.Whole
	return report, nil
}

// rollback ends the transaction that an error has left open. It needs no ctx
// that is still alive: a connection that ctx has interrupted is closed, which
// ends its transaction as well.
func rollback(ctx context.Context, conn *pgx.Conn) error {
	if conn.IsClosed() || conn.PgConn().TxStatus() == 'I' {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_, err := conn.Exec(ctx, "ROLLBACK")
	return err
}
