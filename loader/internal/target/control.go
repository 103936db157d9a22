package target

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/fault"
	"shardload/internal/server"
)

// A Control is the connection to the coordinator, or the plain server, for everything but
// rows, and how failing servers are waited for.
type Control struct {
	Cfg   *pgx.ConnConfig
	Link  server.Link // to the server
	Watch server.Watch
	Log   *slog.Logger
	Limit time.Duration // for which a server may fail
	Spare func()        // closes connections that are kept for later: they may be the server's last

	mu   sync.Mutex // while a load runs
	Conn *pgx.Conn

	ahead *ahead // nil for none
}

// NewControl makes the first connection. It waits for a server that starts.
func NewControl(ctx context.Context, cfg *pgx.ConnConfig, watch server.Watch, log *slog.Logger, limit time.Duration) (*Control, error) {
	c := &Control{Cfg: cfg, Watch: watch, Log: log, Limit: limit, Spare: func() {}}
	p := Patience{Limit: limit, Waits: watch.Waits}
	defer p.End()
	for {
		var err error
		if c.Conn, err = openControl(ctx, cfg, watch); err == nil {
			p.Succeed(log)
			c.Link = server.LinkOf(c.Conn.PgConn())
			c.Cfg = c.Link.Keep(cfg)
			return c, nil
		}
		if ctx.Err() != nil || !server.Starting(err) {
			return nil, err
		}
		if err := p.Wait(ctx, log, err); err != nil {
			return nil, err
		}
	}
}

// Reconnect makes the connection anew if it was lost.
func (c *Control) Reconnect(ctx context.Context) error {
	if !c.Conn.IsClosed() {
		return nil
	}
	conn, err := c.Connect(ctx)
	if err == nil {
		c.Conn = conn
	}
	return err
}

// Connect returns another such connection.
func (c *Control) Connect(ctx context.Context) (*pgx.Conn, error) {
	return openControl(ctx, c.Cfg, c.Watch)
}

// MakeAhead begins to make the connection that TakeAhead returns, for what comes next. It
// must not be called while another goroutine takes it.
func (c *Control) MakeAhead(ctx context.Context) {
	c.CloseAhead()
	ctx, cancel := context.WithCancel(ctx)
	a := &ahead{cancel: cancel}
	a.making.Go(func() {
		if conn, err := c.Connect(ctx); err == nil { // else who takes it tries again
			a.conn = conn
		}
	})
	c.ahead = a
}

// An ahead is a connection that is made before it is asked for.
type ahead struct {
	making sync.WaitGroup
	cancel context.CancelFunc
	conn   *pgx.Conn // once it is made; nil if that failed
}

// TakeAhead returns a connection as Connect does: the one that was made ahead, if there is one.
func (c *Control) TakeAhead(ctx context.Context) (*pgx.Conn, error) {
	if a := c.ahead; a != nil {
		c.ahead = nil
		stop := context.AfterFunc(ctx, a.cancel) // it was begun under another context
		a.making.Wait()
		stop()
		a.cancel()
		if a.conn != nil && !a.conn.IsClosed() {
			return a.conn, nil
		}
	}
	return c.Connect(ctx)
}

// CloseAhead closes the connection that was made ahead.
func (c *Control) CloseAhead() {
	if a := c.ahead; a != nil {
		c.ahead = nil
		a.cancel()
		a.making.Wait()
		if a.conn != nil {
			server.CloseSoon(a.conn.PgConn())
		}
	}
}

// OnControl calls fn with the connection, made anew if it was lost, until fn succeeds or
// fails for good.
func (c *Control) OnControl(ctx context.Context, fn func(*pgx.Conn) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Persist(ctx, func() error {
		if err := c.Reconnect(ctx); err != nil {
			return err
		}
		return fn(c.Conn)
	})
}

// Persist calls fn until it succeeds, fails for good, or has failed for too long.
func (c *Control) Persist(ctx context.Context, fn func() error) error {
	p := Patience{Limit: c.Limit, Waits: c.Watch.Waits}
	defer p.End()
	for {
		err := fn()
		if err == nil {
			p.Succeed(c.Log)
		}
		if err == nil || ctx.Err() != nil || !fault.Passes(err) {
			return err
		}
		c.Spare()
		if err := p.Wait(ctx, c.Log, err); err != nil {
			return err
		}
	}
}

// Close ends the connections.
func (c *Control) Close() {
	c.CloseAhead()
	server.CloseSoon(c.Conn.PgConn())
}
