package verify

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/server"
)

// A label is a distribution value of an enumerated type, or one that has such inside,
// in one shard. Its hash is that of the label's OID, which differs between servers:
// Citus goes by the coordinator's, and so must who judges a row's place.
type label struct {
	text string
	hash int32 // on the coordinator
	rows int64
}

// readLabels reads what is in each shard as readContents does, but hashes the values on
// the coordinator.
func readLabels(ctx context.Context, conn *pgx.Conn, t *catalog.Table, c *catalog.Column) ([]content, error) {
	k := pgx.Identifier{c.Name}.Sanitize()
	rows, err := conn.Query(ctx, `SELECT tableoid::regclass::text, pg_catalog.format('%s', `+k+`), `+server.IsNull(k)+`, count(*) FROM `+t.SQL()+` GROUP BY 1, 2, 3 ORDER BY 1, 2`)
	if err != nil {
		return nil, err
	}
	var list []content
	var l label
	var shard string
	var null bool
	_, err = pgx.ForEachRow(rows, []any{&shard, &l.text, &null, &l.rows}, func() error {
		if n := len(list); n == 0 || list[n-1].name != shard {
			id, err := shardID(shard)
			if err != nil {
				return err
			}
			list = append(list, content{name: shard, id: id})
		}
		got := &list[len(list)-1]
		got.rows += l.rows
		if null {
			got.nulls += l.rows
		} else {
			got.labels = append(got.labels, l)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, hashLabels(ctx, conn, c.Type, list)
}

// hashLabels asks the coordinator for the hashes of all labels of that type.
func hashLabels(ctx context.Context, conn *pgx.Conn, typ string, list []content) error {
	hashes := map[string]int32{}
	var texts []string
	for _, got := range list {
		for _, l := range got.labels {
			if _, seen := hashes[l.text]; !seen {
				hashes[l.text] = 0
				texts = append(texts, l.text)
			}
		}
	}
	rows, err := conn.Query(ctx, `SELECT v, pg_catalog.worker_hash(v::`+typ+`) FROM unnest($1::text[]) AS u(v)`, texts)
	if err != nil {
		return fmt.Errorf("hash the distribution values: %w", err)
	}
	var text string
	var hash int32
	if _, err := pgx.ForEachRow(rows, []any{&text, &hash}, func() error { hashes[text] = hash; return nil }); err != nil {
		return fmt.Errorf("hash the distribution values: %w", err)
	}
	for i := range list {
		for j := range list[i].labels {
			l := &list[i].labels[j]
			l.hash = hashes[l.text]
			list[i].widen(l.hash)
		}
	}
	return nil
}

// widen makes the hashes of c reach to hash.
func (c *content) widen(hash int32) {
	low, high := hash, hash
	if c.low != nil {
		low, high = min(low, *c.low), max(high, *c.high)
	}
	c.low, c.high = &low, &high
}

// outside returns how many rows have labels whose hash is not p's.
func (c *content) outside(p place) (rows int64) {
	for _, l := range c.labels {
		if l.hash < p.min || l.hash > p.max {
			rows += l.rows
		}
	}
	return rows
}
