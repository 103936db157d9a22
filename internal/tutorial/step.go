package tutorial

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// run runs s and, on Citus, asks before that where it will go.
func (s statement) run(ctx context.Context, conn *pgx.Conn, maxRows int, onCitus bool) (Step, error) {
	step := Step{Title: s.title, SQL: s.sql}
	if onCitus && !s.plain {
		shards, err := explain(ctx, conn, s.sql)
		if err != nil {
			return step, err
		}
		step.Shards = shards
	}
	start := time.Now()
	if err := step.execute(ctx, conn, maxRows); err != nil {
		return step, err
	}
	step.Elapsed = time.Since(start)
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
