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
}

// records is a sink that counts the records of some tenants.
type records struct {
	from *selection
	want map[int64]*TenantDifference // by the key's hash
	list map[recordID]alike
}

func (s *records) refuse(Unloadable) {}
func (s *records) reject()           {}
func (s *records) leave()            {}

func (s *records) add(r *row) {
	key := s.from.keyOf(r)
	if s.want[key] != nil {
		s.put(recordID{key, s.from.hashOf(r)}, alike{1, r.at})
	}
}

func (s *records) put(id recordID, a alike) {
	have, ok := s.list[id]
	if ok && have.at.compare(a.at) < 0 {
		a.at = have.at
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
		sinks[i] = &records{from: &d.selection, want: want, list: map[recordID]alike{}}
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
	}
	return d.compareRecords(ctx, all)
}

// compareRecords takes the rows of the table away from the records, and notes what
// is left.
func (d *deep) compareRecords(ctx context.Context, s *records) error {
	err := d.query(ctx, d.recordsSQL(s.want), func(values [][]byte) error {
		var n [3]int64
		for i := range n {
			var err error
			if n[i], err = strconv.ParseInt(string(values[i]), 10, 64); err != nil {
				return fmt.Errorf("the server's hash: %w", err)
			}
		}
		s.take(recordID{n[0], n[1]}, n[2])
		return nil
	})
	if err != nil {
		return err
	}
	positions := map[*TenantDifference][]position{}
	for id, a := range s.list {
		t := s.want[id.tenant]
		t.Missing += a.count
		positions[t] = append(positions[t], a.at)
	}
	for t, list := range positions {
		slices.SortFunc(list, position.compare)
		for _, at := range list[:min(len(list), maxSome)] {
			t.Records = append(t.Records, d.positionName(at))
		}
	}
	return nil
}

// take takes rows of the table away from the records that they are like.
func (s *records) take(id recordID, rows int64) {
	t := s.want[id.tenant]
	if t == nil {
		return // equal to a tenant's key, but written in another way
	}
	a := s.list[id]
	a.count -= rows
	t.Extra += max(-a.count, 0)
	if a.count > 0 {
		s.list[id] = a
	} else {
		delete(s.list, id)
	}
}
