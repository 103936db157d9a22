// Package schema says what the built-in dataset's tables are: the ad-analytics
// application of the Citus multi-tenant tutorial, with its columns, keys and
// distribution exactly as the tutorial states them. It is the one place that
// says so; everything else derives from it. It does no I/O.
package schema

import "strings"

// A Column is one column of a Table.
type Column struct {
	Name    string
	Type    string // as PostgreSQL's format_type prints it: "timestamp without time zone"
	NotNull bool
	Default string // an SQL expression; "" for none
}

// A Table is one table of the dataset.
type Table struct {
	Name    string
	Columns []Column
	// PrimaryKey has the key's columns, in the order of the index.
	PrimaryKey []string
	// DistributionColumn holds the tenant. Tables that share a tenant share a
	// colocation group.
	DistributionColumn string
}

var (
	companies = Table{
		Name: "companies",
		Columns: []Column{
			{Name: "id", Type: "integer", NotNull: true},
			{Name: "name", Type: "text", NotNull: true},
			{Name: "image_url", Type: "text", NotNull: true},
			{Name: "created_at", Type: "timestamp without time zone", NotNull: true},
			{Name: "updated_at", Type: "timestamp without time zone", NotNull: true},
		},
		PrimaryKey:         []string{"id"},
		DistributionColumn: "id",
	}
	campaigns = Table{
		Name: "campaigns",
		Columns: []Column{
			{Name: "id", Type: "integer", NotNull: true},
			{Name: "company_id", Type: "integer", NotNull: true},
			{Name: "name", Type: "text", NotNull: true},
			{Name: "cost_model", Type: "text", NotNull: true},
			{Name: "state", Type: "text", NotNull: true},
			{Name: "monthly_budget", Type: "integer"},
			{Name: "blacklisted_site_urls", Type: "character varying[]"},
			{Name: "created_at", Type: "timestamp without time zone", NotNull: true},
			{Name: "updated_at", Type: "timestamp without time zone", NotNull: true},
		},
		PrimaryKey:         []string{"id", "company_id"},
		DistributionColumn: "company_id",
	}
	ads = Table{
		Name: "ads",
		Columns: []Column{
			{Name: "id", Type: "integer", NotNull: true},
			{Name: "company_id", Type: "integer", NotNull: true},
			{Name: "campaign_id", Type: "integer", NotNull: true},
			{Name: "name", Type: "text", NotNull: true},
			{Name: "image_url", Type: "text", NotNull: true},
			{Name: "target_url", Type: "text", NotNull: true},
			{Name: "impressions_count", Type: "bigint", NotNull: true, Default: "0"},
			{Name: "clicks_count", Type: "bigint", NotNull: true, Default: "0"},
			{Name: "created_at", Type: "timestamp without time zone", NotNull: true},
			{Name: "updated_at", Type: "timestamp without time zone", NotNull: true},
		},
		PrimaryKey:         []string{"id", "company_id"},
		DistributionColumn: "company_id",
	}
)

// Tables returns the dataset's tables, parents before children. The caller may
// keep the slice but must not change what it points to.
func Tables() []*Table { return []*Table{&companies, &campaigns, &ads} }

// Lookup returns the dataset's table of that name, or nil.
func Lookup(name string) *Table {
	for _, t := range Tables() {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// ColumnNames returns the names of t's columns in the table's order.
func (t *Table) ColumnNames() []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}

// CreateSQL returns the CREATE TABLE statement, without its semicolon. As in the
// tutorial it has no primary key: PrimaryKeySQL adds it. The names need no
// quoting, and are found through the search path.
func (t *Table) CreateSQL() string {
	var b strings.Builder
	b.WriteString("CREATE TABLE " + t.Name + " (")
	for i, c := range t.Columns {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString("\n    " + c.Name + " " + c.Type)
		if c.Default != "" {
			b.WriteString(" DEFAULT " + c.Default)
		}
		if c.NotNull {
			b.WriteString(" NOT NULL")
		}
	}
	b.WriteString("\n)")
	return b.String()
}

// PrimaryKeySQL returns the ALTER TABLE statement that adds the primary key,
// without its semicolon.
func (t *Table) PrimaryKeySQL() string {
	return "ALTER TABLE " + t.Name + " ADD PRIMARY KEY (" + strings.Join(t.PrimaryKey, ", ") + ")"
}

// DistributeSQL returns the statement that distributes t on a Citus cluster,
// without its semicolon.
func (t *Table) DistributeSQL() string {
	return "SELECT create_distributed_table('" + t.Name + "', '" + t.DistributionColumn + "')"
}
