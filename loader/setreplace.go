package loader

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
)

// loadReplacing is Load for tables that are to have the rows of the inputs alone. What would stop
// the load of an input at its beginning is found out before a table is emptied.
func (s *Set) loadReplacing(ctx context.Context, opt SetOptions) ([]SetResult, error) {
	for _, t := range s.tables {
		for _, in := range t.Inputs {
			if err := probe(ctx, t.loader, in); err != nil {
				return nil, err
			}
		}
	}
	if err := s.nobodyLoads(ctx); err != nil {
		return nil, err
	}
	if s.Shared() {
		return s.loadShared(ctx, opt)
	}
	done := opt.emptying()
	was, err := s.replaced(ctx)
	if err != nil {
		done()
		return nil, err
	}
	if was.ID != "" {
		done()
		opt.replacing(true, nil)
		opt.emptied()
		s.replace(was.ID)
		results, err := s.load(ctx, opt)
		stuck, ok := errors.AsType[*JobError](err)
		switch {
		case !ok:
			return results, err
		case !s.repeats(): // what was read of them is gone
			return results, &JobError{Job: stuck.Job, Problem: stuck.Problem, Do: "if it is to be loaded anew forget job " + was.Unfinished + ", and run the same command again"}
		}
		opt.replacing(false, stuck)
		done = opt.emptying()
	}
	err = s.empty(ctx, emptied{before: refuseWorking})
	if done(); err != nil {
		return nil, err
	}
	opt.emptied()
	s.replace(newReplaceID())
	return s.load(ctx, opt)
}

// newReplaceID returns a name for a load that empties tables.
func newReplaceID() string { return strings.ToLower(rand.Text()[:16]) }

// empty empties all tables, in one transaction.
func (s *Set) empty(ctx context.Context, with emptied) error {
	var names []string
	for _, t := range s.tables {
		names = append(names, t.loader.target.Table.SQL())
	}
	first := s.tables[0].loader
	return first.target.Persist(ctx, func() error { return truncate(ctx, first.cfg.Conn, with, names...) })
}

// replaced returns an earlier run that has emptied the tables and can be gone on with; its ID is
// "" for none.
func (s *Set) replaced(ctx context.Context) (was Replacement, err error) {
	was.Complete = true
	for _, t := range s.tables {
		r, ok, err := t.loader.Replaced(ctx, t.Inputs...)
		if err != nil || !ok || was.ID != "" && r.ID != "" && r.ID != was.ID {
			return Replacement{}, err
		}
		if r.ID != "" {
			was.ID = r.ID
		}
		if r.Unfinished != "" {
			was.Unfinished = r.Unfinished
		}
		was.Complete = was.Complete && r.Complete
	}
	if was.Complete {
		return Replacement{}, nil // and so it is to be loaded once more
	}
	return was, nil
}

// replace tells the Loaders for which load the tables were emptied.
func (s *Set) replace(id string) {
	for _, t := range s.tables {
		t.loader.Replacing(id)
	}
}

// repeats reports whether all inputs can be read once more.
func (s *Set) repeats() bool {
	for _, t := range s.tables {
		for _, in := range t.Inputs {
			if !in.repeats {
				return false
			}
		}
	}
	return true
}
