package loader

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/ledger"
)

// shares is the number of lanes of a table that has no shards. It is fixed, so
// that lanes depend on the table alone and not on how it is loaded.
const shares = 16

// A router says into which lane a record belongs. For a table distributed by
// hash the distribution column decides; for others the primary key, or that of conflicts, so that
// records of one key stay in their order; for tables without either, the chunk.
type router struct {
	lanes  int
	keys   []key
	by     string        // what keys are, in words
	finder *citus.Finder // nil if lanes are not shards
	// together says that rows which may not overtake each other cannot be told: all
	// are in one lane.
	together bool
}

// A key is a field that decides a record's lane.
type key struct {
	field  int
	column string
	// required says that it cannot be NULL: it decides the row's shard.
	required bool
	hash     citus.Hasher // nil if only the server can hash it
	ask      string       // SQL for the server's own hash of v, a text
}

// newRouter returns the router for records with these columns.
func (l *Loader) newRouter(columns []*catalog.Column) (router, error) {
	d := l.distribution
	switch d.Kind {
	case citus.Hash:
		k, ok := l.newKey(columns, d.Column, "pg_catalog.worker_hash")
		if !ok {
			return router{}, fmt.Errorf("column %q: is missing from the header, and decides the shard of a row", d.Column)
		}
		k.required = true
		return router{lanes: len(d.Shards), keys: []key{k}, finder: citus.NewFinder(d.Shards)}, nil
	case citus.Single:
		return router{lanes: 1}, nil
	}
	r := router{lanes: shares, by: "primary key"}
	if l.key != nil && !l.key.Primary {
		r.by = "key"
	}
	for _, name := range l.orderKey() {
		// A column that only the server can hash is left out, and one whose
		// collation may find different bytes equal: the others keep equal keys
		// together without it.
		if k, ok := l.newKey(columns, name, ""); ok && k.hash != nil && columns[k.field].Collation == "" {
			r.keys = append(r.keys, k)
		}
	}
	r.together = l.key != nil && len(r.keys) == 0
	return r, nil
}

// one makes all records belong to one lane.
func (r *router) one() {
	r.lanes, r.finder = 1, nil
	r.keys = slices.DeleteFunc(r.keys, func(k key) bool { return !k.required })
	for i := range r.keys {
		r.keys[i].hash = hashNothing
	}
}

// hashNothing is the hash of values that decide nothing.
func hashNothing([]byte) (int32, bool) { return 0, true }

// setRanges makes the lanes those of a job.
func (r *router) setRanges(lanes []ledger.Lane) {
	r.lanes = len(lanes)
	if r.finder == nil {
		return
	}
	shards := make([]citus.Shard, len(lanes))
	for i, l := range lanes {
		shards[i] = citus.Shard{Min: l.Min, Max: l.Max}
	}
	r.finder = citus.NewFinder(shards)
}

// newKey returns the key of the column of that name. function is what the server
// is asked; "" means the type's own hash function.
func (l *Loader) newKey(columns []*catalog.Column, name, function string) (key, bool) {
	i := slices.IndexFunc(columns, func(c *catalog.Column) bool { return c.Name == name })
	if i < 0 {
		return key{}, false
	}
	c := columns[i]
	limit := 0
	if c.BaseOID == pgtype.VarcharOID && c.TypMod > 4 {
		limit = int(c.TypMod) - 4 // atttypmod counts a header of four bytes
	}
	hash, own, _ := citus.HasherFor(c.BaseOID, limit, l.utf8())
	if function == "" {
		function = "pg_catalog." + own
	}
	return key{field: i, column: name, hash: hash, ask: function + "(v::" + c.Type + ")"}, true
}

// lane returns the lane of a record with these hashes, one for each key.
func (r *router) lane(hashes []int32, chunk int64) int32 {
	if r.finder != nil {
		return int32(r.finder.Find(hashes[0]))
	}
	if r.together {
		return 0
	}
	if len(hashes) == 0 {
		return int32(chunk % int64(r.lanes))
	}
	sum := uint32(0)
	for _, h := range hashes {
		sum = bits.RotateLeft32(sum, 5)*31 + uint32(h)
	}
	return int32(sum % uint32(r.lanes))
}
