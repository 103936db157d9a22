package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/fault"
	"shardload/loader/waiting"
)

// ErrNoAnswer says that a server's answer will not come: it was lost on the way, and the
// connection was not. What the statement has done is in doubt.
var ErrNoAnswer = errors.New("the server does not answer, and the connection stays open")

// A Watch says what is done about a server that does not answer. A statement may
// rightly take long, as one that waits for a lock. So the server is asked on another
// connection what it is doing:
//
//   - As long as it works, or waits for a lock, the statement goes on, and the log says
//     so from time to time: of a lock, as a warning, and who has it.
//   - If it has answered, the answer was lost: the connection is closed.
//   - If nothing is heard of the statement for as long as Limit, it is closed, too.
//
// The statement then fails with ErrNoAnswer, as an error that passes.
type Watch struct {
	Log   *slog.Logger   // nil for none
	Waits *waiting.Waits // gets the locks that are waited for; nil for none
	Limit time.Duration  // at least twice Delay
	Delay time.Duration  // how long nothing must be heard before the server is asked; 0 for fault.Silence
}

// Set makes w the watch of a connection. Each has one from the beginning, which lasts
// as long as servers that fail are tried and has no log.
func (w Watch) Set(pg *pgconn.PgConn) {
	if g := under(pg); g != nil {
		if old := g.watch.Load(); old != nil {
			g.watchBy(&watcher{Watch: w, g: g, cfg: old.cfg, pid: old.pid})
		}
	}
}

// watched puts a new connection, which was made as cfg says, under the usual watch.
func watched(pg *pgconn.PgConn, cfg *pgconn.Config) {
	if g := under(pg); g != nil {
		g.watchBy(&watcher{Watch: Watch{Limit: fault.RetryFor}, g: g, cfg: cfg, pid: pg.PID()})
	}
}

// under returns the guarded connection that pg uses.
func under(pg *pgconn.PgConn) *guarded {
	conn := pg.Conn()
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	g, _ := conn.(*guarded)
	return g
}

// A watcher watches one connection.
type watcher struct {
	Watch
	g   *guarded
	cfg *pgconn.Config // to ask with
	pid uint32         // of the backend, as the connection was told

	mu    sync.Mutex // guards timer and over
	timer *time.Timer
	over  bool

	// Of the present silence:
	since    int64         // when something last went through
	answered int           // how often in a row the server said that it has answered
	unheard  time.Time     // since when nothing is heard of the statement, zero if something was
	told     time.Time     // when the log was last told
	pause    time.Duration // before the server is asked again
	waits    func()        // ends what is shown of the wait for a lock
}

// watchBy makes w the watcher.
func (g *guarded) watchBy(w *watcher) {
	if w.Delay <= 0 {
		w.Delay = fault.Silence
	}
	w.Limit, w.pause = max(w.Limit, 2*w.Delay), w.Delay
	if old := g.watch.Swap(w); old != nil {
		old.stop()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(w.Delay, w.look)
}

// stop ends the watch.
func (w *watcher) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	w.timer.Stop()
}

// again lets w look once more after d.
func (w *watcher) again(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.timer.Reset(d)
	}
}

// look asks the server what became of a statement if nothing was heard of it for long.
func (w *watcher) look() {
	moved := w.g.moved.Load()
	silent := time.Since(time.Unix(0, moved))
	if w.g.busy.Load() == 0 || silent < w.Delay {
		w.again(w.Delay)
		return
	}
	if moved != w.since {
		w.since, w.answered, w.unheard, w.pause = moved, 0, time.Time{}, w.Delay
	}
	s := w.ask()
	if moved != w.g.moved.Load() {
		w.again(w.Delay)
		return
	}
	w.show(s, moved)
	if w.judge(s) {
		w.say(slog.LevelWarn, "the answer of a server was lost; closing the connection")
		w.g.giveUp()
		return
	}
	w.again(w.pause)
}

// judge reports whether the answer will not come.
func (w *watcher) judge(s status) bool {
	switch {
	case s.works:
		w.answered, w.unheard = 0, time.Time{}
		w.pause = min(2*w.pause, max(w.Delay, fault.Reminder))
		if time.Since(w.told) > fault.Reminder {
			w.told = time.Now()
			w.tellWork(s)
		}
		return false
	case s.answered:
		w.answered++
	}
	w.pause = w.Delay
	if w.unheard.IsZero() {
		w.unheard = time.Now()
		if !s.answered {
			w.told = time.Now()
			w.say(slog.LevelInfo, "nothing is heard of a server", "giving up in", w.Limit)
		}
	}
	return w.answered >= fault.AnswerLosses || time.Since(w.unheard) >= w.Limit
}

// show shows the lock that the statement waits for, if it does, as long as nothing else is
// heard of it.
func (w *watcher) show(s status, moved int64) {
	if w.waits != nil {
		w.waits()
	}
	w.waits = nil
	if s.works && s.locked {
		still := func() bool { return w.g.busy.Load() > 0 && w.g.moved.Load() == moved }
		w.waits = w.Waits.BeginWhile(waiting.Wait{For: s.lock(), Since: time.Unix(0, moved)}, still)
	}
}

// lock says for which lock the statement waits.
func (s *status) lock() string {
	on := ""
	if s.relation != "" {
		on = " on " + s.relation
	}
	return "a lock" + on + " that " + DescribeHolders(s.holders)
}

// tellWork tells what a server does that is at work.
func (w *watcher) tellWork(s status) {
	if !s.locked {
		w.say(slog.LevelInfo, "a server is still at work on a statement", "waits for", s.waits)
		return
	}
	w.say(slog.LevelWarn, "waiting for "+s.lock())
}

func (w *watcher) say(level slog.Level, what string, more ...any) {
	if w.Log != nil {
		w.Log.Log(context.Background(), level, what, append([]any{"server", w.g.RemoteAddr().String()}, more...)...)
	}
}

// A status is what a server says of a statement.
type status struct {
	works    bool
	waits    string // for what
	locked   bool   // it waits for a lock
	relation string // of what, "" if that is not known
	holders  []Holder
	answered bool
}

// ask asks the server of the connection. If the server waits for us it is to end the
// session, which may hold locks: its client is gone in a moment.
func (w *watcher) ask() (s status) {
	ctx, cancel := context.WithTimeout(context.Background(), fault.ReachTimeout)
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, w.askConfig())
	if err != nil {
		return s
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), fault.CloseGrace)
		defer cancel()
		_ = conn.Close(ctx) // it was only asked
	}()
	results, err := conn.Exec(ctx, Begin(conn, Read)+statusSQL(w.pid)+"; ROLLBACK").ReadAll()
	if err != nil || len(results) < 2 || len(results[len(results)-2].Rows) != 1 {
		return s
	}
	row := results[len(results)-2].Rows[0]
	if string(row[0]) != strconv.FormatUint(uint64(conn.PID()), 10) {
		// A pooler is between, which tells of no backend which one it is.
		return status{works: string(row[3]) == "t", waits: "a pooler"}
	}
	state := string(row[1])
	s.waits = string(row[2])
	s.works = state == "active" && s.waits != "ClientRead"
	if s.locked = string(row[4]) == "Lock"; s.locked {
		s.relation, s.holders = w.askHolders(ctx, conn)
	}
	s.answered = state == "idle" || state == "idle in transaction" || state == "idle in transaction (aborted)"
	if s.answered && w.answered+1 >= fault.AnswerLosses && state != "idle" {
		_ = Exec(ctx, conn, "SELECT pg_catalog.pg_terminate_backend("+strconv.FormatUint(uint64(w.pid), 10)+")")
	}
	return s
}

// askHolders returns who has the lock that the statement waits for, and the table it is of,
// as far as that is known.
func (w *watcher) askHolders(ctx context.Context, conn *pgconn.PgConn) (relation string, holders []Holder) {
	results, err := conn.Exec(ctx, Begin(conn, Read)+fmt.Sprintf(`SELECT b.pid, coalesce(a.usename::pg_catalog.text, ''), coalesce(a.application_name, ''),
		coalesce((SELECT l.relation::pg_catalog.regclass::pg_catalog.text FROM pg_catalog.pg_locks l
			WHERE l.pid = %[1]d AND NOT l.granted AND l.relation IS NOT NULL LIMIT 1), '')
		FROM (SELECT DISTINCT pid FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids(%[1]d)) AS u(pid)) AS b
		LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid ORDER BY 1; ROLLBACK`, w.pid)).ReadAll()
	if err != nil || len(results) < 2 {
		return "", nil
	}
	for _, row := range results[len(results)-2].Rows {
		pid, _ := strconv.ParseInt(string(row[0]), 10, 32) // the server's number
		holders, relation = append(holders, Holder{PID: int32(pid), User: string(row[1]), Application: string(row[2])}), string(row[3])
	}
	return relation, holders
}

// statusSQL returns the query for the asker's own backend, the state of another one,
// what that waits for, whether any other of our connections is at work, and the kind of what
// it waits for.
func statusSQL(pid uint32) string {
	const others = `EXISTS (SELECT FROM pg_catalog.pg_stat_activity o WHERE o.usename = current_user AND o.datname = pg_catalog.current_database()
		AND o.application_name = pg_catalog.current_setting('application_name') AND o.state = 'active'
		AND coalesce(o.wait_event, '') <> 'ClientRead' AND o.pid <> pg_catalog.pg_backend_pid())`
	return "SELECT pg_catalog.pg_backend_pid(), coalesce(a.state, ''), coalesce(a.wait_event, ''), " + others + `, coalesce(a.wait_event_type, '')
		FROM (VALUES (1)) AS one LEFT JOIN pg_catalog.pg_stat_activity a ON a.usename = current_user AND a.pid = ` + strconv.FormatUint(uint64(pid), 10)
}

// askConfig returns how to reach the very server that the connection leads to.
func (w *watcher) askConfig() *pgconn.Config {
	c := w.cfg.Copy()
	c.ValidateConnect, c.AfterConnect, c.OnNotice = nil, nil, nil
	c.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	dial, at := c.DialFunc, w.g.RemoteAddr()
	c.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, at.Network(), at.String()) }
	return c
}

// giveUp closes a connection whose server does not answer.
func (g *guarded) giveUp() {
	g.lost.Store(true)
	_ = g.Close()
}

// begin and end enclose a Read or a Write.
func (g *guarded) begin() {
	if g.busy.Add(1) == 1 {
		g.moved.Store(time.Now().UnixNano())
	}
}

func (g *guarded) end(err error) error {
	g.busy.Add(-1)
	if err == nil {
		g.moved.Store(time.Now().UnixNano())
	} else if g.lost.Load() {
		return &fault.PassingError{Err: ErrNoAnswer}
	}
	return err
}

// Close ends the connection and its watch.
func (g *guarded) Close() error {
	if w := g.watch.Load(); w != nil {
		w.stop()
	}
	return g.Conn.Close()
}

// A traced is what of a connection is watched.
type traced struct {
	busy  atomic.Int32 // Reads and Writes under way
	moved atomic.Int64 // when one last ended well, or began with none under way
	lost  atomic.Bool  // it was given up
	watch atomic.Pointer[watcher]
}

// openWatched connects as cfg says.
func openWatched(ctx context.Context, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	var conn *pgx.Conn
	_, _, err := staying(ctx, "", func() (*pgconn.PgConn, error) {
		made, err := pgx.ConnectConfig(ctx, cfg)
		if err != nil {
			return nil, err
		}
		conn = made
		watched(conn.PgConn(), &cfg.Config)
		return conn.PgConn(), nil
	})
	if err != nil {
		return nil, err
	}
	return conn, nil
}
