package loader

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"shardload/internal/catalog"
	"shardload/internal/server"
	"shardload/loader/failure"
)

// A Conflict says what becomes of a record whose key a row has already: one of the
// table, or one of an earlier record.
type Conflict string

// What may become of it.
const (
	// ConflictError stops the load there, or rejects the record: the zero value.
	ConflictError Conflict = "error"
	// ConflictSkip keeps the row that is there: of the input the first record.
	ConflictSkip Conflict = "skip"
	// ConflictUpdate puts the record's values in the row's place, so that the last
	// record of the input wins. Columns that the input does not have keep theirs.
	ConflictUpdate Conflict = "update"
)

// validateConflict reports the mistakes in what is said of conflicts.
func (c Config) validateConflict() error {
	switch c.OnConflict {
	case ConflictError, ConflictSkip, ConflictUpdate:
	default:
		return fmt.Errorf("conflict %q is unknown; want error, skip or update", c.OnConflict)
	}
	if c.OnConflict == ConflictError && len(c.ConflictKey) > 0 {
		return errors.New("a key for conflicts is of use only where they are skipped or updated")
	}
	return nil
}

// chooseKey finds the key by which records conflict.
func (pl *planner) chooseKey() error {
	if pl.cfg.OnConflict == ConflictError {
		return nil
	}
	name := pl.target.Table.String()
	switch {
	case !pl.target.MayStage():
		return &failure.PreflightError{
			Problem: fmt.Sprintf("role %s may not create temporary tables, through which rows with conflicts go", pl.target.Rights.Role),
			Do:      pl.target.Rights.GrantTemporary(),
		}
	case !pl.target.Rights.Select || pl.cfg.OnConflict == ConflictUpdate && !pl.target.Rights.Update:
		return &failure.PreflightError{
			Problem: fmt.Sprintf("role %s needs the rights to SELECT and UPDATE %s for conflicts", pl.target.Rights.Role, name),
			Do:      fmt.Sprintf("its owner can allow it: GRANT SELECT, UPDATE ON %s TO %s", name, server.Name(pl.target.Rights.Role)),
		}
	}
	keys := pl.target.Table.Keys
	if want := pl.cfg.ConflictKey; len(want) > 0 {
		keys = slices.DeleteFunc(slices.Clone(keys), func(k catalog.Key) bool { return !sameNames(k.Columns, want) })
		if len(keys) == 0 {
			return &failure.PreflightError{Problem: fmt.Sprintf("%s has no primary key or unique constraint of (%s)", name, strings.Join(want, ", ")), Do: pl.keyChoice()}
		}
	}
	if len(keys) == 0 {
		return &failure.PreflightError{
			Problem: name + " has no primary key or unique constraint that tells when rows conflict (those that are deferrable, partial or of expressions do not)",
			Do:      pl.keyChoice(),
		}
	}
	if len(keys) > 1 && !keys[0].Primary && len(pl.cfg.ConflictKey) == 0 {
		return &failure.PreflightError{Problem: name + " has several unique constraints and no primary key", Do: pl.keyChoice()}
	}
	pl.target.Key = &keys[0]
	pl.plan.OnConflict, pl.plan.Key = pl.cfg.OnConflict, pl.target.Key.Columns
	return nil
}

// keyChoice says which keys may be named.
func (pl *planner) keyChoice() string {
	var choice []string
	for _, k := range pl.target.Table.Keys {
		choice = append(choice, "("+strings.Join(k.Columns, ", ")+")")
	}
	if choice == nil {
		return "add one, or load without Config.OnConflict"
	}
	return "name one of " + strings.Join(choice, ", ") + " in Config.ConflictKey"
}

// sameNames reports whether a and b have the same names, in any order.
func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
