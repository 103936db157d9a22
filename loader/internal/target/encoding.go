package target

import (
	"context"
	"fmt"
	"strings"

	"shardload/loader/failure"
)

// CheckEncoding makes sure that the server knows the input's encoding and can convert
// it into its own. Without that every record with a letter outside ASCII would be
// refused for a mistake that is not its own, and a file without one would be loaded
// under a name that means nothing.
func (t *Target) CheckEncoding(ctx context.Context, encoding string) error {
	if strings.EqualFold(encoding, t.Server.Encoding) {
		return nil
	}
	var known, convertible bool
	err := t.Conn.QueryRow(ctx, `SELECT code OPERATOR(pg_catalog.>=) 0,
		code OPERATOR(pg_catalog.=) own OR code OPERATOR(pg_catalog.=) 0 OR own OPERATOR(pg_catalog.=) 0 OR EXISTS (SELECT 1 FROM pg_catalog.pg_conversion c
			WHERE c.conforencoding OPERATOR(pg_catalog.=) code AND c.contoencoding OPERATOR(pg_catalog.=) own AND c.condefault)
		FROM (SELECT pg_catalog.pg_char_to_encoding($1::text::name) AS code, pg_catalog.pg_char_to_encoding($2::text::name) AS own) AS e`,
		encoding, t.Server.Encoding).Scan(&known, &convertible)
	switch {
	case err != nil:
		return fmt.Errorf("look for the encoding %q: %w", encoding, err)
	case !known:
		return &failure.PreflightError{Problem: fmt.Sprintf("the server knows no encoding %q", encoding), Do: "name one as PostgreSQL does, such as UTF8, LATIN1 or WIN1252"}
	case !convertible:
		return &failure.PreflightError{
			Problem: fmt.Sprintf("the server cannot convert %s into its own encoding, %s", encoding, t.Server.Encoding),
			Do:      "convert the input first, as iconv does",
		}
	}
	return nil
}
