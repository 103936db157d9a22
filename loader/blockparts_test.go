package loader_test

import (
	"fmt"
	"sync"
	"testing"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestGeneratedByMany holds that what is made is loaded by several Loaders at once, each block once, and
// that each of them says so only when all of it is stored.
func TestGeneratedByMany(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		var blocks flowBlocks
		f := newFlow(0)
		for range 70 {
			blocks = append(blocks, append(f.more(), f.more()...))
		}
		cfg := pieces(t, dsn)
		var all sync.WaitGroup
		seen := make([]string, 3)
		for i := range seen {
			l := open(t, cfg)
			all.Go(func() {
				res, err := l.Load(t.Context(), loader.BlockParts("made", blocks))
				if err != nil && !isComplete(err) {
					t.Error(err)
				}
				seen[i] = fmt.Sprint(res.Rows)
			})
		}
		all.Wait()
		t.Log(seen)
		sameRows(t, conn, "flowing", f.rows)
		if got := query(t, conn, "SELECT count(*), sum(rows) FROM shardload_parts")[0]; got != fmt.Sprintf("5|%d", f.rows) {
			t.Errorf("parts|rows: %s, want 5|%d", got, f.rows)
		}
	})
}
