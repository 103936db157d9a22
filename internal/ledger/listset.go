package ledger

import "slices"

// foldRuns puts runs into the entries of their sets. One whose set is not in the list stays.
func (l *Listing) foldRuns() {
	type key struct{ schema, id string }
	sets := map[key]*Entry{}
	for _, e := range l.Jobs {
		if e.Set != nil {
			sets[key{e.Target.Table.Schema, e.ID}] = e
		}
	}
	l.Jobs = slices.DeleteFunc(l.Jobs, func(e *Entry) bool {
		set := sets[key{e.Target.Table.Schema, e.Of}]
		if e.Of == "" || set == nil {
			return false
		}
		set.fold(e)
		return true
	})
}

// fold adds a run to the set e.
func (e *Entry) fold(run *Entry) {
	e.Runs = append(e.Runs, run)
	e.Working = e.Working || run.Working
	if run.Advanced.After(e.Advanced) {
		e.Advanced = run.Advanced
	}
	e.Rows, e.Rejected = e.Rows+run.Rows, e.Rejected+run.Rejected
	e.Merged.Add(run.Merged)
	if e.Problem == "" {
		e.Problem = run.Problem
	}
	if e.Unread == "" {
		e.Unread = run.Unread
	}
}
