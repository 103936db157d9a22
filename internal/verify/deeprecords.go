package verify

import (
	"context"
	"fmt"
	"slices"
	"strconv"
)

// maxRecords is how many rows of differing tenants are compared one by one.
const maxRecords = 400_000

// A recordID stands for rows that are alike: those of one tenant with one hash.
type recordID struct{ tenant, row int64 }

// An alike is how many records are alike, less the rows of the table that are.
type alike struct {
	count int64
	at    position // of the first record
	rowName
}

// records is a sink that counts the records of some tenants.
type records struct {
	from  *inputs
	of    *selection
	want  map[int64]*TenantDifference // by the key's hash
	list  map[recordID]alike
	names *rowNames // nil if nothing names a row
}

func (s *records) refuse(Unloadable) {}
func (s *records) reject()           {}
func (s *records) leave()            {}

func (s *records) add(r *row) {
	key := s.of.keyOf(r)
	if s.want[key] == nil {
		return
	}
	a := alike{count: 1, at: r.at}
	if s.names.wanted() {
		a.rowName = rowName{hashOfSome(r, s.of.rowKey), s.from.keyNames(r, s.of.rowKey)}
		s.names.count(a.names)
	}
	s.put(recordID{key, s.of.hashOf(r)}, a)
}

func (s *records) put(id recordID, a alike) {
	have, ok := s.list[id]
	if ok && have.at.compare(a.at) < 0 {
		a.at, a.rowName = have.at, have.rowName
	}
	a.count += have.count
	s.list[id] = a
}

// locateRecords finds the records of differing tenants that the table does not have
// as they are. It leaves out tenants with too many rows.
func (d *deep) locateRecords(ctx context.Context, list []TenantDifference) error {
	if d.unique || len(d.key) != 1 {
		return nil // what differs is a row, and is named already
	}
	want := map[int64]*TenantDifference{}
	rows := int64(0)
	for i := range list {
		t := &list[i]
		if n := max(t.InputRows, t.DatabaseRows); t.Key[0] != nil && t.InputRows > 0 && t.DatabaseRows > 0 && rows+n <= maxRecords {
			rows += n
			want[t.hash] = t
			t.Searched = true
		}
	}
	if len(want) == 0 {
		return nil
	}
	sinks := make([]*records, d.cfg.Procs)
	err := d.scan(ctx, func(i int) sink {
		sinks[i] = &records{from: &d.inputs, of: &d.selection, want: want, list: map[recordID]alike{}, names: newRowNames(&d.selection, d.cfg.Procs)}
		return sinks[i]
	})
	if err != nil {
		return err
	}
	all := sinks[0]
	for _, s := range sinks[1:] {
		for id, a := range s.list {
			all.put(id, a)
		}
		all.names.merge(s.names)
	}
	return d.compareRecords(ctx, all)
}

// compareRecords takes the rows of the table away from the records, and notes what
// is left.
func (d *deep) compareRecords(ctx context.Context, s *records) error {
	theirs := newRowNames(&d.selection, 1)
	extra := map[*TenantDifference]map[int64]rowName{}
	err := d.query(ctx, d.recordsSQL(s.want), func(values [][]byte) error {
		var n [3]int64
		for i := range n {
			var err error
			if n[i], err = strconv.ParseInt(string(values[i]), 10, 64); err != nil {
				return fmt.Errorf("the server's hash: %w", err)
			}
		}
		t, more := s.take(recordID{n[0], n[1]}, n[2])
		if !more || !theirs.wanted() {
			return nil
		}
		name, err := theirs.read(values[len(n):])
		if extra[t] == nil {
			extra[t] = map[int64]rowName{}
		}
		extra[t][name.hash] = name
		return err
	})
	if err != nil {
		return err
	}
	missing := map[*TenantDifference][]alike{}
	for id, a := range s.list {
		t := s.want[id.tenant]
		t.Missing += a.count
		missing[t] = append(missing[t], a)
	}
	named := s.names.wanted() && theirs.wanted()
	for _, t := range s.want {
		list := missing[t]
		slices.SortFunc(list, func(a, b alike) int { return a.at.compare(b.at) })
		for _, a := range list[:min(len(list), maxSome)] {
			t.Records = append(t.Records, d.positionName(a.at))
		}
		if named {
			nameRows(d, t, list, extra[t])
		}
	}
	return nil
}

// take takes rows of the table away from the records that they are like. It reports whether
// there are more rows than records, and of which tenant.
func (s *records) take(id recordID, rows int64) (t *TenantDifference, more bool) {
	if t = s.want[id.tenant]; t == nil {
		return nil, false // equal to a tenant's key, but written in another way
	}
	a := s.list[id]
	a.count -= rows
	t.Extra += max(-a.count, 0)
	if a.count > 0 {
		s.list[id] = a
	} else {
		delete(s.list, id)
	}
	return t, a.count < 0
}
