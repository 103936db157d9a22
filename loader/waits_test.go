package loader_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"shardload/internal/pgtest"
	"shardload/loader"
	waits "shardload/loader/waiting"
)

// awaitWait waits until what a load waits for is called so, or it waits for nothing if want is
// empty.
func awaitWait(t *testing.T, of *waits.Waits, want string) waits.Wait {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		w, ok := of.Now()
		if ok == (want != "") && strings.Contains(w.For, want) {
			return w
		}
		if time.Now().After(deadline) {
			t.Fatalf("it waits for %q (%v), want %q", w.For, ok, want)
		}
	}
}

// A load that waits for a lock says for which one and who has it, and whom it lets go first;
// afterwards it waits for nothing.
func TestWaitsForLock(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		path, rows := flowFile(t, 2000)
		cfg := pieces(t, dsn).WithAnswerDelay(20 * time.Millisecond)
		cfg.Waits = new(waits.Waits)
		l := open(t, cfg)
		holder := pgtestConn(t, dsn)
		exec(t, holder, "BEGIN; LOCK TABLE flowing IN ACCESS EXCLUSIVE MODE")
		done := make(chan error, 1)
		go func() {
			_, err := l.Load(t.Context(), loader.File(path))
			done <- err
		}()
		w := awaitWait(t, cfg.Waits, fmt.Sprintf("flowing that process %d of ", holder.PgConn().PID()))
		if w.Since.IsZero() || !w.Next.IsZero() {
			t.Errorf("since %s, next try at %s; it is not tried again", w.Since, w.Next)
		}
		exec(t, holder, "COMMIT")
		if err := receiveIn(t, "the end of the load", done); err != nil {
			t.Error(err)
		}
		awaitWait(t, cfg.Waits, "")
		sameRows(t, conn, "flowing", rows)
	})
}
