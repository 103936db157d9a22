package loader

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/catalog"
)

// TestLocate holds the shapes in which a server, a Citus coordinator among them,
// says where an error is.
func TestLocate(t *testing.T) {
	table := &catalog.Table{Name: "ads", Columns: []catalog.Column{{Name: "id"}, {Name: "bid"}}}
	l := newLanes(1, 1<<20, 1<<20, 1, 1)
	for i, row := range []string{"1,\"a\nb\r\"", "2,x", "3,\"c\n\nd\"", "4,y"} {
		if err := l.add(context.Background(), 0, formatCSV, []byte(row), origin{line: int64(10*i + 10)}, 0); err != nil {
			t.Fatal(err)
		}
	}
	l.end()
	b, err := l.next(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	csv := &b.parts[0]
	binary := *csv
	binary.format = formatBinary
	const whole = "in.csv:10-40: "
	for _, tt := range []struct {
		name string
		part *part
		err  pgconn.PgError
		want string
	}{
		{"type error", csv, pgconn.PgError{Where: `COPY ads, line 6, column bid: "x"`}, `in.csv:30: column "bid": `},
		{"first record, the line of its carriage return", csv, pgconn.PgError{Where: "COPY ads, line 2"}, "in.csv:10: "},
		{"second record", csv, pgconn.PgError{Where: "COPY ads, line 3"}, "in.csv:20: "},
		{"last record", csv, pgconn.PgError{Where: "COPY ads, line 7"}, "in.csv:40: "},
		{"behind the last record", csv, pgconn.PgError{Where: "COPY ads, line 8"}, whole},
		{"binary counts records", &binary, pgconn.PgError{Where: "COPY ads, line 3, column bid"}, `in.csv:30: column "bid": `},
		{"NOT NULL names its column", csv, pgconn.PgError{ColumnName: "bid", Where: "COPY ads, line 7"}, `in.csv:40: column "bid": `},
		{"another language", csv, pgconn.PgError{Where: `COPY ads, Zeile 7, Spalte bid: »x«`}, `in.csv:40: column "bid": `},
		{"no context", csv, pgconn.PgError{Code: "XX000"}, whole},
		{"a line of a shard's own COPY", csv, pgconn.PgError{Where: "COPY ads_102008, line 1"}, whole},
		{"the innocent line being routed", csv, pgconn.PgError{Where: "while executing command on 10.0.0.1:5432\nCOPY ads, line 1: \"1,2\""}, whole},
		{"a function's context above", csv, pgconn.PgError{Where: "PL/pgSQL function f() line 3 at RAISE\nCOPY ads, line 7: \"4,y\""}, "in.csv:40: "},
	} {
		tt.err.Message = "m"
		const hint = "m; --max-errors N keeps such records aside"
		if got := locate(&tt.err, "in.csv", "ads", table, tt.part, nil).Error(); got != tt.want+hint {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want+hint)
		}
	}
}
