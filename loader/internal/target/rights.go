package target

import (
	"fmt"
	"slices"
	"strings"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/server"
	"shardload/loader/failure"
)

// MayInsert returns an error if the role may not insert into some of the columns that an
// input has. COPY with a list of columns needs the right on each of them, and none on the
// others; but Citus sends its nodes all columns, with their defaults.
func (t *Target) MayInsert(columns []*catalog.Column) error {
	if t.Rights.Insert {
		return nil
	}
	inCitus := t.Distribution.Kind != citus.Local
	if inCitus {
		columns = t.Table.CopyColumns()
	}
	var denied []string
	for _, c := range columns {
		if !slices.Contains(t.Rights.InsertInto, c.Name) {
			denied = append(denied, server.Name(c.Name))
		}
	}
	if denied == nil {
		return nil
	}
	list, name, role := strings.Join(denied, ", "), t.Table, t.Rights.Role
	word := "column"
	if len(denied) > 1 {
		word = "columns"
	}
	problem := fmt.Sprintf("role %s may not insert into %s %s of %s", role, word, list, name)
	do := fmt.Sprintf("its owner can allow it: GRANT INSERT (%s) ON %s TO %s", list, name, server.Name(role))
	if inCitus {
		problem += ", and Citus fills all columns of a row"
	} else {
		do += "; or leave the " + word + " out of the input"
	}
	return &failure.PreflightError{Problem: problem, Do: do}
}
