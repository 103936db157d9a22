package ledger

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
)

// An Alike is a part of a set that has the size and the tag of another one.
type Alike struct {
	Name string // of the other one
	Set  string // the name of the set
	Path string // of the part, as an input of its own
	Part        // with its name in the set
	// Loaded says that all of it is stored, and not only that a run has it.
	Loaded bool
}

// AlikeParts returns parts of sets of the target that runs have, with rows as far as is known, and which
// have the size and the tag of one of these.
func AlikeParts(ctx context.Context, conn *pgx.Conn, t Target, parts []Part) (list []Alike, err error) {
	for page := range slices.Chunk(parts, alikeAtOnce) {
		err := guardedBy(ctx, conn, guardSets(t, reading), "ROLLBACK", func() error {
			found, err := alikeParts(ctx, conn, t, page)
			list = append(list, found...)
			return err
		})
		if undefined(err) {
			return nil, nil // there has been no set
		}
		if err != nil {
			return nil, explain(err, t, "look for parts of the same content")
		}
	}
	return list, nil
}

// alikeAtOnce is for how many parts all of them are looked through once.
const alikeAtOnce = 50_000

func alikeParts(ctx context.Context, conn *pgx.Conn, t Target, parts []Part) ([]Alike, error) {
	names, sizes, tags := columnsOf(parts)
	rows, err := conn.Query(ctx, `SELECT u.name, j.name, coalesce(j.fingerprint->'set'->>'base', '') || p.name, p.name, p.size, p.tag, coalesce(p.head, 0), coalesce(p.tail, 0), r.closed IS NOT NULL
		FROM unnest($2::pg_catalog.text[], $3::pg_catalog.int8[], $4::pg_catalog.text[]) AS u (name, size, tag)
		JOIN `+t.parts()+` AS p ON p.size = u.size AND p.tag = u.tag JOIN `+t.runs()+` AS r ON r.id = p.run JOIN `+t.Jobs()+` AS j ON j.id = p.of
		WHERE j.target_oid = $1::pg_catalog.oid AND u.size > 0 AND u.tag <> '' AND p.rows IS DISTINCT FROM 0`, t.Table.OID, names, sizes, tags)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (a Alike, err error) {
		var head, tail int64
		err = row.Scan(&a.Name, &a.Set, &a.Path, &a.Part.Name, &a.Size, &a.Tag, &head, &tail, &a.Loaded)
		a.Head, a.Tail = uint64(head), uint64(tail)
		return a, err
	})
}
