package loader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/citus"
)

// A node is a server to which streams connect. The first of a Loader's nodes is
// the one that its Config names: the coordinator, or the plain server.
type node struct {
	index    int
	group    int32
	at       atomic.Pointer[where]
	identity string // as the coordinator had it when it was last asked; guarded by mu
	// whoIs returns what the server at an address in pg_dist_node answers to Identity
	// when the coordinator asks. It is nil for the first node.
	whoIs    func(ctx context.Context, address string) (string, error)
	patience patience

	mu   sync.Mutex
	idle []*pgconn.PgConn
	live int  // connections that streams have
	full bool // it has had no more of them
}

// A where is where a node is: another server takes its place when it fails over.
type where struct {
	name    string // for messages
	address string // in pg_dist_node; "" for the first node
	config  *pgconn.Config
}

// name returns what messages call the node.
func (n *node) name() string { return n.at.Load().name }

// move makes the node another server.
func (n *node) move(to *where) {
	n.at.Store(to)
	n.close()
}

// acquire returns a connection for a stream, which must release it. It returns
// nil if the server has no more of them and other streams go on.
func (n *node) acquire(ctx context.Context, log *slog.Logger) (*pgconn.PgConn, error) {
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
	conn, err := n.connect(ctx)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "53300" && n.live > 0 {
		n.full = true
		log.Warn("a server has no more connections; going on with fewer streams", "server", n.name(), "streams", n.live)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.name(), err)
	}
	n.live++
	return conn, nil
}

// release takes a stream's connection back for the next load, unless others wait for
// one: the coordinator needs one itself to end the job.
func (n *node) release(conn *pgconn.PgConn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.live--
	if !conn.IsClosed() && conn.TxStatus() == 'I' && !n.full {
		n.idle = append(n.idle, conn)
		return
	}
	closeSoon(conn)
}

// drop closes a stream's connection, of which nobody knows what it would still do.
func (n *node) drop(conn *pgconn.PgConn) {
	n.mu.Lock()
	n.live--
	n.mu.Unlock()
	closeSoon(conn)
}

// close closes the connections that no stream has.
func (n *node) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, conn := range n.idle {
		closeSoon(conn)
	}
	n.idle = nil
}

// connect makes one more connection and makes sure that it leads to the node.
func (n *node) connect(ctx context.Context) (*pgconn.PgConn, error) {
	conn, err := pgconn.ConnectConfig(ctx, n.at.Load().config)
	if err != nil || n.whoIs == nil {
		return conn, err
	}
	if err := n.check(ctx, conn); err != nil {
		closeSoon(conn)
		return nil, err
	}
	return conn, nil
}

// check makes sure that conn leads to the node. A server that was restarted is
// another one until the coordinator has been asked again.
func (n *node) check(ctx context.Context, conn *pgconn.PgConn) error {
	id, err := citus.Identity(ctx, conn)
	if err != nil || id == n.identity {
		return err
	}
	if n.identity, err = n.whoIs(ctx, n.at.Load().address); err != nil || id == n.identity {
		return err
	}
	return errors.New("another server answers there than the coordinator's node of that name; translate the address with --node-map")
}

// closeSoon closes conn without waiting long for a server that does not answer.
func closeSoon(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	_ = conn.Close(ctx) // nothing is open on it that the server would keep
}

// nodeConfig returns how to connect to a node: as to the coordinator, at another
// address.
func nodeConfig(coordinator *pgconn.Config, host string, port uint16) *pgconn.Config {
	c := coordinator.Copy()
	first := net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
	c.Host, c.Port = host, port
	if c.TLSConfig != nil && c.TLSConfig.ServerName != "" {
		c.TLSConfig.ServerName = host
	}
	// The fallbacks of the same server are its other ways of encryption; those of
	// other servers are other coordinators.
	var fallbacks []*pgconn.FallbackConfig
	for _, f := range c.Fallbacks {
		if net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))) != first {
			continue
		}
		f.Host, f.Port = host, port
		if f.TLSConfig != nil && f.TLSConfig.ServerName != "" {
			f.TLSConfig.ServerName = host
		}
		fallbacks = append(fallbacks, f)
	}
	c.Fallbacks = fallbacks
	c.ValidateConnect = nil // a target_session_attrs means the coordinator
	return c
}

// follow looks whether another server has taken the place of n.
func (l *Loader) follow(ctx context.Context, n *node) error {
	if n.index == 0 {
		return nil
	}
	var nodes []citus.Node
	err := l.onControl(ctx, func(conn *pgx.Conn) (err error) {
		nodes, err = citus.Nodes(ctx, conn)
		return err
	})
	if err != nil {
		return err
	}
	for _, now := range nodes {
		if now.Group != n.group || now.Role != "primary" || now.Address() == n.at.Load().address {
			continue
		}
		to, err := l.whereIs(now)
		if err != nil {
			return err
		}
		l.cfg.Log.Info("another server has taken the place of a node", "was", n.name(), "is", to.name)
		n.move(to)
	}
	return nil
}

// whereIs returns where a node of the cluster is.
func (l *Loader) whereIs(n citus.Node) (*where, error) {
	host, port, err := l.address(n)
	if err != nil {
		return nil, err
	}
	return &where{name: "node " + n.Address(), address: n.Address(), config: keepWarnings(nodeConfig(&l.cfg.Conn.Config, host, port))}, nil
}

// address returns where the node can be reached from here.
func (l *Loader) address(n citus.Node) (host string, port uint16, err error) {
	name := net.JoinHostPort(n.Name, strconv.Itoa(int(n.Port)))
	to, ok := l.cfg.NodeMap[name]
	if !ok {
		return n.Name, uint16(n.Port), nil
	}
	host, text, err := net.SplitHostPort(to)
	if err != nil {
		return "", 0, fmt.Errorf("the node map has %q for %s: %w", to, name, err)
	}
	p, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("the node map has %q for %s: port %q is no number", to, name, text)
	}
	return host, uint16(p), nil
}
