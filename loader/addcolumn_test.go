package loader_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestColumnAddedBetween holds that a load of records without a header does not go on into a
// table that has more columns than it began with: each of the rest would be a bad record, and
// none may be rejected for that.
func TestColumnAddedBetween(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	exec(t, conn, "CREATE TABLE growing (a int, b int, c text)")
	var in bytes.Buffer
	for i := range 60_000 {
		fmt.Fprintf(&in, "%d,%d,text\n", i, i)
	}
	path := writeInput(t, in.Bytes())
	cfg := loader.Config{Conn: parse(t, dsn), Table: "growing", Header: loader.HeaderNo, Batch: 16 << 10, Memory: 8 << 20, MaxRecord: 1 << 20}
	if _, err := run(t, cfg, loader.File(path), 2); err == nil {
		t.Fatal("it was not interrupted")
	}
	exec(t, conn, "ALTER TABLE growing ADD COLUMN d int")
	cfg.MaxErrors, cfg.RejectsDir = loader.ErrorLimit{Records: 100_000}, t.TempDir()
	res, err := run(t, cfg, loader.File(path), 0)
	job, ok := errors.AsType[*loader.JobError](err)
	if !ok || res.Rejected > 0 || !strings.Contains(job.Error(), "column") {
		t.Errorf("%d rejected, error %v", res.Rejected, err)
	}
	exec(t, conn, "ALTER TABLE growing DROP COLUMN d")
	if _, err = run(t, cfg, loader.File(path), 0); err != nil {
		t.Errorf("as it was: %v", err)
	}
	if got := pgtest.Query(t, conn, "SELECT count(*), count(DISTINCT a) FROM growing"); got[0] != "60000|60000" {
		t.Errorf("the table has %v", got)
	}
}
