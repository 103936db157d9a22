package tutorial

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"shardload/internal/term"
)

// published is the tutorial's statements, letter by letter and in their order.
//
//go:embed statements.sql
var published string

// A statement is one of the tutorial's, and what is expected of it.
type statement struct {
	title  string
	sql    string // without its semicolon
	note   string // what a reader of the result should know
	plain  bool   // begins or ends a transaction, or makes a table: nothing to explain or to count
	tenant bool   // concerns one tenant, so that a single shard can answer it
	citus  bool   // needs Citus: without it the table stays local

	// atLeast and atMost bound the rows that it returns, stores or hits.
	atLeast, atMost int64
}

// many stands for no upper bound.
const many = 1<<63 - 1

// script returns all of the published statements.
func script() []statement {
	steps := []statement{
		{title: "create the companies", plain: true},
		{title: "create the campaigns", plain: true},
		{title: "create the ads", plain: true},
		{title: "the key of companies", plain: true},
		{title: "the key of campaigns", plain: true},
		{title: "the key of ads", plain: true},
		{title: "distribute the companies", plain: true, citus: true},
		{title: "distribute the campaigns", plain: true, citus: true},
		{title: "distribute the ads", plain: true, citus: true},
		{title: "load the companies", atLeast: 1, atMost: many},
		{title: "load the campaigns", atLeast: 1, atMost: many},
		{title: "load the ads", atLeast: 1, atMost: many},
		{title: "count the companies", atLeast: 1, atMost: 1},
		{title: "ten campaigns of company 5 by their budgets, the smallest first", tenant: true, atLeast: 1, atMost: 10},
		{
			title: "running campaigns of company 7 by impressions and clicks", tenant: true, atLeast: 1, atMost: many,
			note: "as published it lacks ads.campaign_id = campaigns.id: each campaign is joined with all ads of its company, and shows the company's sums",
		},
		{title: "double the budget of campaign 1 of company 5", tenant: true, atLeast: 1, atMost: 1},
		{title: "begin a transaction", plain: true},
		{title: "delete campaign 1 of company 5", tenant: true, atLeast: 1, atMost: 1},
		{title: "delete its ads", tenant: true, atLeast: 1, atMost: many},
		{title: "commit it", plain: true},
	}
	for i, sql := range split(published) {
		steps[i].sql = sql
	}
	return steps
}

// split returns the statements of text, each of which ends with a line.
func split(text string) []string {
	var list []string
	for sql := range strings.SplitSeq(text, ";\n") {
		if sql = strings.TrimSpace(sql); sql != "" {
			list = append(list, sql)
		}
	}
	return list
}

// Where the parts of the script begin.
const (
	queriesAt = 12
	updateAt  = 15
	changesAt = 16
)

// statements returns what to run. If the changes are to be undone, the update and the
// tutorial's transaction are one, which is rolled back.
func statements(opts Options) []statement {
	all := script()
	switch {
	case opts.Whole:
		return all
	case opts.Commit:
		return all[queriesAt:]
	}
	queries, update, changes := all[queriesAt:updateAt], all[updateAt:changesAt], all[changesAt:]
	begin, deletes := changes[:1], changes[1:len(changes)-1]
	undo := statement{title: "undo the update and the deletes", sql: "ROLLBACK", plain: true}
	return slices.Concat(queries, begin, update, deletes, []statement{undo})
}

// copyCommand matches psql's command that loads a file.
var copyCommand = regexp.MustCompile(`^\\copy (\w+) from '([^']+)'$`)

// file returns which table a \copy loads from which file, "" if the statement is none.
func (s statement) file() (table, path string) {
	if m := copyCommand.FindStringSubmatch(s.sql); m != nil {
		return m[1], m[2]
	}
	return "", ""
}

// problem returns what is wrong if the statement returned or hit so many rows, and
// went to these shards; "" if nothing is.
func (s statement) problem(affected int64, shards *Shards) string {
	switch {
	case s.plain:
		return ""
	case affected < s.atLeast || affected > s.atMost:
		return term.Plural(affected, "row") + ", want " + s.bounds()
	case s.tenant && shards != nil && shards.Tasks != 1:
		return fmt.Sprintf("sent to %s, want 1: are the tables distributed by company?", term.Plural(shards.Tasks, "shard"))
	}
	return ""
}

func (s statement) bounds() string {
	switch s.atMost {
	case s.atLeast:
		return fmt.Sprintf("exactly %d", s.atLeast)
	case many:
		return fmt.Sprintf("at least %d", s.atLeast)
	}
	return fmt.Sprintf("%d to %d", s.atLeast, s.atMost)
}
