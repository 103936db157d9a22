package store

import (
	"cmp"
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/catalog"
	"shardload/internal/pgcsv"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/lane"
)

// TestLocate holds the shapes in which a server, a Citus coordinator among them,
// says where an error is.
func TestLocate(t *testing.T) {
	t.Parallel()
	table := &catalog.Table{Name: "ads", Columns: []catalog.Column{{Name: "id", BaseOID: pgtype.Int4OID}, {Name: "bid"}}}
	lay := &decode.Layout{Table: table, RowForm: decode.RowForm{Columns: []*catalog.Column{&table.Columns[0], &table.Columns[1]}}, Dialect: pgcsv.CSV.Dialect()}
	l := lane.New(lane.Options{Lanes: 1, Memory: 1 << 20, Batch: 1 << 20, Nodes: 1, Streams: 1, Dialect: pgcsv.CSV.Dialect()})
	for i, row := range []string{"1,\"a\nb\r\"", "2,x", "3,\"c\n\nd\"", "4,y"} {
		if err := l.Add(context.Background(), 0, lane.NotationRecord, []byte(row), &lane.Origin{Line: int64(10*i + 10)}, 0); err != nil {
			t.Fatal(err)
		}
	}
	l.End()
	b, err := l.Next(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	csv := &b.Sections[0]
	binary := *csv
	binary.Notation = lane.NotationBinary
	const whole = "in.csv:10-40: "
	for _, tt := range []struct {
		name    string
		section *lane.Section
		err     pgconn.PgError
		want    string
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
		{"the innocent line being routed", csv, pgconn.PgError{Code: "23514", Where: "while executing command on 10.0.0.1:5432\nCOPY ads, line 1: \"1,2\""}, whole},
		{"a long row, of those before the line that is named", csv, pgconn.PgError{Code: "54000", Where: "COPY ads, line 6"}, whole},
		{"a trigger's lack of rights", csv, pgconn.PgError{Code: "42501", Where: "PL/pgSQL function f() line 3 at RAISE\nCOPY ads, line 7"}, "in.csv:40: "},
		{"a function's context above", csv, pgconn.PgError{Where: "PL/pgSQL function f() line 3 at RAISE\nCOPY ads, line 7: \"4,y\""}, "in.csv:40: "},
		{"a key", csv, pgconn.PgError{Detail: "Key (id)=(3) already exists."}, "in.csv:30: "},
		{"a key of two columns, in another language", csv, pgconn.PgError{Detail: "Schlüssel »(bid, id)=(x, 2)« existiert bereits."}, "in.csv:20: "},
		{"a key of several lines", csv, pgconn.PgError{Detail: "Key (bid)=(c\n\nd) already exists.", Where: "COPY ads_102008, line 1"}, "in.csv:30: "},
		{"a missing parent", csv, pgconn.PgError{Code: "23503", Detail: `Key (bid)=(x) is not present in table "a (x)".`}, "in.csv:20: "},
		{"a key that no record has as it is written", csv, pgconn.PgError{Detail: "Key (id)=(5) already exists."}, whole},
		{"a key that begins like another", csv, pgconn.PgError{Detail: "Key (bid)=(x) y) already exists."}, "in.csv:20: "},
		{"a key of an expression", csv, pgconn.PgError{Detail: "Key (lower(bid))=(x) already exists."}, whole},
		{"a key of a column that is left out", csv, pgconn.PgError{Detail: "Key (n)=(3) already exists."}, whole},
		{"no key", csv, pgconn.PgError{Detail: "Failing row contains (3, x)."}, whole},
	} {
		tt.err.Message, tt.err.Code = "m", cmp.Or(tt.err.Code, "23514")
		hint := "m; Config.MaxErrors keeps such records aside"
		if tt.err.Detail != "" {
			hint = "m: " + strings.TrimSuffix(tt.err.Detail, ".") + hint[1:]
		}
		if got := locate(&tt.err, "in.csv", "ads", lay, tt.section, nil, same).Error(); got != tt.want+hint {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want+hint)
		}
	}
	for _, err := range []pgconn.PgError{
		{Code: "42501", Message: "permission denied for table ads"},
		{Code: "42501", Where: "while executing command on 10.0.0.1:5432\nCOPY ads, line 1: \"1,2\""},
		{Code: "28000"},
	} {
		if got := locate(&err, "in.csv", "ads", lay, csv, nil, same); got != nil {
			t.Errorf("%v is said of a record: %v", &err, got)
		}
	}
}

func same(name string) string { return name }
