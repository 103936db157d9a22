package loader_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"shardload/internal/pgtest"
	"shardload/loader"
)

func TestStages(t *testing.T) {
	t.Parallel()
	var in strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&in, "%d,%s\n", i, strings.Repeat("x", 100))
	}
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, "CREATE TABLE events (id int PRIMARY KEY, v text)")
		if strings.Contains(t.Name(), "citus") {
			exec(t, conn, "SELECT create_distributed_table('events', 'id', colocate_with => 'none')")
		}
		for _, tc := range []struct {
			stage loader.Stage
			csv   bool
			rows  int64
		}{{loader.StageAll, false, 20_000}, {loader.StageAll, true, 20_000}, {loader.StageDecode, false, 0}, {loader.StageStore, false, 20_000}} {
			exec(t, conn, "TRUNCATE events")
			rec := &recorder{}
			l := open(t, loader.Config{Conn: parse(t, dsn), Table: "events", Batch: 64 << 10, Stage: tc.stage, SendCSV: tc.csv, Observe: rec.add})
			slow := &lastRead{Reader: strings.NewReader(in.String())}
			if _, err := l.Load(context.Background(), loader.Reader("events.csv", slow)); err != nil {
				t.Fatalf("stage %q: %v", tc.stage, err)
			}
			if rec.rows != tc.rows {
				t.Errorf("stage %q: the observer heard of %d rows, want %d", tc.stage, rec.rows, tc.rows)
			}
			text := int64(in.Len() - 20_000) // without its line breaks
			if got := rec.bytes == text; tc.rows > 0 && got != tc.csv {
				t.Errorf("stage %q, CSV %t: %d bytes were sent, and the input has %d", tc.stage, tc.csv, rec.bytes, text)
			}
			if tc.stage == loader.StageStore && rec.first.Before(slow.at) {
				t.Error("a batch was stored before the input was read")
			}
			if got := query(t, conn, "SELECT count(*) FROM events")[0]; got != fmt.Sprint(tc.rows) {
				t.Errorf("stage %q: the table holds %s rows, want %d", tc.stage, got, tc.rows)
			}
		}
	})
}

// What does not fit into the memory is refused, and does not wait for ever.
func TestStageStoreNeedsMemory(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	exec(t, pgtest.Connect(t, dsn), "CREATE TABLE events (id int, v text)")
	l := open(t, loader.Config{Conn: parse(t, dsn), Table: "events", Stage: loader.StageStore, Memory: 8 << 20, MaxRecord: 1 << 20})
	in := strings.Repeat("1,"+strings.Repeat("x", 1000)+"\n", 20_000)
	_, err := l.Load(context.Background(), loader.Reader("events.csv", strings.NewReader(in)))
	if err == nil || !strings.Contains(err.Error(), "does not fit into the memory") {
		t.Errorf("load: %v", err)
	}
}

// A recorder is an observer that sums up.
type recorder struct {
	mu    sync.Mutex
	rows  int64
	bytes int64
	first time.Time

	rejected int64
}

func (r *recorder) add(b loader.StoredBatch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows += b.Rows
	r.bytes += b.Bytes
	r.rejected += b.Rejected
	if r.first.IsZero() || b.Started.Before(r.first) {
		r.first = b.Started
	}
}

// A lastRead knows when something was read last.
type lastRead struct {
	*strings.Reader
	at time.Time
}

func (r *lastRead) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.at = time.Now()
	}
	return n, err
}
