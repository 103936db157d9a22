package selection

import (
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/catalog"
	"shardload/internal/server"
)

// takesJSON reports whether a column takes the value of a key of JSON otherwise than its text: a
// string with its quotes, or a list as an array.
func takesJSON(c *catalog.Column) bool {
	return c.ElemOID != 0 || c.BaseOID == pgtype.JSONOID || c.BaseOID == pgtype.JSONBOID
}

// oneValue refuses a field of JSON that goes as it stands into a column that takes JSON, where
// something else wants its text: it is one or the other, and a column must not get another value
// because of what else is asked for.
func (a *analysis) oneValue(l *listed, staging *StagingColumn) *MistakeError {
	if !a.JSON || l.expr.kind != "VAR" || a.isExtra(l.expr) || staging.Target != nil || !takesJSON(l.column) {
		return nil
	}
	field := quoted(staging.Name)
	hint := fmt.Sprintf("write _record ->> %s for its text elsewhere", server.Literal(staging.Name))
	if l.column.ElemOID == 0 {
		hint += fmt.Sprintf("; or here to_jsonb(%s) for its text as a string, %s::jsonb for the JSON that its text is", field, field)
	}
	return a.source.mistake(l.at, fmt.Sprintf("column %q: field %q is JSON for it, and something else in the list or the condition takes its text", l.column.Name, staging.Name), hint)
}
