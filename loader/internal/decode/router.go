package decode

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/ledger"
	"shardload/loader/internal/target"
)

// Shares is the number of lanes of a table that has no shards. It is fixed, so
// that lanes depend on the table alone and not on how it is loaded.
const Shares = 16

// A router says into which lane a record belongs. For a table distributed by
// hash the distribution column decides; for others the primary key, or that of conflicts, so that
// records of one key stay in their order; for tables without either, the chunk.
type router struct {
	Lanes  int
	Keys   []key
	by     ledger.SharedBy // what keys are
	finder *citus.Finder   // nil if lanes are not shards
	// together says that rows which may not overtake each other cannot be told: all
	// are in one lane.
	together bool
	// Filled says that the server fills in the column which decides the shard: Citus
	// finds it, and lanes are shares of the input.
	Filled bool
}

// A key is a field that decides a record's lane.
type key struct {
	field  int
	column string
	kind   string // its type
	// required says that it cannot be NULL: it decides the row's shard.
	required bool
	Hash     citus.Hasher // nil if only the server can hash it
	// hashField is Hash of a binary field, nil if there is none.
	hashField citus.Hasher
	clock     bool   // its type reads "now" as of the moment
	ask       string // SQL for the server's own hash of v, a text
}

// NewRouter returns the router for records with these columns.
// utf8 says that text reaches the table byte for byte as it is in the input.
func NewRouter(t *target.Target, columns []*catalog.Column, utf8 bool) (router, error) {
	d := t.Distribution
	switch d.Kind {
	case citus.Hash:
		k, ok := newKey(t, columns, d.Column, "pg_catalog.worker_hash", utf8)
		if c := t.Table.Column(d.Column); !ok && t.Key == nil && c != nil && (c.Default != "" || c.Identity != 0) {
			return router{Lanes: len(d.Shards), finder: citus.NewFinder(d.Shards), Filled: true}, nil
		}
		if !ok {
			return router{}, fmt.Errorf("column %q: is missing from the header, and decides the shard of a row", d.Column)
		}
		k.required = true
		return router{Lanes: len(d.Shards), Keys: []key{k}, finder: citus.NewFinder(d.Shards)}, nil
	case citus.Single:
		return router{Lanes: 1}, nil
	}
	r := router{Lanes: Shares, by: ledger.ByPrimary}
	if t.Key != nil && !t.Key.Primary {
		r.by = ledger.ByKey
	}
	for _, name := range t.OrderKey() {
		// A column that only the server can hash is left out, and one whose
		// collation may find different bytes equal: the others keep equal keys
		// together without it.
		if k, ok := newKey(t, columns, name, "", utf8); ok && k.Hash != nil && columns[k.field].Collation == "" {
			r.Keys = append(r.Keys, k)
		}
	}
	r.together = t.Key != nil && len(r.Keys) == 0
	return r, nil
}

// One makes all records belong to one lane.
func (r *router) One() {
	r.Lanes, r.finder = 1, nil
	r.Keys = slices.DeleteFunc(r.Keys, func(k key) bool { return !k.required })
	for i := range r.Keys {
		r.Keys[i].Hash, r.Keys[i].hashField = hashNothing, hashNothing
	}
}

// hashNothing is the hash of values that decide nothing.
func hashNothing([]byte) (int32, bool) { return 0, true }

// SetRanges makes the lanes those of a job.
func (r *router) SetRanges(lanes []ledger.Lane) {
	r.Lanes = len(lanes)
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
func newKey(t *target.Target, columns []*catalog.Column, name, function string, utf8 bool) (key, bool) {
	i := slices.IndexFunc(columns, func(c *catalog.Column) bool { return c.Name == name })
	if i < 0 {
		return key{}, false
	}
	c := columns[i]
	limit := 0
	if c.BaseOID == pgtype.VarcharOID && c.TypMod > 4 {
		limit = int(c.TypMod) - 4 // atttypmod counts a header of four bytes
	}
	hash, own, _ := citus.HasherFor(c.BaseOID, limit, utf8)
	if function == "" {
		function = "pg_catalog." + own
	}
	return key{field: i, column: name, kind: c.Type, Hash: hash, hashField: fieldHasher(c.BaseOID, hash), clock: t.Clocks[name], ask: function + "(" + c.ValueSQL("v") + ")"}, true
}

// lane returns the lane of a record with these hashes, one for each key.
func (r *router) lane(hashes []int32, chunk int64) int32 {
	switch {
	case r.Filled && r.finder != nil:
		// Where a shard is split a lane is, too, and both parts have its mark: what
		// decides between them must be a hash.
		return int32(r.finder.Find(int32(uint32(chunk) * 0x9e3779b1)))
	case r.finder != nil:
		return int32(r.finder.Find(hashes[0]))
	}
	if r.together {
		return 0
	}
	if len(hashes) == 0 {
		return int32(chunk % int64(r.Lanes))
	}
	sum := uint32(0)
	for _, h := range hashes {
		sum = bits.RotateLeft32(sum, 5)*31 + uint32(h)
	}
	return int32(sum % uint32(r.Lanes))
}
