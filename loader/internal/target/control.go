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
}

// NewControl makes the first connection. It waits for a server that starts.
func NewControl(ctx context.Context, cfg *pgx.ConnConfig, watch server.Watch, log *slog.Logger, limit time.Duration) (*Control, error) {
	c := &Control{Cfg: cfg, Watch: watch, Log: log, Limit: limit, Spare: func() {}}
	p := Patience{Limit: limit}
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
	p := Patience{Limit: c.Limit}
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

// Close ends the connection.
func (c *Control) Close() { server.CloseSoon(c.Conn.PgConn()) }
