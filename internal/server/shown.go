package server

import (
	"slices"
	"strings"
)

// Shown returns a name of these parts as people read it, which SQL takes as well: public.ads, in
// quotes where a part needs them. Statements have [Name], but for those on tables of the ledger,
// the names of which stand in messages as they do in statements.
func Shown(parts ...string) string {
	shown := make([]string, len(parts))
	for i, part := range parts {
		if shown[i] = part; !bare(part) {
			shown[i] = Name(part)
		}
	}
	return strings.Join(shown, ".")
}

// bare tells whether SQL takes a name without quotes for what it is.
func bare(name string) bool {
	for i, c := range name {
		if c != '_' && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	_, reserved := slices.BinarySearch(keywords, name)
	return name != "" && !reserved
}

// keywords are those of SQL that cannot everywhere be a name without quotes, of PostgreSQL
// 14 to 18: pg_get_keywords() has them, in all categories but U.
var keywords = strings.Fields(`
all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast char
character check coalesce collate collation column concurrently constraint create cross current_catalog current_date
current_role current_schema current_time current_timestamp current_user dec decimal default deferrable desc distinct do
else end except exists extract false fetch float for foreign freeze from full grant greatest group grouping having ilike in
initially inner inout int integer intersect interval into is isnull join json json_array json_arrayagg json_exists
json_object json_objectagg json_query json_scalar json_serialize json_table json_value lateral leading least left like
limit localtime localtimestamp merge_action national natural nchar none normalize not notnull null nullif numeric offset on
only or order out outer overlaps overlay placing position precision primary real references returning right row select
session_user setof similar smallint some substring symmetric system_user table tablesample then time timestamp to trailing
treat trim true union unique user using values varchar variadic verbose when where window with xmlattributes xmlconcat
xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable`)
