package catalog

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"
)

// keywordTypes are the words that begin the names of types which the grammar itself
// knows: those mean pg_catalog's types under any search path.
var keywordTypes = map[string]bool{
	"bigint": true, "bit": true, "boolean": true, "character": true, "double": true, "integer": true, "interval": true,
	"numeric": true, "real": true, "smallint": true, "time": true, "timestamp": true,
}

// TypeSQL returns the column's type as a statement names it under any search path: Type
// has no schema where it is pg_catalog, and with another schema before that in the search
// path the name is another type's.
func (c *Column) TypeSQL() string {
	word := strings.TrimRight(c.Type, "[]")
	if i := strings.IndexAny(word, "( "); i >= 0 && word[0] != '"' {
		word = word[:i]
	}
	if keywordTypes[word] || hasSchema(c.Type) {
		return c.Type
	}
	return "pg_catalog." + c.Type
}

// ValueSQL returns the SQL of the value that COPY makes of an expression of type text. A
// cast would do, but for types with a cast from text of their own, as regclass, whose cast
// knows neither "-" nor numbers: as an element of an array the type itself reads it.
//
// An interval of certain fields is read by its own function: '5' is five days of an interval day,
// and a cast makes five seconds of it, which it then cuts to none.
func (c *Column) ValueSQL(text string) string {
	if c.TypMod >= 0 && c.BaseOID == pgtype.IntervalOID && strings.HasPrefix(c.Type, "interval") { // no domain
		return fmt.Sprintf("pg_catalog.interval_in(pg_catalog.textout(%s), 0, %d)", text, c.TypMod)
	}
	if !c.CastsText {
		return text + "::" + c.TypeSQL()
	}
	quoted := `pg_catalog.replace(pg_catalog.replace(` + text + `, E'\\', E'\\\\'), '"', E'\\"')`
	return `(pg_catalog.textcat('{"', pg_catalog.textcat(` + quoted + `, '"}'))::` + c.TypeSQL() + `[])[1]`
}

// BareSQL returns the SQL of an expression of type text cast to the column's type, that below
// all domains, without its length: assigned to the column it is then refused where it is too
// long, which a cast to varchar(3) would cut.
func (c *Column) BareSQL(text string) string {
	switch c.BaseOID {
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.BPCharOID:
		return text // assigned as it is
	case pgtype.IntervalOID: // nothing is cut of it that COPY would not cut
		return c.ValueSQL(text)
	}
	bare := *c
	bare.Type = c.BareType
	return bare.ValueSQL(text)
}

// StoredSQL returns the SQL of what c stores of a value that can be assigned to it. What is too
// long for c is not cut, as a cast to its type would: it can be stored in no case.
func (c *Column) StoredSQL(value string) string {
	switch c.BaseOID {
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.BPCharOID, pgtype.BitOID, pgtype.VarbitOID,
		pgtype.VarcharArrayOID, pgtype.BPCharArrayOID, pgtype.BitArrayOID, pgtype.VarbitArrayOID:
		return value + "::" + c.BareType
	}
	return value + "::" + c.TypeSQL()
}

// hasSchema reports whether a name as SQL writes it has a dot outside of quotes.
func hasSchema(name string) bool {
	inside := false
	for _, c := range name {
		switch {
		case c == '"':
			inside = !inside
		case c == '.' && !inside:
			return true
		}
	}
	return false
}
