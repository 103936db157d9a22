package tutorial

import (
	"fmt"
	"slices"
)

// A statement is one of the tutorial's, and what is expected of it.
type statement struct {
	title  string
	sql    string
	plain  bool // begins or ends a transaction: nothing to explain
	tenant bool // concerns one tenant, so that a single shard can answer it

	// atLeast and atMost bound the rows that it returns or hits.
	atLeast, atMost int64
}

const (
	countSQL = `SELECT count(*) FROM companies`

	budgetSQL = `SELECT name, cost_model, state, monthly_budget
FROM campaigns
WHERE company_id = 5
ORDER BY monthly_budget DESC
LIMIT 10`

	// As published, without ads.campaign_id = campaigns.id: each campaign is
	// joined with all ads of its company, and all show the company's sums.
	joinSQL = `SELECT campaigns.id, campaigns.name, campaigns.monthly_budget,
       sum(impressions_count) as total_impressions, sum(clicks_count) as total_clicks
FROM ads, campaigns
WHERE ads.company_id = campaigns.company_id
AND campaigns.company_id = 7
AND campaigns.state = 'running'
GROUP BY campaigns.id, campaigns.name, campaigns.monthly_budget
ORDER BY total_impressions, total_clicks`

	updateSQL = `UPDATE campaigns
SET monthly_budget = monthly_budget*2
WHERE id = 1 AND company_id = 5`

	deleteCampaignSQL = `DELETE FROM campaigns WHERE id = 1 AND company_id = 5`

	deleteAdsSQL = `DELETE FROM ads WHERE campaign_id = 1 AND company_id = 5`
)

// many stands for no upper bound.
const many = 1<<63 - 1

// statements returns what to run. The changes are undone at the end unless commit:
// the update and the tutorial's transaction are then one.
func statements(commit bool) []statement {
	queries := []statement{
		{title: "count the companies", sql: countSQL, atLeast: 1, atMost: 1},
		{title: "the ten campaigns of company 5 with the largest budgets", sql: budgetSQL, tenant: true, atLeast: 1, atMost: 10},
		{title: "running campaigns of company 7 by impressions and clicks", sql: joinSQL, tenant: true, atLeast: 1, atMost: many},
	}
	update := statement{title: "double the budget of campaign 1 of company 5", sql: updateSQL, tenant: true, atLeast: 1, atMost: 1}
	deletes := []statement{
		{title: "delete campaign 1 of company 5", sql: deleteCampaignSQL, tenant: true, atLeast: 1, atMost: 1},
		{title: "delete its ads", sql: deleteAdsSQL, tenant: true, atLeast: 1, atMost: many},
	}
	begin := statement{title: "begin a transaction", sql: "BEGIN", plain: true}
	if commit {
		end := statement{title: "commit it", sql: "COMMIT", plain: true}
		return slices.Concat(queries, []statement{update, begin}, deletes, []statement{end})
	}
	end := statement{title: "undo the update and the deletes", sql: "ROLLBACK", plain: true}
	return slices.Concat(queries, []statement{begin, update}, deletes, []statement{end})
}

// problem returns what is wrong if the statement returned or hit so many rows, and
// went to these shards; "" if nothing is.
func (s statement) problem(affected int64, shards *Shards) string {
	switch {
	case s.plain:
		return ""
	case affected < s.atLeast || affected > s.atMost:
		return fmt.Sprintf("%d rows, want %s", affected, s.bounds())
	case s.tenant && shards != nil && shards.Tasks != 1:
		return fmt.Sprintf("sent to %d shards, want 1: are the tables distributed by company?", shards.Tasks)
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
