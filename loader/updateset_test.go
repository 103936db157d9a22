package loader_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestUpdateByMany holds that of records with one key in several files the last file's is the one that stays, by its name,
// however many processes load them, and whatever the order of its columns; and that all of them end well.
func TestUpdateByMany(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, "CREATE TABLE flowing (id int PRIMARY KEY, n int)")
		distribute(t, conn, "flowing", "id")
		s := &shelf{t: t, conn: conn, cfg: pieces(t, dsn), dir: t.TempDir()}
		s.cfg.Job, s.cfg.OnConflict = "", loader.ConflictUpdate
		var names []string
		for f := range 8 {
			var text strings.Builder
			text.WriteString([]string{"id,n\n", "n,id\n"}[f%2])
			for id := range 2000 {
				a, b := id, f
				if f%2 == 1 {
					a, b = f, id
				}
				fmt.Fprintf(&text, "%d,%d\n", a, b)
			}
			names = append(names, fmt.Sprintf("%d.csv", f))
			s.write(names[f], text.String())
		}
		in := s.set(names[:7]...)
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				if _, err := run2(s.cfg, in); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := query(t, conn, "SELECT n, count(*) FROM flowing GROUP BY n")[0]; got != "6|2000" {
			t.Errorf("n|rows %s, want those of the last file", got)
		}
		s.load(s.set(names...), 7, 1)
		if got := query(t, conn, "SELECT n, count(*) FROM flowing GROUP BY n")[0]; got != "7|2000" {
			t.Errorf("n|rows %s, want those of the new file", got)
		}
	})
}
