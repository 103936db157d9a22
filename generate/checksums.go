package generate

import "shardload/internal/checksum"

// Checksums tell the rows of a file apart from others, in whatever order they are: sums of
// hashes that a PostgreSQL server can compute, too. Sums are decimal numbers of up to 128 bits.
type Checksums struct {
	Rows    int64            `json:"rows"`
	RowSum  string           `json:"row_sum"`
	Columns []ColumnChecksum `json:"columns"` // in the order of the file
}

// A ColumnChecksum is the checksum of the values of a column.
type ColumnChecksum struct {
	Name   string `json:"name"`
	Values int64  `json:"values"` // that are not NULL
	Sum    string `json:"sum"`
}

// checksumsOf returns t as a manifest has it.
func checksumsOf(t checksum.Table) *Checksums {
	c := &Checksums{Rows: t.Rows, RowSum: t.RowSum.String()}
	for _, column := range t.Columns {
		c.Columns = append(c.Columns, ColumnChecksum{Name: column.Name, Values: column.Values, Sum: column.Sum.String()})
	}
	return c
}
