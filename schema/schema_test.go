package schema_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shardload/schema"
)

// The tutorial's statements, with its types as format_type prints them.
const wantDDL = `CREATE TABLE companies (
    id integer NOT NULL,
    name text NOT NULL,
    image_url text NOT NULL,
    created_at timestamp without time zone NOT NULL,
    updated_at timestamp without time zone NOT NULL
);
ALTER TABLE companies ADD PRIMARY KEY (id);
SELECT create_distributed_table('companies', 'id');
CREATE TABLE campaigns (
    id integer NOT NULL,
    company_id integer NOT NULL,
    name text NOT NULL,
    cost_model text NOT NULL,
    state text NOT NULL,
    monthly_budget integer,
    blacklisted_site_urls character varying[],
    created_at timestamp without time zone NOT NULL,
    updated_at timestamp without time zone NOT NULL
);
ALTER TABLE campaigns ADD PRIMARY KEY (id, company_id);
SELECT create_distributed_table('campaigns', 'company_id');
CREATE TABLE ads (
    id integer NOT NULL,
    company_id integer NOT NULL,
    campaign_id integer NOT NULL,
    name text NOT NULL,
    image_url text NOT NULL,
    target_url text NOT NULL,
    impressions_count bigint DEFAULT 0 NOT NULL,
    clicks_count bigint DEFAULT 0 NOT NULL,
    created_at timestamp without time zone NOT NULL,
    updated_at timestamp without time zone NOT NULL
);
ALTER TABLE ads ADD PRIMARY KEY (id, company_id);
SELECT create_distributed_table('ads', 'company_id');
`

func TestDDL(t *testing.T) {
	var b strings.Builder
	for _, table := range schema.Tables() {
		b.WriteString(table.CreateSQL() + ";\n")
		b.WriteString(table.PrimaryKeySQL() + ";\n")
		b.WriteString(table.DistributeSQL() + ";\n")
	}
	if diff := cmp.Diff(wantDDL, b.String()); diff != "" {
		t.Errorf("DDL (-want +got):\n%s", diff)
	}
}

func TestKeysAreColumns(t *testing.T) {
	for _, table := range schema.Tables() {
		columns := map[string]schema.Column{}
		for _, c := range table.Columns {
			columns[c.Name] = c
		}
		distributed := false
		for _, key := range table.PrimaryKey {
			if c, ok := columns[key]; !ok || !c.NotNull {
				t.Errorf("%s: primary key column %q is no column that is NOT NULL", table.Name, key)
			}
			distributed = distributed || key == table.DistributionColumn
		}
		if !distributed {
			t.Errorf("%s: Citus wants the distribution column %q in the primary key", table.Name, table.DistributionColumn)
		}
	}
}

func TestLookup(t *testing.T) {
	for _, table := range schema.Tables() {
		if got := schema.Lookup(table.Name); got != table {
			t.Errorf("Lookup(%q) = %v, want the table that Tables returns", table.Name, got)
		}
	}
	if got := schema.Lookup("Ads"); got != nil {
		t.Errorf(`Lookup("Ads") = %v, want nil: names are as they are written`, got)
	}
}
