package provision

import (
	"io"
	"strings"

	"shardload/schema"
)

// Print writes the statements that make the tables as a script for psql and, if
// distribute, those that distribute them on a Citus cluster.
func Print(w io.Writer, distribute bool) error {
	var b strings.Builder
	for _, t := range schema.Tables() {
		b.WriteString(t.CreateSQL() + ";\n\n")
	}
	for _, t := range schema.Tables() {
		b.WriteString(t.PrimaryKeySQL() + ";\n")
	}
	if distribute {
		b.WriteString("\n")
		for _, t := range schema.Tables() {
			b.WriteString(t.DistributeSQL() + ";\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
