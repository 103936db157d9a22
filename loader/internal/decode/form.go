package decode

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// recordForm returns the options of the COPY that takes records as they are sent.
func (lay *Layout) recordForm(encoding string) string {
	d := lay.Sent
	form := fmt.Sprintf("FORMAT %s, DELIMITER %s, NULL %s, ENCODING %s",
		d.Format, server.Literal(string(d.Delimiter)), server.Literal(d.Null), server.Literal(encoding))
	if usual := d.Format.Dialect(); d.Quote != usual.Quote || d.Escape != usual.Escape {
		form += fmt.Sprintf(", QUOTE %s, ESCAPE %s", server.Literal(string(d.Quote)), server.Literal(string(d.Escape)))
	}
	if d != lay.Dialect {
		return form // NULL is written out
	}
	for _, of := range []struct {
		option string
		flags  []bool
	}{{"FORCE_NULL", lay.Nulls.Force}, {"FORCE_NOT_NULL", lay.Nulls.ForceNot}} {
		if names := lay.Nulls.Named(of.flags); names != nil {
			for i := range names {
				names[i] = pgx.Identifier{names[i]}.Sanitize()
			}
			form += fmt.Sprintf(", %s (%s)", of.option, strings.Join(names, ", "))
		}
	}
	return form
}
