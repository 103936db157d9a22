package job

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/loader/failure"
)

// follow moves the jobs of the input, by these names or of its content, from elsewhere to
// the schema of the table, if the table was moved after they were begun. It reports whether
// there were any. A table without rows has nothing that could be stored twice.
func (o *Opening) follow(ctx context.Context, conn *pgx.Conn, elsewhere ledger.Elsewhere, names []string, found []*ledger.Job, now ledger.Fingerprint) (moved bool, err error) {
	own := func(j *ledger.Job) bool { return j.TableOID == o.t.Table.OID && slices.Contains(names, j.Name) }
	if len(elsewhere) == 0 || slices.ContainsFunc(found, own) {
		return false, nil
	}
	if has, err := o.t.CountRows(ctx, conn, 1); err != nil || has == 0 {
		return false, err
	}
	list, err := elsewhere.Jobs(ctx, conn, o.opt.Ledger)
	if err != nil {
		return false, err
	}
	followed := map[string]bool{} // the latest of a name
	for _, e := range list {
		alike := now.Size > 0 && e.Fingerprint.Content(now) == ""
		there := func(j *ledger.Job) bool { return j.TableOID == o.t.Table.OID && j.Name == e.Name }
		if followed[e.Name] || !alike && !slices.Contains(names, e.Name) || slices.ContainsFunc(found, there) {
			continue
		}
		if e.Problem != "" {
			return false, errors.New(e.Problem) // a later version's
		}
		if err := o.followOne(ctx, conn, e, found); err != nil {
			return false, err
		}
		followed[e.Name] = true
	}
	return len(followed) > 0, nil
}

// followOne moves a job. Those of its name that are in the way are of tables which are gone,
// or which have another name now.
func (o *Opening) followOne(ctx context.Context, conn *pgx.Conn, e *ledger.Entry, found []*ledger.Job) error {
	var replaces []string
	var others []*ledger.Job
	for _, was := range found {
		switch {
		case was.Name != e.Name:
		case was.Other != nil:
			others = append(others, was)
		default:
			replaces = append(replaces, was.ID)
		}
	}
	err := clearName(ctx, conn, o.opt.Ledger, others)
	if err == nil {
		err = ledger.Follow(ctx, conn, o.opt.Ledger, e, replaces)
	}
	if fault.Denied(err) || ledger.Untrusted(err) != nil {
		from := pgx.Identifier{e.Target.Table.Schema}.Sanitize()
		return &failure.JobError{
			Job:     e.Name,
			Problem: fmt.Sprintf("an earlier run loaded it into this table when that was in schema %s, and its job %s cannot be moved from there: %v", from, e.ID, err),
			Do:      "let a role load it that may, such as the owner of the tables of jobs, or move the table back to that schema",
		}
	}
	return err
}
