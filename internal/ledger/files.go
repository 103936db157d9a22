package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Files says where the rows of a table lie: its key is a place and, behind a slash, the
// OID of a table there that has rows, with the number of that table's file. A place is
// a placement of a shard, or Here. A place alone, with nothing behind the slash, says
// that the placement is there: 1 if the files in it were looked at, 0 if not.
type Files map[string]uint32

// Here is the place of the table that the target's name means on the server itself.
const Here = "0"

// Add notes the file of a table at a place.
func (f Files) Add(place string, table, file uint32) { f[fmt.Sprintf("%s/%d", place, table)] = file }

// Place notes that a placement is there.
func (f Files) Place(place string, looked bool) {
	if looked || f[place+"/"] == 0 {
		f[place+"/"] = map[bool]uint32{true: 1}[looked]
	}
}

// Within reports whether all placements of f are among these.
func (f Files) Within(places []string) bool {
	for key := range f {
		if place, _, _ := strings.Cut(key, "/"); place != Here && !slices.Contains(places, place) {
			return false
		}
	}
	return true
}

// Change says what has become of f.
type Change int

// What may have become of it.
const (
	Same      Change = iota
	Moved            // rows that a place of f had are elsewhere: a shard was moved or split
	Rewritten        // a table has another file, or is gone: it may have been emptied
)

// Changed compares f with what is there now. A table that has come meanwhile is no
// change: a new partition has none of the rows. Where the files of a place were not
// looked at, now or then, they are taken for the same.
func (f Files) Changed(now Files) Change {
	change := Same
	for key, file := range f {
		place, table, _ := strings.Cut(key, "/")
		looked, there := now[place+"/"]
		switch is, same := now[key]; {
		case place != Here && !there:
			change = max(change, Moved)
		case table == "" || place != Here && looked == 0:
		case !same || is != file:
			return Rewritten
		}
	}
	return change
}

// SetFiles notes j.FileNode and j.Files: where the rows of the job are now.
func SetFiles(ctx context.Context, conn *pgx.Conn, t Target, j *Job) error {
	record, err := j.record()
	if err == nil {
		err = guarded(ctx, conn, guardJobs(t, writing), "COMMIT", func() error {
			_, err := conn.Exec(ctx, `UPDATE `+t.Jobs()+` SET file_node = $2::pg_catalog.oid, fingerprint = $3::pg_catalog.text::pg_catalog.jsonb WHERE id = $1::pg_catalog.text`, j.ID, j.FileNode, record)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("note the table's files: %w", err)
	}
	return nil
}
