package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgpassfile"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/fault"
)

// A Target is a server and the ways to connect to it, for streams of rows.
type Target struct {
	configs []*pgconn.Config // are tried one after the other
	Address string           // host:port, for messages
}

// To returns the server that cfg itself names.
func To(cfg *pgx.ConnConfig) (*Target, error) {
	c, err := prepared(cfg)
	if err != nil {
		return nil, err
	}
	return newTarget(&c.Config), nil
}

func newTarget(configs ...*pgconn.Config) *Target {
	c := configs[0]
	return &Target{configs: configs, Address: net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))}
}

// OnNotice calls fn with each notice of connections that are made from now on.
func (t *Target) OnNotice(fn func(*pgconn.PgConn, *pgconn.Notice)) {
	for _, c := range t.configs {
		before := c.OnNotice
		c.OnNotice = func(conn *pgconn.PgConn, n *pgconn.Notice) {
			fn(conn, n)
			if before != nil {
				before(conn, n)
			}
		}
	}
}

// Connect makes a connection. The caller closes it.
func (t *Target) Connect(ctx context.Context) (*pgconn.PgConn, error) {
	conn, _, err := t.ConnectAsking(ctx, "")
	return conn, err
}

// ConnectAsking makes a connection as Connect does, and runs a query on it in no transaction
// of ours, in a round trip that Connect needs anyway.
func (t *Target) ConnectAsking(ctx context.Context, query string) (*pgconn.PgConn, *pgconn.Result, error) {
	var first error
	for _, c := range t.configs {
		conn, answer, err := staying(ctx, query, func() (*pgconn.PgConn, error) {
			conn, err := pgconn.ConnectConfig(ctx, c)
			if err == nil {
				watched(conn, c)
			}
			return conn, err
		})
		if err == nil {
			return conn, answer, nil
		}
		first = cmp.Or(first, err)
		if conn != nil || ctx.Err() != nil || verdict(err) {
			return nil, nil, err
		}
	}
	return nil, nil, first
}

// verdict reports whether err is a server's about who connects, which does not change
// with the way.
func verdict(err error) bool {
	return fault.Is(err, fault.WrongPassword, fault.NoDatabase, fault.InsufficientPrivilege, fault.TooManyConnections, fault.Starting)
}

// A Link says how a server was reached, as far as it matters for how others of its
// cluster are.
type Link struct {
	encrypted bool
	local     bool // it is on this machine, or a pooler or tunnel is that leads to it
}

// LinkOf returns how conn leads to its server.
func LinkOf(conn *pgconn.PgConn) Link {
	_, encrypted := conn.Conn().(*tls.Conn)
	tcp, ok := conn.Conn().RemoteAddr().(*net.TCPAddr)
	return Link{encrypted: encrypted, local: !ok || tcp.IP.IsLoopback()}
}

// Keep returns cfg without the ways to connect that are less than the link: a server
// that was reached with TLS is not asked without it the next time.
func (l Link) Keep(cfg *pgx.ConnConfig) *pgx.ConnConfig {
	c := cfg.Copy()
	if l.encrypted {
		setWays(&c.Config, withTLS(ways(&c.Config)))
	}
	return c
}

// withTLS returns those of list that encrypt.
func withTLS(list []*way) []*way {
	return slices.DeleteFunc(slices.Clone(list), func(w *way) bool { return w.TLSConfig == nil })
}

// Node returns a node of the cluster whose coordinator cfg names and link leads to.
// The user, the password, the database and the settings are the coordinator's. TLS is
// what the user's words mean for that host, and never less than the coordinator has:
//
//   - Where the coordinator was reached with TLS, a node is reached with it or not.
//   - Where the coordinator is on this machine, and the words would allow a node
//     elsewhere to do without TLS, it learns no password without it: it may ask for
//     none or prove with SCRAM that it knows it.
func (l Link) Node(cfg *pgx.ConnConfig, host string, port uint16) (*Target, error) {
	c, err := prepared(cfg)
	if err != nil {
		return nil, err
	}
	list, negotiation, err := nodeWays(cfg, host, port)
	if err != nil {
		return nil, fmt.Errorf("TLS to %s: %w", host, err)
	}
	c.ValidateConnect = nil // a target_session_attrs means the coordinator
	c.SSLNegotiation = negotiation
	c.Password = nodePassword(cfg, host, port)
	if p, err := readParams(said(cfg.ConnString())); err == nil { // which prepared has read, too
		for _, w := range list {
			p.limitTLS(w.TLSConfig)
		}
	}
	encrypted := withTLS(list)
	if l.encrypted {
		if len(encrypted) == 0 {
			return nil, fmt.Errorf("sslmode=%s: the coordinator was reached with TLS, and %s would not be", said(cfg.ConnString())["sslmode"], host)
		}
		list = encrypted
	}
	if len(encrypted) == len(list) || len(encrypted) == 0 || !l.local || isLocal(host) {
		setWays(&c.Config, list)
		return newTarget(&c.Config), nil
	}
	return carefully(&c.Config, encrypted, list), nil
}

// carefully returns a target that is asked with TLS first, and whose server learns no
// password without it.
func carefully(c *pgconn.Config, encrypted, list []*way) *Target {
	plain := c.Copy()
	setWays(c, encrypted)
	setWays(plain, slices.DeleteFunc(slices.Clone(list), func(w *way) bool { return w.TLSConfig != nil }))
	if plain.RequireAuth == "" {
		plain.RequireAuth = "!password,!md5"
	}
	return newTarget(c, plain)
}

// nodeWays returns the ways to connect to a host that the user's words mean.
func nodeWays(cfg *pgx.ConnConfig, host string, port uint16) (list []*way, negotiation string, err error) {
	asSaid, err := wordsFor(cfg, host, port)
	if err != nil {
		return nil, "", err
	}
	if cfg.TLSConfig != nil {
		own, err := wordsFor(cfg, cfg.Host, cfg.Port)
		if err != nil {
			return nil, "", err
		}
		if !sameTLS(cfg, own) {
			return byHand(cfg, host, port), cfg.SSLNegotiation, nil
		}
	}
	return ways(asSaid), asSaid.SSLNegotiation, nil
}

// wordsFor returns what the user's words mean for a host.
func wordsFor(cfg *pgx.ConnConfig, host string, port uint16) (*pgconn.Config, error) {
	all := said(cfg.ConnString())
	only := map[string]string{"host": host, "port": strconv.Itoa(int(port)), "user": cfg.User}
	for _, name := range []string{"sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcertmode", "sslsni", "sslnegotiation"} {
		if all[name] != "" {
			only[name] = all[name]
		}
	}
	again, err := pgx.ParseConfig(keywordString(only))
	if err != nil {
		return nil, errors.New(RootCause(err).Error()) // not the words: a password may be among them
	}
	return &again.Config, nil
}

// sameTLS reports whether cfg encrypts as its connection string says. A program may
// have set it otherwise.
func sameTLS(cfg *pgx.ConnConfig, said *pgconn.Config) bool {
	for _, w := range ways(said) {
		a, b := w.TLSConfig, cfg.TLSConfig
		if a != nil && a.InsecureSkipVerify == b.InsecureSkipVerify && a.RootCAs.Equal(b.RootCAs) && len(a.Certificates) == len(b.Certificates) {
			return true
		}
	}
	return false
}

// byHand returns the ways to another host as a program has set those to the
// coordinator.
func byHand(cfg *pgx.ConnConfig, host string, port uint16) []*way {
	var list []*way
	for _, w := range ways(&cfg.Config) {
		if w.Host != cfg.Host || w.Port != cfg.Port {
			continue // another coordinator
		}
		to := &way{Host: host, Port: port}
		if w.TLSConfig != nil {
			to.TLSConfig = w.TLSConfig.Clone()
			to.TLSConfig.ServerName = host
		}
		list = append(list, to)
	}
	return list
}

// nodePassword returns the password for a node: the coordinator's, unless it is from
// the file of passwords and the file has another one for the node.
func nodePassword(cfg *pgx.ConnConfig, host string, port uint16) string {
	all := said(cfg.ConnString())
	if cfg.Password == "" || all["password"] != "" {
		return cfg.Password
	}
	file, err := pgpassfile.ReadPassfile(passfile(all))
	if err != nil || untrusted(passfile(all)) != "" {
		return cfg.Password
	}
	from := cfg.Host
	if strings.HasPrefix(from, "/") {
		from = "localhost" // so the file calls a socket
	}
	if file.FindPassword(from, strconv.Itoa(int(cfg.Port)), cfg.Database, cfg.User) != cfg.Password {
		return cfg.Password // the caller has set it
	}
	return cmp.Or(file.FindPassword(host, strconv.Itoa(int(port)), cfg.Database, cfg.User), cfg.Password)
}

// isLocal reports whether host means this machine, without asking anybody.
func isLocal(host string) bool {
	if host == "localhost" || len(host) > 0 && host[0] == '/' {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// RootCause returns the innermost error of a chain: where several were joined, of the last one,
// before which others were tried.
func RootCause(err error) error {
	for {
		var inner error
		switch wraps := err.(type) {
		case interface{ Unwrap() error }:
			inner = wraps.Unwrap()
		case interface{ Unwrap() []error }:
			if all := wraps.Unwrap(); len(all) > 0 {
				inner = all[len(all)-1]
			}
		}
		if inner == nil {
			return err
		}
		err = inner
	}
}
