package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"shardload/internal/fault"
)

// Open connects to the server that cfg names. The caller closes the connection.
//
// All connections of shardload are made here and in Target.Connect. None has named
// prepared statements, which a connection pooler may not carry from one transaction to
// the next; each has an end to waiting for a peer that is gone, and a bound for what a
// server may send.
func Open(ctx context.Context, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	c, err := prepared(cfg)
	if err != nil {
		return nil, err
	}
	return openWatched(ctx, c)
}

// Connect connects to the server that a connection string names, as Parse and Open.
func Connect(ctx context.Context, dsn string) (*pgx.Conn, error) {
	cfg, err := Parse(dsn, nil)
	if err != nil {
		return nil, err
	}
	return Open(ctx, cfg)
}

// prepared returns a copy of cfg, which comes from pgx.ParseConfig, to connect with.
func prepared(cfg *pgx.ConnConfig) (*pgx.ConnConfig, error) {
	all := said(cfg.ConnString())
	p, err := readParams(all)
	if err != nil {
		return nil, err
	}
	c := cfg.Copy()
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	c.StatementCacheCapacity, c.DescriptionCacheCapacity = 0, 0
	c.MaxProtocolMessageBodyLen = maxMessage
	c.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend { return pgproto3.NewFrontend(newTrimmer(r), w) }
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = fault.ConnectTimeout
	}
	settings(c.RuntimeParams, all, p)
	for _, way := range ways(&c.Config) {
		p.limitTLS(way.TLSConfig)
	}
	c.DialFunc = p.dial(c.DialFunc)
	return c, nil
}

// settings makes to what is sent to the server when a connection begins: what
// libpq would send of all, and no keyword that is not the server's.
func settings(to, all map[string]string, p params) {
	maps.DeleteFunc(to, func(name, _ string) bool { return slices.Contains(libpqOnly, name) })
	given := map[string]bool{}
	for name := range to {
		given[strings.ToLower(name)] = true
	}
	for _, name := range []string{"datestyle", "timezone", "geqo"} {
		if !given[name] && all[name] != "" {
			to[name] = all[name]
		}
	}
	if to["application_name"] == "" {
		to["application_name"] = p.appName
	}
	// All that we send and read is in UTF-8, whatever the role's or the user's
	// setting. What is in an input is another matter.
	to["client_encoding"] = "UTF8"
}

// A way is one of several to connect.
type way = pgconn.FallbackConfig

// ways returns the ways of c, in their order. Their TLSConfigs are c's own.
func ways(c *pgconn.Config) []*way {
	return append([]*way{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
}

// setWays makes list, which is not empty, the ways of c.
func setWays(c *pgconn.Config, list []*way) {
	c.Host, c.Port, c.TLSConfig = list[0].Host, list[0].Port, list[0].TLSConfig
	c.Fallbacks = list[1:]
}

// hosts returns the hosts of c, each once, in their order.
func hosts(c *pgconn.Config) []string {
	var names []string
	var last string
	for _, w := range ways(c) {
		if at := net.JoinHostPort(w.Host, strconv.Itoa(int(w.Port))); at != last {
			names, last = append(names, w.Host), at
		}
	}
	return names
}

// limitTLS sets which versions of TLS will do.
func (p params) limitTLS(c *tls.Config) {
	if c != nil && p.minTLS != 0 {
		c.MinVersion = p.minTLS
	}
	if c != nil && p.maxTLS != 0 {
		c.MaxVersion = p.maxTLS
	}
}

// lookup returns how to find the addresses of hosts: those that the user has given,
// else as before.
func (p params) lookup(before pgconn.LookupFunc, hosts []string) pgconn.LookupFunc {
	given := map[string]string{}
	for i, address := range p.addresses {
		if i < len(hosts) && address != "" {
			given[hosts[i]] = address
		}
	}
	if len(given) == 0 && !p.shuffle {
		return before
	}
	return func(ctx context.Context, host string) ([]string, error) {
		if address, ok := given[host]; ok {
			return []string{address}, nil
		}
		addresses, err := before(ctx, host)
		if p.shuffle {
			rand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
		}
		return addresses, err
	}
}

// dial returns how to reach an address: as before, and with an end to waiting.
func (p params) dial(before pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := before(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if err := p.setUp(conn); err != nil {
			_ = conn.Close()
			return nil, err
		}
		if _, done := conn.(*guarded); done {
			return conn, nil
		}
		return &guarded{Conn: conn}, nil
	}
}

// setUp sets the options of a socket, and makes sure who is at its other end.
func (p params) setUp(conn net.Conn) error {
	switch c := conn.(type) {
	case *net.TCPConn:
		if err := c.SetKeepAliveConfig(p.keepAlive); err != nil {
			return err
		}
		if p.userTimeout > 0 {
			return setUserTimeout(c, p.userTimeout)
		}
	case *net.UnixConn:
		if p.requirePeer == "" {
			return nil
		}
		owner, err := peer(c)
		if err != nil {
			return err
		}
		if owner != p.requirePeer {
			return fmt.Errorf("requirepeer names %q, but %q runs the server", p.requirePeer, owner)
		}
	}
	return nil
}
