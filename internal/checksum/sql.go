package checksum

import "fmt"

// SQLText returns the SQL of the hash of an expression's value, a bigint: NULL for
// NULL, otherwise what Text returns for its text form. The collation is named
// because one that takes different texts for equal would also hash them alike.
func SQLText(expr string) string {
	return `pg_catalog.hashtextextended((` + expr + `)::pg_catalog.text COLLATE pg_catalog."C", 0)`
}

// SQLRow returns the SQL of the hash of a row, of which the values have these
// hashes: SQL of type bigint, NULL for NULL. It is what Row makes of them.
func SQLRow(hashes []string) string {
	row := "0::bigint"
	for _, hash := range hashes {
		row = fmt.Sprintf("pg_catalog.hashint4extended(0, %s OPERATOR(pg_catalog.#) coalesce(%s, %d))", row, hash, Null)
	}
	return row
}
