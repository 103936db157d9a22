package tutorial

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// run runs s and, on Citus, asks before that where it will go. Without Citus a table
// stays local.
func (s statement) run(ctx context.Context, conn *pgx.Conn, maxRows int, onCitus bool) (Step, error) {
	step := Step{Title: s.title, SQL: s.sql, Note: s.note}
	table, path := s.file()
	if s.citus && !onCitus {
		step.Note = "left out: the table stays local, no Citus here"
		return step, nil
	}
	if onCitus && !s.plain && table == "" {
		shards, err := explain(ctx, conn, s.sql)
		if err != nil {
			return step, err
		}
		step.Shards = shards
	}
	start := time.Now()
	var err error
	if table != "" {
		err = step.copy(ctx, conn, table, path)
	} else {
		err = step.execute(ctx, conn, maxRows)
	}
	if err != nil {
		return step, err
	}
	step.Elapsed = time.Since(start)
	step.Seconds = step.Elapsed.Seconds()
	if onCitus && s.sql == "BEGIN" {
		// Citus begins on the workers with a function that another role's may fit better.
		if err := server.NodesOwnPath(ctx, conn.PgConn()); err != nil {
			return step, err
		}
	}
	if s.sql == "COMMIT" && step.tag != "COMMIT" {
		return step, errors.New("the server rolled the transaction back")
	}
	step.Problem = s.problem(step.Affected, step.Shards)
	return step, nil
}

// execute runs the statement by the simple protocol, which returns values as
// PostgreSQL prints them.
func (s *Step) execute(ctx context.Context, conn *pgx.Conn, maxRows int) error {
	results := conn.PgConn().Exec(ctx, s.SQL)
	for results.NextResult() {
		r := results.ResultReader()
		for _, field := range r.FieldDescriptions() {
			s.Columns = append(s.Columns, field.Name)
		}
		for r.NextRow() {
			if len(s.Rows) < maxRows {
				s.Rows = append(s.Rows, texts(r.Values()))
			}
		}
		tag, err := r.Close()
		if err != nil {
			return errors.Join(err, results.Close())
		}
		s.Affected, s.tag = tag.RowsAffected(), tag.String()
	}
	return results.Close()
}

// copy loads a file in COPY's text format into a table, as psql's \copy does. table is
// a name that the tutorial's own statements have.
func (s *Step) copy(ctx context.Context, conn *pgx.Conn, table, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	tag, err := conn.PgConn().CopyFrom(ctx, f, "COPY "+table+" FROM STDIN")
	s.Affected = tag.RowsAffected()
	return err
}

// texts copies values, which belong to the connection.
func texts(values [][]byte) []*string {
	row := make([]*string, len(values))
	for i, v := range values {
		if v != nil {
			text := string(v)
			row[i] = &text
		}
	}
	return row
}
