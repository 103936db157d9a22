package catalog_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/pgtest"
)

// TestSteady holds what is looked at once more: a table that was dropped or made anew, and
// nothing else.
func TestSteady(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	errOpen := errors.New("could not open relation")
	for _, tt := range []struct {
		name, change string
		early        bool // it fails for another reason before the table is known
		looks        int
		want         string
	}{
		{name: "dropped", change: "DROP TABLE t", looks: 2, want: "table t does not exist (search path: public)"},
		{name: "other reason", change: "DROP TABLE t", early: true, looks: 1, want: errOpen.Error()},
		{name: "anew", change: "DROP TABLE t; CREATE TABLE t (k int)", looks: 5, want: "was dropped or made anew 5 times"},
		{name: "same", change: "ANALYZE t", looks: 1, want: errOpen.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, other := pgtest.Connect(t, dsn), pgtest.Connect(t, dsn)
			exec(t, conn, "DROP TABLE IF EXISTS t", "CREATE TABLE t (k int)")
			looks := 0
			err := catalog.Steady(t.Context(), func() *pgx.Conn { return conn }, "t", func() (*catalog.Table, error) {
				looks++
				table, err := catalog.Lookup(t.Context(), conn, "t")
				if err != nil {
					return nil, err
				}
				exec(t, other, tt.change)
				if tt.early {
					table = nil
				}
				return table, errOpen
			})
			if err == nil || !strings.Contains(err.Error(), tt.want) || looks != tt.looks {
				t.Errorf("%d looks, error %v; want %d, %s", looks, err, tt.looks, tt.want)
			}
		})
	}
}
