package route

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/server"
	"shardload/loader/internal/target"
)

// A Node is a server to which streams connect. The first of a Loader's nodes is
// the one that its Config names: the coordinator, or the plain server.
type Node struct {
	Index    int
	group    int32
	at       atomic.Pointer[where]
	identity string // as the coordinator had it when it was last asked; guarded by mu
	// whoIs returns what the server at an address in pg_dist_node answers to citus.IdentitySQL
	// when the coordinator asks. It is nil for the first node.
	whoIs    func(ctx context.Context, address string) (string, error)
	watch    server.Watch // of its connections
	Patience target.Patience

	mu   sync.Mutex
	idle []*pgconn.PgConn
	live int  // connections that streams have
	full bool // it has had no more of them
}

// A where is where a node is: another server takes its place when it fails over.
type where struct {
	name    string // for messages
	address string // in pg_dist_node; "" for the first node
	target  *server.Target
}

// Name returns what messages call the node.
func (n *Node) Name() string { return n.at.Load().name }

// move makes the node another server.
func (n *Node) move(to *where) {
	n.at.Store(to)
	n.close()
}

// Acquire returns a connection for a stream, which must release it. It returns
// nil if the server has no more of them and other streams go on.
func (n *Node) Acquire(ctx context.Context, log *slog.Logger) (*pgconn.PgConn, error) {
	n.mu.Lock() // held while connecting, so that live is true when it fails
	defer n.mu.Unlock()
	for len(n.idle) > 0 {
		conn := n.idle[len(n.idle)-1]
		n.idle = n.idle[:len(n.idle)-1]
		if !conn.IsClosed() {
			n.live++
			return conn, nil
		}
	}
	conn, err := n.Connect(ctx)
	if fault.Is(err, fault.TooManyConnections) && n.live > 0 {
		n.full = true
		log.Warn("a server has no more connections; going on with fewer streams", "server", n.Name(), "streams", n.live)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Name(), err)
	}
	n.live++
	return conn, nil
}

// Release takes a stream's connection back for the next load, unless others wait for
// one: the coordinator needs one itself to end the job.
func (n *Node) Release(conn *pgconn.PgConn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.live--
	if !conn.IsClosed() && conn.TxStatus() == 'I' && !n.full {
		n.idle = append(n.idle, conn)
		return
	}
	server.CloseSoon(conn)
}

// Drop closes a stream's connection, of which nobody knows what it would still do.
func (n *Node) Drop(conn *pgconn.PgConn) {
	n.mu.Lock()
	n.live--
	n.mu.Unlock()
	server.CloseSoon(conn)
}

// close closes the connections that no stream has.
func (n *Node) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, conn := range n.idle {
		server.CloseSoon(conn)
	}
	n.idle = nil
}

// Connect makes one more connection and makes sure that it leads to the node.
func (n *Node) Connect(ctx context.Context) (*pgconn.PgConn, error) {
	query := ""
	if n.whoIs != nil {
		query = citus.IdentitySQL
	}
	conn, answer, err := n.at.Load().target.ConnectAsking(ctx, query)
	if err != nil {
		return nil, err
	}
	n.watch.Set(conn)
	if n.whoIs == nil {
		return conn, nil
	}
	if err := n.check(ctx, answer); err != nil {
		server.CloseSoon(conn)
		return nil, err
	}
	return conn, nil
}

// check makes sure that the answer to citus.IdentitySQL is the node's. A server that was
// restarted is another one until the coordinator has been asked again.
func (n *Node) check(ctx context.Context, answer *pgconn.Result) error {
	id, err := citus.Identity(answer)
	if err != nil || id == n.identity {
		return err
	}
	if n.identity, err = n.whoIs(ctx, n.at.Load().address); err != nil || id == n.identity {
		return err
	}
	return fault.Advise(errors.New("another server answers there than the coordinator's node of that name"), "translate the address with Config.NodeMap")
}

// ask runs a query on one of the node's connections, in a transaction of ours. The query is
// about this node alone.
func (n *Node) ask(ctx context.Context, sql string) (answer *pgconn.Result, err error) {
	err = n.With(ctx, func(conn *pgconn.PgConn) error {
		results, err := conn.Exec(ctx, server.Begin(conn, server.Read)+sql+"; ROLLBACK").ReadAll()
		if err == nil {
			answer = results[len(results)-2]
		}
		return err
	})
	return answer, err
}

// HasRows reports whether the table of t has a row. It asks the coordinator, which n is, on a
// connection that a stream takes afterwards with those which Citus has made to the nodes.
func (n *Node) HasRows(ctx context.Context, t *target.Target) (has bool, err error) {
	err = n.With(ctx, func(conn *pgconn.PgConn) error {
		has, err = t.HasRows(ctx, conn)
		return err
	})
	return has, err
}

// With calls fn with one of the node's connections, and ends the transaction that fn has left
// open because it failed.
func (n *Node) With(ctx context.Context, fn func(*pgconn.PgConn) error) error {
	conn, err := n.Acquire(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if conn == nil {
		return fmt.Errorf("%s has no connection left", n.Name())
	}
	defer n.Release(conn)
	err = fn(conn)
	if err != nil && !conn.IsClosed() && conn.TxStatus() != 'I' {
		err = errors.Join(err, server.Exec(ctx, conn, "ROLLBACK"))
	}
	return err
}

// Where returns the node's address: the cluster's name for it where it has one.
func (n *Node) Where() string {
	at := n.at.Load()
	return cmp.Or(at.address, at.target.Address)
}
