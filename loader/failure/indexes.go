package failure

import "fmt"

// An IndexError reports that an index which was dropped for a load could not be built. All rows are
// stored; the index waits on.
type IndexError struct {
	Table string // quoted where it must be
	Index string // likewise
	Kept  string // where the index is kept as it was, a table's name, quoted
	Name  string // the index's name there, as a constant of SQL
	Err   error
}

func (e *IndexError) Error() string {
	return fmt.Sprintf("index %s of %s was not built, and waits: %v; %s", e.Index, e.Table, e.Err, e.Advice())
}

func (e *IndexError) Unwrap() error { return e.Err }

// Advice says what can be done.
func (e *IndexError) Advice() string {
	return fmt.Sprintf("once the cause is mended load the same input again with Config.DeferIndexes, which stores no row twice and builds what waits; to give the index up: DELETE FROM %s WHERE name = %s", e.Kept, e.Name)
}
