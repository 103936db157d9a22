package verify

import (
	"context"
	"errors"
	"maps"
	"sync"
)

// errChanging tells that two readings of the table do not agree.
var errChanging = errors.New("the table was changed while it was read: verify again when nothing writes to it")

const (
	// tenantMemory bounds the memory of the tenants that are compared at once, in
	// bytes. Beyond it parts of the table are left out, down to one part.
	tenantMemory = 64 << 20
	// maxParts is how many parts of a table are looked at where a part has an
	// unknown number of tenants.
	maxParts = 512
)

// maxTenants is how many tenants are compared at once.
func (d *deep) maxTenants() int {
	if d.tenants > 0 {
		return d.tenants
	}
	return tenantMemory / (256 + 32*len(d.columns))
}

// A tenant is the rows of one value of the key.
type tenant struct {
	names   []*string // the key's values, nil for NULL
	share   int
	rows    tally
	columns []tally
	at      position // of the first row
}

// tenants is a sink that adds up the tenants of some parts of the table.
type tenants struct {
	d     *deep
	parts *parts
	limit int
	list  map[int64]*tenant // by the key's hash
	seen  int               // how many parts are looked at, as far as is known here
}

// parts are the parts of the table that are looked at: the first of those that
// differ. Their number shrinks when there are too many tenants in them.
type parts struct {
	differing []int
	rank      [shares]int // by part: its place in differing, or behind all

	mu    sync.Mutex
	count int
}

func newParts(differing []int, count int) *parts {
	p := &parts{differing: differing, count: min(count, len(differing))}
	for i := range p.rank {
		p.rank[i] = shares
	}
	for i, share := range differing {
		p.rank[share] = i
	}
	return p
}

// now returns how many parts are looked at.
func (p *parts) now() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// shrink halves the number of parts, unless somebody did so since it was seen.
func (p *parts) shrink(seen int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count == seen && p.count > 1 {
		p.count /= 2
	}
}

func (t *tenants) add(r *row) {
	key := t.d.keyOf(r)
	share := shareOf(key)
	if t.parts.rank[share] >= t.seen {
		return
	}
	e := t.list[key]
	if e == nil {
		if len(t.list) >= t.limit {
			t.parts.shrink(t.seen)
			t.clean()
			if t.parts.rank[share] >= t.seen {
				return
			}
		}
		e = &tenant{names: t.d.keyNames(r, t.d.key), share: share, columns: make([]tally, len(r.hashes)), at: r.at}
		t.list[key] = e
	}
	if r.at.compare(e.at) < 0 {
		e.at = r.at
	}
	e.rows.rows++
	e.rows.sum.Add(t.d.hashOf(r))
	for i, hash := range r.hashes {
		if !r.nulls[i] {
			e.columns[i].rows++
			e.columns[i].sum.Add(hash)
		}
	}
}

func (t *tenants) refuse(Unloadable) {}
func (t *tenants) reject()           {}
func (t *tenants) leave()            {}

// clean forgets the tenants of parts that are looked at no more.
func (t *tenants) clean() {
	now := t.parts.now()
	if now == t.seen {
		return
	}
	t.seen = now
	maps.DeleteFunc(t.list, func(_ int64, e *tenant) bool { return t.parts.rank[e.share] >= now })
}

// keyNames returns the values of the row's key as they are in the record.
func (in *inputs) keyNames(r *row, key []int) []*string {
	if key == nil {
		return nil
	}
	lay, how := in.layouts[r.at.input], *in.how(r.at.input)
	dec := decoder{d: &deep{cfg: DeepConfig{Reading: how}, inputs: *in}, fields: how.dialect.AppendFields(nil, r.raw)}
	names := make([]*string, len(key))
	for i, k := range key {
		if !r.nulls[k] {
			v, _ := dec.value(lay, r, k)
			name := string(v)
			names[i] = &name
		}
	}
	return names
}

// locate finds the tenants that differ: first the parts of the table that do, then
// the tenants in them.
func (d *deep) locate(ctx context.Context, mine *totals, check *DeepCheck) error {
	theirs, err := d.readShares(ctx)
	if err != nil {
		return err
	}
	var sum tally
	var differing []int
	for i := range theirs {
		sum.merge(theirs[i])
		if theirs[i] != mine.shares[i] {
			differing = append(differing, i)
		}
	}
	if sum.rows != check.Database.Rows || sum.sum != check.Database.RowSum {
		return errChanging
	}
	if len(differing) == 0 {
		return nil // records that no table can have are all there is
	}
	p := newParts(differing, d.partsToRead(differing, mine, theirs))
	list, err := d.readTenants(ctx, p)
	if err != nil {
		return err
	}
	check.Parts = Parts{Differing: len(differing), Compared: p.now()}
	if err := d.compareTenants(ctx, p, list, check); err != nil {
		return err
	}
	return d.locateRecords(ctx, check.Tenants)
}

// partsToRead returns how many of the differing parts are to be looked at, at
// first. Where a key belongs to one row, it is known how many there are.
func (d *deep) partsToRead(differing []int, mine *totals, theirs *[shares]tally) int {
	if d.key != nil && !d.unique {
		return min(len(differing), maxParts)
	}
	rows := int64(0)
	for i, share := range differing {
		rows += max(mine.shares[share].rows, theirs[share].rows)
		if i > 0 && rows > int64(d.maxTenants()) {
			return i
		}
	}
	return len(differing)
}

// readTenants adds up the tenants of the inputs.
func (d *deep) readTenants(ctx context.Context, p *parts) (map[int64]*tenant, error) {
	sinks := make([]*tenants, d.cfg.Procs)
	err := d.scan(ctx, func(i int) sink {
		sinks[i] = &tenants{d: d, parts: p, limit: max(d.maxTenants()/d.cfg.Procs, 1), list: map[int64]*tenant{}, seen: p.now()}
		return sinks[i]
	})
	if err != nil {
		return nil, err
	}
	all := map[int64]*tenant{}
	for _, s := range sinks {
		s.clean()
		for key, e := range s.list {
			if have := all[key]; have != nil {
				have.merge(e)
			} else {
				all[key] = e
			}
		}
	}
	return all, nil
}

// merge adds the rows of o, the same tenant.
func (e *tenant) merge(o *tenant) {
	if o.at.compare(e.at) < 0 {
		e.at = o.at
	}
	e.rows.merge(o.rows)
	for i := range e.columns {
		e.columns[i].merge(o.columns[i])
	}
}
