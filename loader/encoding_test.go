package loader_test

import (
	"errors"
	"testing"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestEncodingIsKnown holds that an encoding which the server does not know, or cannot
// convert, is refused before the load, whatever the input holds.
func TestEncodingIsKnown(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	exec(t, pgtest.Connect(t, dsn), "CREATE TABLE plain (a text)")
	for name, good := range map[string]bool{
		"klingon": false, "": true, "utf-8": true, "UTF8": true, "latin1": true, "WIN1252": true,
		"SQL_ASCII": true, "MULE_INTERNAL": false, "a'b": false,
	} {
		l, err := loader.Open(t.Context(), loader.Config{Conn: parse(t, dsn), Table: "plain", Encoding: name})
		if _, refused := errors.AsType[*loader.PreflightError](err); refused == good || good && err != nil {
			t.Errorf("encoding %q: %v, want an error: %t", name, err, !good)
		}
		if err == nil {
			l.Close()
		}
	}
}
